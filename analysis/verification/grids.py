"""Is every run there? By a study's list of them, or else by what the other runs suggest."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from .finding import Finding
from .folders import RunFolder, RunKey

MEASURE = "start the study that measures it again, or copy its folder"


def check_expected(folders: Sequence[RunFolder], expected: Iterable[str]) -> Iterator[Finding]:
    """Runs that a study has and the results have not.

    Args:
        folders: of the results.
        expected: device/method/variant/resolution of each run, /process-N of its further ones.
    """
    there = {folder.place for folder in folders}
    for place in expected:
        if place not in there:
            yield Finding(place, "is in the study and not in the results", MEASURE)


def check_gaps(keys: Sequence[RunKey]) -> Iterator[Finding]:
    """Curves that lack a resolution that another curve of their method has, or processes.

    Devices of different memory do not end at different resolutions: a run that exceeds memory is
    recorded as well.
    """
    sides: defaultdict[tuple[str, str, str], set[int]] = defaultdict(set)
    of_method: defaultdict[str, set[int]] = defaultdict(set)
    processes: defaultdict[tuple[str, str, str, int], set[int]] = defaultdict(set)
    most: defaultdict[tuple[str, str, str], int] = defaultdict(int)
    for key in keys:
        sides[key.curve].add(key.resolution_px)
        of_method[key.method].add(key.resolution_px)
        processes[(*key.curve, key.resolution_px)].add(key.process)
        most[key.curve] = max(most[key.curve], key.process)
    for curve, found in sides.items():
        missing = sorted(of_method[curve[1]] - found)
        if missing:
            at = ", ".join(map(str, missing))
            what = f"lacks {at} px, at which this method is measured elsewhere"
            yield Finding("/".join(curve), what, MEASURE)
    for (device, method, variant, side_px), found in processes.items():
        absent = sorted(set(range(1, most[device, method, variant] + 1)) - found)
        if absent:
            what = f"lacks process {', '.join(map(str, absent))}, which other resolutions have"
            yield Finding(f"{device}/{method}/{variant}/{side_px}", what, MEASURE)
