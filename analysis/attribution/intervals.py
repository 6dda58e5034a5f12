"""Statistics of intervals on one time axis, for many groups of them at once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from analysis.nsys.records import Int64s


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


def interval_statistics(
    group: Int64s, start_ns: Int64s, end_ns: Int64s, groups: int
) -> IntervalStatistics:
    """Count, sum, union and extent of the intervals of each group.

    Args:
        group: group of each interval, 0 … groups − 1.
        start_ns: start of each interval.
        end_ns: end of each interval, not before its start.
        groups: number of groups.
    """
    statistics = empty_statistics(groups)
    if not len(group):
        return statistics
    order = np.lexsort((start_ns, group))
    group, start_ns, end_ns = group[order], start_ns[order], end_ns[order]
    heads = np.flatnonzero(np.r_[True, group[1:] != group[:-1]])
    at = group[heads]
    statistics.intervals[at] = np.diff(np.r_[heads, len(group)])
    statistics.total_ns[at] = np.add.reduceat(end_ns - start_ns, heads)
    statistics.busy_ns[at] = np.add.reduceat(_newly_covered_ns(heads, start_ns, end_ns), heads)
    statistics.first_ns[at] = start_ns[heads]
    statistics.last_ns[at] = np.maximum.reduceat(end_ns, heads)
    return statistics


def _newly_covered_ns(heads: Int64s, start_ns: Int64s, end_ns: Int64s) -> Int64s:
    """Time that each interval adds to the union of its predecessors in the same group.

    Args:
        heads: positions at which a new group begins.
        start_ns: starts, ascending within each group.
        end_ns: ends.
    """
    group = np.zeros(len(start_ns), np.int64)
    group[heads] = 1
    # A running maximum that starts anew in each group: ranks instead of timestamps keep the
    # keys small, so that no sum of timestamp and group offset can overflow.
    ends, rank = np.unique(end_ns, return_inverse=True)
    highest = np.maximum.accumulate(np.cumsum(group) * len(ends) + rank) % len(ends)
    covered_until = np.r_[start_ns[:1], ends[highest[:-1]]]
    covered_until[heads] = start_ns[heads]
    return np.maximum(end_ns - np.maximum(start_ns, covered_until), 0)
