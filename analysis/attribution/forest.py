"""Statistics of every range of a forest from those of its own operations and of its children.

Where the operations of the parts of a range (its own, and each child's) follow each other in time,
the union of the whole is the sum of the unions of the parts; only where parts overlap are the
operations themselves sorted again. One pass per depth over the ranges, however many operations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..nsys.records import Calls, Int64s, Integers
from .intervals import Grouped, IntervalStatistics, batches, overlapping, spread, union_ns
from .nesting import Layer
from .paths import levels_of


@dataclass(frozen=True)
class Forest:
    """One layer of each thread, one after the other; outer ranges before inner ones.

    Attributes:
        layers: the layers; places of this forest count through all of them.
        member: position of each range in the profile's ranges.
        parent: place of the next outer range, −1 for none.
        depth: number of ranges around it.
    """

    layers: tuple[Layer, ...]
    member: Int64s
    parent: Int64s
    depth: Int64s

    def places(self, calls: Calls) -> Integers:
        """Place of the innermost range around each call, −1 for none; at its end −1 for no call."""
        places = np.full(len(calls) + 1, -1, np.int32)
        code_of = {thread: code for code, thread in enumerate(calls.thread.distinct.tolist())}
        segments = _segments(calls.thread.code, len(code_of))
        offset = 0
        for layer in self.layers:
            if layer.thread in code_of:
                at = segments[code_of[layer.thread]]
                found = layer.innermost(calls.start_ns[at], calls.end_ns[at])
                found[found >= 0] += offset
                places[:-1][at] = found
            offset += len(layer.member)
        return places


def forests(layers: Sequence[Layer]) -> list[Forest]:
    """The first layers of all threads, then their second ones, and so on."""
    numbered: list[list[Layer]] = []
    seen: dict[int, int] = {}
    for layer in layers:
        number = seen[layer.thread] = seen.get(layer.thread, -1) + 1
        if number == len(numbered):
            numbered.append([])
        numbered[number].append(layer)
    return [_forest(tuple(some)) for some in numbered]


def _forest(layers: tuple[Layer, ...]) -> Forest:
    offsets = np.cumsum([0, *(len(layer.member) for layer in layers[:-1])])
    parents = [
        np.where(layer.parent >= 0, layer.parent + offset, -1)
        for layer, offset in zip(layers, offsets, strict=True)
    ]
    return Forest(
        layers=layers,
        member=np.concatenate([layer.member for layer in layers]),
        parent=np.concatenate(parents),
        depth=np.concatenate([layer.depth for layer in layers]),
    )


def _segments(code: Integers, codes: int) -> list[slice] | list[Int64s]:
    """What selects the calls of each thread: everything, where there is one thread only."""
    if codes == 1:
        return [slice(None)]
    order = np.argsort(code, kind="stable")
    return np.split(order, np.searchsorted(code[order], np.arange(1, codes)))


def inclusive_statistics(
    forest: Forest, intervals: Grouped, exclusive: IntervalStatistics
) -> IntervalStatistics:
    """Statistics of all operations inside each range, those of inner ranges too.

    Args:
        forest: the ranges.
        intervals: operations, grouped by the place of their innermost range.
        exclusive: statistics of these groups.
    """
    statistics = IntervalStatistics(*(column.copy() for column in exclusive))
    levels = levels_of(forest.depth)
    size = np.ones(len(forest.member), np.int64)
    for children in reversed(levels[1:]):
        parents = forest.parent[children]
        np.add.at(size, parents, size[children])
        worked = children[statistics.intervals[children] > 0]
        if not len(worked):
            continue
        tangled = _add_children(statistics, worked, forest.parent[worked])
        _unite(statistics, tangled, size[tangled], intervals)
    return statistics


def _add_children(statistics: IntervalStatistics, children: Int64s, parent: Int64s) -> Int64s:
    """Add children to their parents; those parents whose parts overlap are returned."""
    parents = np.unique(parent)
    own = parents[statistics.intervals[parents] > 0]
    part = np.r_[own, children]
    group = np.r_[own, parent]
    first_ns = statistics.first_ns[part]
    order = np.lexsort((first_ns, group))
    part, group, first_ns = part[order], group[order], first_ns[order]
    last_ns = statistics.last_ns[part]
    heads = np.flatnonzero(np.r_[True, group[1:] != group[:-1]])
    at = group[heads]
    tangled = np.unique(group[1:][overlapping(group, first_ns, last_ns)])
    sums = [
        np.add.reduceat(column[part], heads)
        for column in (statistics.intervals, statistics.total_ns, statistics.busy_ns)
    ]
    statistics.intervals[at], statistics.total_ns[at], statistics.busy_ns[at] = sums
    statistics.first_ns[at] = first_ns[heads]
    statistics.last_ns[at] = np.maximum.reduceat(last_ns, heads)
    return tangled


def _unite(
    statistics: IntervalStatistics, places: Int64s, size: Int64s, intervals: Grouped
) -> None:
    """Busy time of ranges from all operations inside them."""
    # what is inside a range stands right behind it, outer ranges coming before inner ones
    kind = intervals.group.dtype  # the same, or else all of them would be copied
    first = np.searchsorted(intervals.group, places.astype(kind))
    last = np.searchsorted(intervals.group, (places + size).astype(kind))
    for some in batches(last - first):
        inside, number = spread(first[some], last[some])
        start_ns = intervals.start_ns[inside]
        order = np.lexsort((start_ns, number))
        end_ns = intervals.end_ns[inside][order]
        statistics.busy_ns[places[some]] = union_ns(number[order], start_ns[order], end_ns)
