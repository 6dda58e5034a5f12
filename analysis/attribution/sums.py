"""Sums of numbers of operations, such as bytes, over the ranges that enclose their launch."""

from __future__ import annotations

import numpy as np

from ..nsys.records import Calls, Int64s, Integers
from .nesting import Nesting
from .range_tree import levels_of, range_trees


def inclusive_sums(nesting: Nesting, calls: Calls, launch: Integers, values: Int64s) -> Int64s:
    """Sum a number of each operation over every range that encloses its launch.

    Args:
        nesting: of the ranges.
        calls: API calls.
        launch: position in the calls of each operation's launch, −1 for none.
        values: number of each operation.

    Returns:
        One sum per range.
    """
    sums = np.zeros(len(nesting.parent), np.int64)
    at = np.flatnonzero(launch >= 0)
    made = launch[at]
    launches = Calls(
        calls.start_ns[made],
        calls.end_ns[made],
        calls.thread.select(made),
        calls.correlation[made],
    )
    for tree in range_trees(nesting.layers):
        node = tree.innermost(launches)[:-1]
        inside = np.flatnonzero(node >= 0)
        own = np.zeros(len(tree.member), np.int64)
        np.add.at(own, node[inside], values[at[inside]])
        for inner in reversed(levels_of(tree.depth)[1:]):
            np.add.at(own, tree.parent[inner], own[inner])
        sums[tree.member] = own
    return sums
