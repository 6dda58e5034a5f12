"""Statistics of the intervals in many slices of one list, which may overlap and contain each other.

Where the intervals of a slice follow each other in time, as kernels of one stream do, differences
of running sums tell everything. Else only what begins before earlier intervals have ended is looked
at again; and all of a slice, where intervals do not stand in the order of their starts.
"""

from __future__ import annotations

import numpy as np

from ..nsys.records import Bools, Int64s, Integers
from .chains import is_ascending
from .intervals import IntervalStatistics, batches, grouped, spread, statistics_of, union_ns


def slice_statistics(
    start_ns: Int64s, end_ns: Int64s, first: Integers, last: Integers
) -> IntervalStatistics:
    """Count, sum, union and extent of the intervals of each slice.

    Args:
        start_ns: starts of the intervals.
        end_ns: their ends.
        first: position of the first one of each slice.
        last: position behind its last one; no slice is empty.
    """
    until_ns = running_sum(end_ns, start_ns)
    total_ns = until_ns[last] - until_ns[first]  # right also where running sums overflow
    del until_ns
    found = IntervalStatistics(
        (last - first).astype(np.int64), total_ns, total_ns, start_ns[first], end_ns[last - 1]
    )
    disturbed = _disturbed(start_ns, end_ns)
    if not len(first) or not disturbed.any():
        return found
    number = np.cumsum(disturbed, dtype=np.int32)
    tangled = np.flatnonzero(number[last - 1] != number[first])
    found = found._replace(busy_ns=total_ns.copy())
    is_sorted = is_ascending(start_ns) and bool((end_ns >= start_ns).all())
    again = _sorted_again if is_sorted else _unsorted
    parts = again(start_ns, end_ns, first[tangled], last[tangled])
    for column, part in zip(found[2:], parts, strict=True):
        column[tangled] = part
    return found


def running_sum(values: Int64s, less: Int64s | None = None) -> Int64s:
    """Sum of all values before each, and at the end that of all.

    Args:
        values: whole numbers.
        less: is taken away from each of them.
    """
    sums = np.zeros(len(values) + 1, np.int64)
    sums[1:] = values
    if less is not None:
        sums[1:] -= less
    np.cumsum(sums, out=sums)
    return sums


def _disturbed(start_ns: Int64s, end_ns: Int64s) -> Bools:
    """Which intervals do not simply follow the one before them in time."""
    found = np.zeros(len(start_ns), np.bool_)
    found[1:] = start_ns[1:] < end_ns[:-1]
    found[1:] |= start_ns[1:] < start_ns[:-1]
    found[1:] |= end_ns[1:] < end_ns[:-1]
    return found


def _sorted_again(
    start_ns: Int64s, end_ns: Int64s, first: Integers, last: Integers
) -> tuple[Int64s, Int64s, Int64s]:
    """Union, first start and last end of slices, the intervals standing by their starts.

    An interval that starts when all before its slice have ended adds the same to the union of the
    slice as to that of all. The others stand at the begin of the slice, and are few.
    """
    reached_ns = np.maximum.accumulate(end_ns)
    covered_ns = np.r_[start_ns[:1], reached_ns[:-1]]
    newly_ns = np.maximum(end_ns - np.maximum(start_ns, covered_ns), 0)
    until_ns = running_sum(newly_ns)
    del covered_ns, newly_ns
    before_ns = np.where(first > 0, reached_ns[first - 1], start_ns[0])
    free = np.clip(np.searchsorted(start_ns, before_ns), first, last)
    busy_ns = until_ns[last] - until_ns[free]
    last_ns = reached_ns[last - 1]
    some = np.flatnonzero(free > first)
    for batch in batches(free[some] - first[some]):
        at = some[batch]
        inside, number = spread(first[at], free[at])
        ends_ns = end_ns[inside]
        busy_ns[at] += union_ns(number, start_ns[inside], ends_ns)
        heads = np.flatnonzero(np.r_[True, number[1:] != number[:-1]])
        latest_ns = np.maximum.reduceat(ends_ns, heads)
        outlasted = (free[at] == last[at]) & (before_ns[at] >= last_ns[at])
        last_ns[at] = np.where(outlasted, latest_ns, last_ns[at])
    return busy_ns, start_ns[first], last_ns


def _unsorted(
    start_ns: Int64s, end_ns: Int64s, first: Integers, last: Integers
) -> tuple[Int64s, Int64s, Int64s]:
    """The same for intervals in any order; equal slices that follow each other count once."""
    differs = np.r_[True, (first[1:] != first[:-1]) | (last[1:] != last[:-1])]
    slices = np.flatnonzero(differs[: len(first)])
    found = np.zeros((3, len(slices)), np.int64)
    for batch in batches(last[slices] - first[slices]):
        at = slices[batch]
        inside, number = spread(first[at], last[at])
        statistics = statistics_of(grouped(number, start_ns[inside], end_ns[inside]), len(at))
        found[:, batch] = statistics[2:]
    of = np.cumsum(differs[: len(first)]) - 1
    return found[0, of], found[1, of], found[2, of]
