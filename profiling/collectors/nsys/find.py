"""Where nsys is, and which version."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from adscale.errors import CollectorError

ENVIRONMENT_VARIABLE = "ADSCALE_NSYS"

USUAL_PLACES = (
    "opt/nvidia/nsight-systems*/*/bin/nsys",
    "usr/local/cuda*/bin/nsys",
)
"""Where NVIDIA's packages put it, relative to the root folder."""

VERSION_TIMEOUT_S = 60


def find_nsys(configured: str | None, root: Path = Path("/")) -> Path | None:
    """The nsys to use: the configured one, else ``ADSCALE_NSYS``, else PATH, else usual places.

    Args:
        configured: path from the configuration or the command line.
        root: the folder below which the usual places are looked for.

    Returns:
        Its path, or None where there is none.

    Raises:
        CollectorError: the path that was named is no executable file.
    """
    if configured:
        return _named(configured, configured)
    from_environment = os.environ.get(ENVIRONMENT_VARIABLE)
    if from_environment:
        return _named(from_environment, f"{ENVIRONMENT_VARIABLE}={from_environment}")
    on_path = shutil.which("nsys")
    if on_path is not None:
        return Path(on_path)
    return _newest([path for place in USUAL_PLACES for path in root.glob(place)])


def nsys_version(path: Path) -> str:
    """Version of an nsys, such as ``2023.4.4.54``.

    Raises:
        CollectorError: the program does not run, or does not name its version.
    """
    command = [str(path), "--version"]
    remedy = "correct the path of nsys, install it again, or choose the embedded collector"
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=VERSION_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CollectorError(str(path), f"does not run ({error})", remedy) from None
    found = re.search(r"\b(\d{4}(?:\.\d+)+)", done.stdout)
    if done.returncode != 0 or found is None:
        what = f"`--version` ended with exit code {done.returncode} and named no version"
        raise CollectorError(str(path), what, remedy)
    return found[1]


def _named(text: str, where: str) -> Path:
    path = Path(text).expanduser()
    if not (path.is_file() and os.access(path, os.X_OK)):
        what = "is not executable" if path.is_file() else "there is no such file"
        remedy = "give the path of the nsys program, or none to have it looked for"
        raise CollectorError(where, what, remedy)
    return path


def _newest(paths: list[Path]) -> Path | None:
    usable = [path for path in paths if path.is_file() and os.access(path, os.X_OK)]
    return max(usable, key=_version_in_path, default=None)


def _version_in_path(path: Path) -> tuple[tuple[int, ...], str]:
    """Sorts by the version of nsys in the path; a toolkit's version (12.4) is always smaller."""
    versions = re.findall(r"\d+(?:\.\d+)+", str(path.resolve())) or re.findall(r"\d+", str(path))
    numbers = [tuple(int(part) for part in version.split(".")) for version in versions]
    return max(numbers, default=()), str(path)
