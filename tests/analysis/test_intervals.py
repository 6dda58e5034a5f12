"""Unions of intervals against a count of the nanoseconds that they cover."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from analysis.attribution.intervals import IntervalStatistics, interval_statistics

intervals = st.lists(
    st.tuples(st.integers(0, 4), st.integers(-30, 30), st.integers(0, 20)), max_size=25
)


def statistics_of(rows: list[tuple[int, int, int]], groups: int = 5) -> IntervalStatistics:
    columns = np.array(rows, np.int64).reshape(-1, 3)
    return interval_statistics(columns[:, 0], columns[:, 1], columns[:, 1] + columns[:, 2], groups)


@given(intervals)
def test_agrees_with_counting_every_nanosecond(rows: list[tuple[int, int, int]]) -> None:
    found = statistics_of(rows)
    for group in range(5):
        own = [(start, start + length) for key, start, length in rows if key == group]
        covered = {moment for start, end in own for moment in range(start, end)}
        assert found.intervals[group] == len(own)
        assert found.total_ns[group] == sum(end - start for start, end in own)
        assert found.busy_ns[group] == len(covered)
        if own:
            assert found.first_ns[group] == min(start for start, _ in own)
            assert found.last_ns[group] == max(end for _, end in own)


@given(intervals, st.integers(-(2**62), 2**62))
def test_does_not_depend_on_where_the_clock_starts(
    rows: list[tuple[int, int, int]], offset_ns: int
) -> None:
    """Clocks of profiles start anywhere; the embedded collector counts from 1970."""
    here = statistics_of(rows)
    there = statistics_of([(group, start + offset_ns, length) for group, start, length in rows])
    assert here.busy_ns.tolist() == there.busy_ns.tolist()
    assert here.span_ns.tolist() == there.span_ns.tolist()


def test_a_gap_is_span_and_not_busy() -> None:
    found = statistics_of([(0, 0, 10), (0, 25, 5)])
    assert (found.busy_ns[0], found.span_ns[0], found.total_ns[0]) == (15, 30, 15)


def test_an_overlap_counts_once_in_busy_and_twice_in_the_sum() -> None:
    found = statistics_of([(0, 0, 10), (0, 2, 3), (0, 8, 7)])
    assert (found.busy_ns[0], found.span_ns[0], found.total_ns[0]) == (15, 15, 20)


def test_nothing_at_all() -> None:
    assert statistics_of([], groups=2).intervals.tolist() == [0, 0]
