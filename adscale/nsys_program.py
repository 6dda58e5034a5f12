"""Finding the nsys program, which both parts call."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from .errors import CollectorError

ENVIRONMENT_VARIABLE = "ADSCALE_NSYS"

USUAL_PATHS = (
    "opt/nvidia/nsight-systems*/*/bin/nsys",
    "usr/local/cuda*/bin/nsys",
)
"""Where NVIDIA's packages put it, relative to the root folder."""


def find_nsys(configured: str | None, root: Path = Path("/")) -> Path | None:
    """The nsys to use: the configured one, else ``ADSCALE_NSYS``, else PATH, else usual paths.

    Args:
        configured: path from the configuration or the command line.
        root: the folder below which the usual paths are looked for.

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
    return _newest([path for pattern in USUAL_PATHS for path in root.glob(pattern)])


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
