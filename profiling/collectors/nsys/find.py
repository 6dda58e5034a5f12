"""Which collector a run has, as follows from the nsys that there is."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal, NamedTuple

from adscale.errors import CollectorError
from adscale.nsys_program import ENVIRONMENT_VARIABLE, find_nsys

from .self_test import self_test_cached

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
