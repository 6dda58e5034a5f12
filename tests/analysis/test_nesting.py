"""Parents of ranges against the definition, tried on every pair."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.attribution.nesting import nest
from analysis.attribution.range_tree import levels_of, path_tree
from tests.analysis.builders import RangeRow, make_ranges

ranges = st.lists(
    st.tuples(st.sampled_from([1, 2]), st.integers(0, 12), st.integers(0, 8)), max_size=14
).map(lambda rows: [(thread, start, start + length) for thread, start, length in rows])


def enclosing(rows: list[RangeRow], position: int) -> list[int]:
    """The ranges around another one; of equal ranges the earlier row is outer."""
    thread, start, end = rows[position]
    return [
        other
        for other, (on, first, last) in enumerate(rows)
        if on == thread
        and first <= start
        and end <= last
        and ((first, last) != (start, end) or other < position)
    ]


def naive_parent(rows: list[RangeRow], position: int) -> int:
    """The innermost range that encloses another one."""
    around = enclosing(rows, position)
    return max(around, key=lambda at: (rows[at][1], -rows[at][2], at), default=-1)


@given(ranges)
def test_parents_agree_with_trying_every_pair(rows: list[RangeRow]) -> None:
    nesting = nest(make_ranges(rows))
    assert nesting.parent.tolist() == [naive_parent(rows, at) for at in range(len(rows))]


@given(ranges)
def test_depth_counts_the_parents(rows: list[RangeRow]) -> None:
    nesting = nest(make_ranges(rows))
    for position, depth in enumerate(nesting.depth):
        steps = 0
        while (position := int(nesting.parent[position])) >= 0:
            steps += 1
        assert depth == steps


@given(ranges)
def test_the_shortest_range_around_each_agrees_with_trying_every_pair(rows: list[RangeRow]) -> None:
    nesting = nest(make_ranges(rows))
    lengths = [end - start for _, start, end in rows]
    for position, (found, parent) in enumerate(zip(nesting.tightest, nesting.parent, strict=True)):
        around = enclosing(rows, position)
        if not around:
            assert found == parent == -1
            continue
        shortest = min(lengths[at] for at in around)
        assert found in around
        assert lengths[found] == shortest
        assert lengths[parent] > shortest or found == parent


@given(ranges)
def test_outer_ranges_come_first_and_a_thread_says_whether_its_ranges_overlap(
    rows: list[RangeRow],
) -> None:
    nesting = nest(make_ranges(rows))
    order = nesting.order.tolist()
    keys = [(rows[at][0], rows[at][1], -rows[at][2], at) for at in order]
    assert keys == sorted(keys)
    assert [int(nesting.rank[at]) for at in order] == list(range(len(rows)))
    for thread, first, last, overlap in nesting.threads:
        members = [rows[at] for at in order[first:last]]
        assert {row[0] for row in members} == {thread}
        assert overlap == any(a[1] < b[1] <= a[2] < b[2] for a in members for b in members)


def test_ranges_that_nest() -> None:
    nesting = nest(make_ranges([(1, 0, 100), (1, 10, 40), (1, 20, 30), (1, 50, 60)]))
    assert [thread.overlap for thread in nesting.threads] == [False]
    assert nesting.parent.tolist() == [-1, 0, 1, 0]


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_hundreds_of_ranges(seed: int, nested: bool) -> None:
    """Where chains of parents and of neighbours are long."""
    generator = np.random.default_rng(seed)
    if nested:  # open and close at random
        rows, still_open, now = [], [], 0
        for opens in generator.integers(0, 2, 400).tolist():
            now += 1
            if opens:
                still_open.append(now)
            elif still_open:
                rows.append((1, still_open.pop(), now))
        rows += [(1, start, now + 1) for start in still_open]
    else:
        starts = generator.integers(0, 300, 200)
        lengths = generator.choice([1, 5, 100], 200)
        rows = [(1, int(s), int(s + n)) for s, n in zip(starts, lengths, strict=True)]
    nesting = nest(make_ranges(rows))
    assert nesting.parent.tolist() == [naive_parent(rows, at) for at in range(len(rows))]
    for position, found in enumerate(nesting.tightest.tolist()):
        lengths_around = [rows[at][2] - rows[at][1] for at in enclosing(rows, position)]
        assert (found < 0) == (not lengths_around)
        assert found < 0 or rows[found][2] - rows[found][1] == min(lengths_around)


def test_thousands_of_levels() -> None:
    depth = 5000
    rows = [(1, level, 3 * depth - level) for level in range(depth)]
    nesting = nest(make_ranges(rows))
    assert nesting.depth.tolist() == list(range(depth))
    (thread,) = nesting.threads
    innermost = nesting.innermost(thread, np.array([depth]), np.array([depth + 1]))
    assert innermost.tolist() == [depth - 1]


def test_paths_name_every_level() -> None:
    rows = [(1, 5, 6), (1, 0, 9), (1, 4, 8)]
    ranges = make_ranges(rows, ["teacher", "measure", "image"])
    nesting = nest(ranges)
    paths = path_tree(nesting.parent, levels_of(nesting.depth), ranges.name)

    def text(code: int) -> str:
        around = int(paths.parent[code])
        return f"{f'{text(around)}/' if around >= 0 else ''}{paths.label[code]}"

    assert [text(code) for code in paths.code.tolist()] == [
        "measure/image/teacher",
        "measure",
        "measure/image",
    ]
