"""Which nsys there is, and which collector follows from that."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path
from typing import Literal, NamedTuple

from adscale.errors import CollectorError

from .self_test import self_test_cached

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


Requested = Literal["auto", "nsys", "embedded"]


class Choice(NamedTuple):
    """The collector of a run."""

    name: Literal["nsys", "embedded"]
    nsys: Path | None
    """The nsys program, where it is the collector."""
    reason: str
    """One sentence: which collector, and why."""


def choose(
    requested: Requested, nsys_path: str | None, cache_dir: Path, python: str = sys.executable
) -> Choice:
    """The collector to use here.

    Args:
        requested: ``auto`` takes nsys where it is found and records ranges, else embedded.
        nsys_path: the path of nsys that the user configured.
        cache_dir: folder that keeps the result of the test of nsys.
        python: the interpreter that will be measured.

    Raises:
        CollectorError: a configured path is wrong, or nsys was asked for and cannot be used.
    """
    if requested == "embedded":
        return Choice("embedded", None, "embedded collector: it was asked for")
    nsys = find_nsys(nsys_path)
    if nsys is None:
        if requested == "nsys":
            what = f"nsys was asked for, but it is neither in {ENVIRONMENT_VARIABLE} nor on PATH"
            raise CollectorError("collector", what, "install nsight-systems-cli, or name its path")
        return Choice("embedded", None, "embedded collector: no nsys was found")
    fault = _fault(nsys, python, cache_dir)
    if fault is None:
        return Choice("nsys", nsys, f"nsys: {nsys} records ranges")
    if requested == "nsys":
        what, remedy = fault
        raise CollectorError(str(nsys), what, remedy)
    return Choice("embedded", None, f"embedded collector: {nsys} cannot be used ({fault[0]})")


def planned_choice(name: Literal["nsys", "embedded"], nsys_path: str | None) -> Choice:
    """The collector of runs on another machine, or as it was chosen there.

    Whether nsys is there and records matters in the jobs that call it; they say so.

    Args:
        name: which.
        nsys_path: the path of nsys that the user configured.
    """
    reason = f"{name} collector: it was asked for"
    if name == "embedded":
        return Choice(name, None, reason)
    return Choice(name, find_nsys(nsys_path) or Path("nsys"), reason)


def _fault(nsys: Path, python: str, cache_dir: Path) -> tuple[str, str] | None:
    """The fault of this nsys and its remedy; None: it has none."""
    try:
        test = self_test_cached(nsys, python, cache_dir)
    except CollectorError as error:
        return error.what, error.remedy
    return None if test.ok else (test.reason, "or choose the embedded collector")
