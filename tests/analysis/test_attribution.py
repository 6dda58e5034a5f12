"""Attribution against a quadratic reading of the rule, and against what nsys itself reports."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.attribution.attribute import attribute, launch_of
from analysis.nsys.records import THREAD_BITS, Calls, Coded, Operations
from tests.analysis.builders import (
    PROCESS,
    THREAD,
    CallRow,
    KernelRow,
    RangeRow,
    make_calls,
    make_kernels,
    make_ranges,
)

PROCESSES = [1 << THREAD_BITS, 2 << THREAD_BITS]
threads = st.sampled_from([PROCESSES[0] | 1, PROCESSES[0] | 2, PROCESSES[1] | 1])


def intervals(*first: st.SearchStrategy[int]) -> st.SearchStrategy[tuple[int, ...]]:
    drawn = st.tuples(*first, st.integers(0, 14), st.integers(0, 10))
    return drawn.map(lambda row: (*row[:-1], row[-2] + row[-1]))


range_rows = st.lists(intervals(threads), max_size=10)
call_rows = st.lists(
    st.tuples(intervals(threads), st.integers(0, 6)).map(lambda row: (*row[0], row[1])), max_size=10
)
kernel_rows = st.lists(
    st.tuples(intervals(st.sampled_from(PROCESSES)), st.integers(0, 7)).map(
        lambda row: (*row[0], row[1])
    ),
    max_size=12,
)


def naive_launch(calls: list[CallRow], kernel: KernelRow) -> int:
    """The last call of the process with the kernel's correlation id."""
    process, _, _, correlation = kernel
    matching = [
        at
        for at, (thread, _, _, number) in enumerate(calls)
        if number == correlation and thread >> THREAD_BITS == process >> THREAD_BITS
    ]
    return max(matching, key=lambda at: (calls[at][1], -calls[at][2]), default=-1)


def encloses(outer: RangeRow, call: CallRow) -> bool:
    """Same thread, the whole call, ends included."""
    return outer[0] == call[0] and outer[1] <= call[1] and call[2] <= outer[2]


@st.composite
def dense_profiles(
    draw: st.DrawFn,
) -> tuple[list[RangeRow], list[CallRow], list[KernelRow]]:
    """Ranges of one thread that nest, with a launch in most and long kernels that overlap."""
    edges = sorted(draw(st.lists(st.integers(0, 30), min_size=2, max_size=8)))
    inner = [(THREAD, first, last) for first, last in pairwise(edges)]
    ranges = [(THREAD, 0, 30), (THREAD, edges[0], edges[-1]), *inner]
    starts = draw(st.lists(st.integers(0, 30), min_size=1, max_size=10))
    calls = [(THREAD, start, start, number) for number, start in enumerate(starts)]
    kernels = [
        (PROCESS, start, start + draw(st.integers(0, 9)), number)
        for number in range(len(calls))
        for start in draw(st.lists(st.integers(0, 30), max_size=2))
    ]
    return draw(st.permutations(ranges)), calls, kernels


@settings(max_examples=300)
@given(dense_profiles())
def test_busy_time_of_nested_ranges_whose_kernels_overlap(
    profile: tuple[list[RangeRow], list[CallRow], list[KernelRow]],
) -> None:
    ranges, calls, kernels = profile
    found = attribute(make_ranges(ranges), make_calls(calls), make_kernels(kernels))
    for position, outer in enumerate(ranges):
        inside = [row for row in kernels if encloses(outer, calls[row[3]])]
        covered = {moment for _, start, end, _ in inside for moment in range(start, end)}
        assert found.inclusive.busy_ns[position] == len(covered)


@given(range_rows, call_rows, kernel_rows)
def test_agrees_with_trying_every_range_on_every_kernel(
    ranges: list[RangeRow], calls: list[CallRow], kernels: list[KernelRow]
) -> None:
    found = attribute(make_ranges(ranges), make_calls(calls), make_kernels(kernels))
    # two calls with one id, start and end on two threads leave open which of them is meant
    launches = found.launch.tolist()
    assert [calls[at][1:] if at >= 0 else None for at in launches] == [
        calls[at][1:] if (at := naive_launch(calls, kernel)) >= 0 else None for kernel in kernels
    ]
    for position, outer in enumerate(ranges):
        inside = [
            (start, end)
            for (_, start, end, _), at in zip(kernels, launches, strict=True)
            if at >= 0 and encloses(outer, calls[at])
        ]
        inclusive = [column[position] for column in found.inclusive]
        assert inclusive[0] == len(inside)
        assert inclusive[1] == sum(end - start for start, end in inside)
        assert inclusive[2] == len({t for start, end in inside for t in range(start, end)})
        if inside:
            assert inclusive[3:] == [min(s for s, _ in inside), max(e for _, e in inside)]


@given(range_rows, call_rows, kernel_rows)
def test_every_kernel_is_counted_exactly_once(
    ranges: list[RangeRow], calls: list[CallRow], kernels: list[KernelRow]
) -> None:
    found = attribute(make_ranges(ranges), make_calls(calls), make_kernels(kernels))
    coverage = found.coverage
    exclusive_ns = int(found.exclusive.total_ns.sum())
    lost_ns = coverage.outside_ns + coverage.without_launch_ns
    assert exclusive_ns + lost_ns == coverage.kernel_ns == sum(k[2] - k[1] for k in kernels)
    counted = int(found.exclusive.intervals.sum()) + coverage.outside + coverage.without_launch
    assert counted == coverage.kernels == len(kernels)


@given(range_rows, call_rows, kernel_rows)
def test_the_innermost_range_encloses_the_launch_and_no_child_of_it_does(
    ranges: list[RangeRow], calls: list[CallRow], kernels: list[KernelRow]
) -> None:
    found = attribute(make_ranges(ranges), make_calls(calls), make_kernels(kernels))
    for launch, innermost in zip(found.launch.tolist(), found.kernel_range.tolist(), strict=True):
        enclosing = [
            at for at, row in enumerate(ranges) if launch >= 0 and encloses(row, calls[launch])
        ]
        expected = max(enclosing, key=lambda at: (ranges[at][1], -ranges[at][2], at), default=-1)
        assert innermost == expected


def test_parts_that_overlap_are_not_added_up() -> None:
    ranges = make_ranges([(THREAD, 0, 30), (THREAD, 0, 10), (THREAD, 11, 20)])
    calls = make_calls([(THREAD, 1, 2, 1), (THREAD, 12, 13, 2), (THREAD, 25, 26, 3)])
    kernels = make_kernels([(PROCESS, 0, 10, 1), (PROCESS, 5, 20, 2), (PROCESS, 4, 21, 3)])
    found = attribute(ranges, calls, kernels)
    assert found.inclusive.busy_ns.tolist() == [21, 10, 15]
    assert found.exclusive.busy_ns.tolist() == [17, 10, 15]


@pytest.mark.parametrize("stride", [1, 7, 10**7])
def test_correlation_ids_near_together_and_far_apart(stride: int) -> None:
    """Near together they are looked up in a table, far apart they are sorted."""
    random = np.random.default_rng(0)
    numbers = random.permutation(500)
    calls = make_calls([(THREAD, k, k + 1, int(n) * stride) for k, n in enumerate(numbers)])
    wanted = random.integers(-3, 510, 2000)
    kernels = make_kernels([(PROCESS, 0, 1, int(n) * stride) for n in wanted])
    position = {int(n): k for k, n in enumerate(numbers)}
    assert launch_of(calls, kernels).tolist() == [position.get(int(n), -1) for n in wanted]


def test_many_kernels_are_looked_up_in_several_steps() -> None:
    kernels = (1 << 20) + 3
    number = np.arange(kernels)
    calls = Calls(number * 10, number * 10 + 5, Coded.of(np.full(kernels, THREAD)), number)
    process, name = Coded.of(np.full(kernels, PROCESS)), Coded.of(np.full(kernels, -1))
    operations = Operations(number * 10, number * 10 + 8, process, number[::-1].copy(), name)
    ranges = make_ranges([(THREAD, 0, kernels * 10), (THREAD, 0, 5000)])
    found = attribute(ranges, calls, operations)
    assert found.launch[[0, -1]].tolist() == [kernels - 1, 0]
    assert found.inclusive.intervals.tolist() == [kernels, 500]
    assert found.inclusive.busy_ns.tolist() == [8 * kernels, 8 * 500]


def test_correlation_ids_of_two_processes_are_told_apart() -> None:
    first, second = (process | 1 for process in PROCESSES)
    calls = make_calls([(first, 0, 1, 5), (second, 10, 11, 5)])
    kernels = make_kernels([(PROCESSES[1], 0, 1, 5), (PROCESSES[0], 0, 1, 5)])
    assert launch_of(calls, kernels).tolist() == [1, 0]


def test_an_absent_correlation_id_joins_nothing() -> None:
    calls = make_calls([(THREAD, 0, 1, -1)])
    assert launch_of(calls, make_kernels([(PROCESS, 0, 1, -1)])).tolist() == [-1]


def test_of_a_runtime_call_and_the_driver_call_inside_it_the_inner_one_counts() -> None:
    calls = make_calls([(THREAD, 11, 19, 1), (THREAD, 10, 20, 1)])
    ranges = make_ranges([(THREAD, 11, 19)])
    found = attribute(ranges, calls, make_kernels([(PROCESS, 50, 60, 1)]))
    assert found.inclusive.intervals.tolist() == [1]


def test_a_call_that_ends_with_the_range_is_inside_and_one_that_ends_later_is_not() -> None:
    calls = make_calls([(THREAD, 5, 20, 1), (THREAD, 5, 21, 2)])
    kernels = make_kernels([(PROCESS, 50, 60, 1), (PROCESS, 60, 90, 2)])
    found = attribute(make_ranges([(THREAD, 5, 20)]), calls, kernels)
    assert found.inclusive.total_ns.tolist() == [10]
    assert (found.coverage.outside, found.coverage.outside_ns) == (1, 30)
    assert found.coverage.share == 0.25


def test_a_kernel_belongs_to_the_range_of_its_launch_not_of_its_run() -> None:
    ranges = make_ranges([(THREAD, 0, 10), (THREAD, 20, 40)])
    found = attribute(ranges, make_calls([(THREAD, 1, 2, 1)]), make_kernels([(PROCESS, 25, 30, 1)]))
    assert found.inclusive.intervals.tolist() == [1, 0]


def test_without_kernels_there_is_no_share() -> None:
    found = attribute(make_ranges([(THREAD, 0, 10)]), make_calls([]), make_kernels([]))
    assert found.coverage.share is None
