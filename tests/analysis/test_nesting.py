"""Parents of ranges against the definition, tried on every pair."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from analysis.attribution.nesting import nest
from analysis.attribution.range_tree import levels_of, path_tree
from tests.analysis.builders import RangeRow, make_ranges

ranges = st.lists(
    st.tuples(st.sampled_from([1, 2]), st.integers(0, 12), st.integers(0, 8)), max_size=14
).map(lambda rows: [(thread, start, start + length) for thread, start, length in rows])


def naive_parent(rows: list[RangeRow], position: int) -> int:
    """The innermost range that encloses another one; of equal ranges the earlier row is outer."""
    thread, start, end = rows[position]
    enclosing = [
        other
        for other, (on, first, last) in enumerate(rows)
        if on == thread
        and first <= start
        and end <= last
        and ((first, last) != (start, end) or other < position)
    ]
    return max(enclosing, key=lambda at: (rows[at][1], -rows[at][2], at), default=-1)


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
def test_every_range_is_in_one_layer_in_which_none_overlaps(rows: list[RangeRow]) -> None:
    nesting = nest(make_ranges(rows))
    members = [int(member) for layer in nesting.layers for member in layer.member]
    assert sorted(members) == list(range(len(rows)))
    for layer in nesting.layers:
        for a, b in zip(layer.member[:-1], layer.member[1:], strict=True):
            (_, _, end_a), (_, start_b, end_b) = rows[a], rows[b]
            assert start_b > end_a or end_b <= end_a


def test_ranges_that_nest_need_one_layer() -> None:
    nesting = nest(make_ranges([(1, 0, 100), (1, 10, 40), (1, 20, 30), (1, 50, 60)]))
    assert len(nesting.layers) == 1
    assert nesting.parent.tolist() == [-1, 0, 1, 0]


def test_thousands_of_levels() -> None:
    depth = 5000
    rows = [(1, level, 3 * depth - level) for level in range(depth)]
    nesting = nest(make_ranges(rows))
    assert nesting.depth.tolist() == list(range(depth))
    innermost = nesting.layers[0].innermost(np.array([depth]), np.array([depth + 1]))
    assert innermost.tolist() == [depth - 1]


def test_paths_name_every_level() -> None:
    rows = [(1, 5, 6), (1, 0, 9), (1, 4, 8)]
    ranges = make_ranges(rows, ["teacher", "measure", "image"])
    nesting = nest(ranges)
    paths = path_tree(nesting.parent, levels_of(nesting.depth), ranges.name)
    texts = paths.texts("/")
    assert [texts[code] for code in paths.code.tolist()] == [
        "measure/image/teacher",
        "measure",
        "measure/image",
    ]
