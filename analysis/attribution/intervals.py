"""Statistics of intervals on one time axis, for many groups of them at once."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from ..nsys.records import Bools, Int64s, Integers
from .chains import is_ascending


class IntervalStatistics(NamedTuple):
    """One element per group.

    Attributes:
        intervals: how many the group has.
        total_ns: sum of their durations.
        busy_ns: length of their union: gaps are left out, overlaps count once.
        first_ns: earliest start; meaningless where `intervals` is 0.
        last_ns: latest end; meaningless where `intervals` is 0.
    """

    intervals: Int64s
    total_ns: Int64s
    busy_ns: Int64s
    first_ns: Int64s
    last_ns: Int64s

    @property
    def span_ns(self) -> Int64s:
        """Latest end minus earliest start; 0 where the group is empty, see `intervals`."""
        return self.last_ns - self.first_ns


def empty_statistics(groups: int) -> IntervalStatistics:
    """The statistics of groups without any interval."""
    return IntervalStatistics(*(np.zeros(groups, np.int64) for _ in range(5)))


class Grouped(NamedTuple):
    """Intervals by group, and within a group by their starts.

    Attributes:
        group: group of each interval, ascending.
        start_ns: starts.
        end_ns: ends.
    """

    group: Integers
    start_ns: Int64s
    end_ns: Int64s

    def heads(self) -> Int64s:
        """Positions at which a new group begins."""
        return np.flatnonzero(np.r_[True, self.group[1:] != self.group[:-1]][: len(self.group)])


def grouped(group: Integers, start_ns: Int64s, end_ns: Int64s) -> Grouped:
    """Sort intervals, unless they are sorted; those of a negative group are left out."""
    if len(group) and group.min() < 0:
        inside = np.flatnonzero(group >= 0)
        group, start_ns, end_ns = group[inside], start_ns[inside], end_ns[inside]
    if not is_ascending(start_ns):
        order = np.argsort(start_ns, kind="stable")
        group, start_ns, end_ns = group[order], start_ns[order], end_ns[order]
    if not is_ascending(group):
        order = np.argsort(group, kind="stable")
        group, start_ns, end_ns = group[order], start_ns[order], end_ns[order]
    return Grouped(group, start_ns, end_ns)


def interval_statistics(
    group: Integers, start_ns: Int64s, end_ns: Int64s, groups: int
) -> IntervalStatistics:
    """Count, sum, union and extent of the intervals of each group.

    Args:
        group: group of each interval, 0 … groups − 1; negative for none.
        start_ns: start of each interval.
        end_ns: end of each interval, not before its start.
        groups: number of groups.
    """
    return statistics_of(grouped(group, start_ns, end_ns), groups)


def statistics_of(intervals: Grouped, groups: int) -> IntervalStatistics:
    """Count, sum, union and extent of the intervals of each group.

    Args:
        intervals: sorted.
        groups: number of groups.
    """
    statistics = empty_statistics(groups)
    if not len(intervals.group):
        return statistics
    group, start_ns, end_ns = intervals
    heads = intervals.heads()
    at = group[heads]
    statistics.intervals[at] = np.diff(np.r_[heads, len(group)])
    # no array of durations: sums that overflow differ by the right amount all the same
    statistics.total_ns[at] = np.add.reduceat(end_ns, heads) - np.add.reduceat(start_ns, heads)
    statistics.first_ns[at] = start_ns[heads]
    statistics.last_ns[at] = np.maximum.reduceat(end_ns, heads)
    statistics.busy_ns[at] = _busy_ns(intervals, heads, statistics.total_ns[at])
    return statistics


def overlapping(group: Integers, start_ns: Int64s, end_ns: Int64s) -> Bools:
    """Whether each interval but the first overlaps the one before it in its group.

    Args:
        group: ascending.
        start_ns: ascending within each group.
        end_ns: where no neighbours of a group overlap, no others do.
    """
    found: Bools = (start_ns[1:] < end_ns[:-1]) & (group[1:] == group[:-1])
    return found


def _busy_ns(intervals: Grouped, heads: Int64s, total_ns: Int64s) -> Int64s:
    """Length of each group's union: its sum, unless neighbours overlap."""
    overlaps = np.flatnonzero(overlapping(*intervals))
    if not len(overlaps):
        return total_ns
    busy_ns = total_ns.copy()
    tangled = np.unique(np.searchsorted(heads, overlaps, side="right") - 1)
    ends = np.r_[heads[1:], len(intervals.group)]
    for some in batches(ends[tangled] - heads[tangled]):
        at = tangled[some]
        inside, number = spread(heads[at], ends[at])
        first = np.flatnonzero(np.r_[True, number[1:] != number[:-1]])
        start_ns, end_ns = intervals.start_ns[inside], intervals.end_ns[inside]
        covered_ns = _newly_covered_ns(number, first, start_ns, end_ns)
        busy_ns[at] = np.add.reduceat(covered_ns, first)
    return busy_ns


def batches(sizes: Int64s, most: int = 1 << 20) -> list[slice]:
    """Runs of groups with not many more than `most` intervals each."""
    if not len(sizes):
        return []
    number = (np.cumsum(sizes) - sizes) // most
    edges = [0, *(np.flatnonzero(np.diff(number)) + 1).tolist(), len(sizes)]
    return [slice(first, last) for first, last in pairwise(edges)]


def spread(first: Int64s, last: Int64s) -> tuple[Int64s, Int64s]:
    """The positions of several slices one after the other, and the number of the slice of each.

    Args:
        first: begin of each slice.
        last: its end, exclusive; no slice is empty.
    """
    sizes = last - first
    number = np.repeat(np.arange(len(first)), sizes)
    return np.arange(len(number)) + (first - np.cumsum(sizes) + sizes)[number], number


def _newly_covered_ns(group: Int64s, heads: Int64s, start_ns: Int64s, end_ns: Int64s) -> Int64s:
    """Time that each interval adds to the union of its predecessors in the same group.

    Args:
        group: number of each interval's group, from 0, ascending.
        heads: positions at which a new group begins.
        start_ns: starts, ascending within each group.
        end_ns: ends.
    """
    earliest_ns = int(start_ns.min())
    width_ns = int(end_ns.max()) - earliest_ns + 1
    # A running maximum that starts anew in each group: each has numbers of its own.
    if width_ns * (int(group[-1]) + 1) < 2**62:
        highest = np.maximum.accumulate(group * width_ns + (end_ns - earliest_ns))
        until_ns = highest - group * width_ns + earliest_ns
    else:  # times too far apart for that: ranks of the ends instead
        ends, rank = np.unique(end_ns, return_inverse=True)
        until_ns = ends[np.maximum.accumulate(group * len(ends) + rank) % len(ends)]
    covered_until = np.r_[start_ns[:1], until_ns[:-1]]
    covered_until[heads] = start_ns[heads]
    return np.maximum(end_ns - np.maximum(start_ns, covered_until), 0)


def union_ns(group: Int64s, start_ns: Int64s, end_ns: Int64s) -> Int64s:
    """Length of the union of each group's intervals.

    Args:
        group: number of each interval's group, from 0, ascending, none absent.
        start_ns: starts, ascending within each group.
        end_ns: ends.
    """
    heads = np.flatnonzero(np.r_[True, group[1:] != group[:-1]])
    return np.add.reduceat(_newly_covered_ns(group, heads, start_ns, end_ns), heads)
