"""Ranges as trees: the paths of their names, and statistics of each range from those of its parts.

Where the operations of the parts of a range (its own, and each child's) follow each other in time,
the union of the whole is the sum of the unions of the parts; only where parts overlap are the
operations themselves sorted again. One pass per depth over the ranges, however many operations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..nsys.records import Calls, Int64s, Integers
from .intervals import Grouped, IntervalStatistics, batches, overlapping, spread, union_ns
from .nesting import Layer


class PathTree(NamedTuple):
    """The different paths of ranges; parents come before their children.

    Attributes:
        code: number of each range's path.
        parent: number of the path around each path, −1 for none.
        label: the last label of each path.
    """

    code: Int64s
    parent: Int64s
    label: npt.NDArray[np.generic]

    def depths(self) -> Int64s:
        """Number of labels above the last one of each path."""
        depths: list[int] = []
        for parent in self.parent.tolist():
            depths.append(depths[parent] + 1 if parent >= 0 else 0)
        return np.array(depths, np.int64)

    def texts(self, separator: str) -> list[str]:
        """Each path as text, the outermost label first; labels stand in it as they are."""
        texts: list[str] = []
        for parent, label in zip(self.parent.tolist(), self.label.tolist(), strict=True):
            texts.append(f"{texts[parent]}{separator}{label}" if parent >= 0 else str(label))
        return texts


def path_tree(parent: Int64s, levels: Sequence[Int64s], labels: npt.ArrayLike) -> PathTree:
    """Number the paths of nodes, level by level.

    Args:
        parent: position of the node around each node, −1 for none.
        levels: positions of the nodes of each depth, the outermost first.
        labels: a label per node.
    """
    label_code, label = pd.factorize(np.asarray(labels))
    code = np.zeros(len(parent) + 1, np.int64)
    code[-1] = -1  # for the parent −1
    parents, last_labels, paths = [], [], 0
    for level in levels:
        keys = (code[parent[level]] + 1) * len(label) + label_code[level]
        number, found = pd.factorize(keys)
        code[level] = number + paths
        parents.append(np.asarray(found) // len(label) - 1)
        last_labels.append(np.asarray(found) % len(label))
        paths += len(found)
    none = [np.empty(0, np.int64)]
    labels_used = np.asarray(label)[np.concatenate(last_labels or none)]
    return PathTree(code[:-1], np.concatenate(parents or none), labels_used)


def levels_of(depth: Int64s) -> list[Int64s]:
    """Positions of each depth, the outermost first."""
    order = np.argsort(depth, kind="stable")
    deepest = int(depth.max(initial=-1))
    edges = np.searchsorted(depth[order], np.arange(1, deepest + 1))
    return np.split(order, edges) if deepest >= 0 else []


@dataclass(frozen=True)
class RangeTree:
    """One layer of each thread, one after the other; outer ranges before inner ones.

    Attributes:
        layers: the layers; nodes are numbered through all of them.
        member: position of each range in the profile's ranges.
        parent: node of the next outer range, −1 for none.
        depth: number of ranges around it.
    """

    layers: tuple[Layer, ...]
    member: Int64s
    parent: Int64s
    depth: Int64s

    def innermost(self, calls: Calls) -> Integers:
        """Node of the innermost range around each call, −1 for none; at its end −1 for no call."""
        nodes = np.full(len(calls) + 1, -1, np.int32)
        code_of = {thread: code for code, thread in enumerate(calls.thread.distinct.tolist())}
        segments = _segments(calls.thread.code, len(code_of))
        offset = 0
        for layer in self.layers:
            if layer.thread in code_of:
                at = segments[code_of[layer.thread]]
                found = layer.innermost(calls.start_ns[at], calls.end_ns[at])
                found[found >= 0] += offset
                nodes[:-1][at] = found
            offset += len(layer.member)
        return nodes


def range_trees(layers: Sequence[Layer]) -> list[RangeTree]:
    """The first layers of all threads, then their second ones, and so on."""
    numbered: list[list[Layer]] = []
    seen: dict[int, int] = {}
    for layer in layers:
        number = seen[layer.thread] = seen.get(layer.thread, -1) + 1
        if number == len(numbered):
            numbered.append([])
        numbered[number].append(layer)
    return [_joined(tuple(some)) for some in numbered]


def _joined(layers: tuple[Layer, ...]) -> RangeTree:
    offsets = np.cumsum([0, *(len(layer.member) for layer in layers[:-1])])
    parents = [
        np.where(layer.parent >= 0, layer.parent + offset, -1)
        for layer, offset in zip(layers, offsets, strict=True)
    ]
    return RangeTree(
        layers=layers,
        member=np.concatenate([layer.member for layer in layers]),
        parent=np.concatenate(parents),
        depth=np.concatenate([layer.depth for layer in layers]),
    )


def _segments(code: Integers, codes: int) -> list[slice] | list[Int64s]:
    """Return what selects the calls of each thread: everything, where there is one thread only."""
    if codes == 1:
        return [slice(None)]
    order = np.argsort(code, kind="stable")
    return np.split(order, np.searchsorted(code[order], np.arange(1, codes)))


def inclusive_statistics(
    tree: RangeTree, intervals: Grouped, exclusive: IntervalStatistics
) -> IntervalStatistics:
    """Statistics of all operations inside each range, those of inner ranges too.

    Args:
        tree: the ranges.
        intervals: operations, grouped by the node of their innermost range.
        exclusive: statistics of these groups.
    """
    statistics = IntervalStatistics(*(column.copy() for column in exclusive))
    levels = levels_of(tree.depth)
    size = np.ones(len(tree.member), np.int64)
    for children in reversed(levels[1:]):
        parents = tree.parent[children]
        np.add.at(size, parents, size[children])
        worked = children[statistics.intervals[children] > 0]
        if not len(worked):
            continue
        tangled = _add_children(statistics, worked, tree.parent[worked])
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


def _unite(statistics: IntervalStatistics, nodes: Int64s, size: Int64s, intervals: Grouped) -> None:
    """Busy time of ranges from all operations inside them."""
    # what is inside a range stands right behind it, outer ranges coming before inner ones
    kind = intervals.group.dtype  # the same, or else all of them would be copied
    first = np.searchsorted(intervals.group, nodes.astype(kind))
    last = np.searchsorted(intervals.group, (nodes + size).astype(kind))
    for some in batches(last - first):
        inside, number = spread(first[some], last[some])
        start_ns = intervals.start_ns[inside]
        order = np.lexsort((start_ns, number))
        end_ns = intervals.end_ns[inside][order]
        statistics.busy_ns[nodes[some]] = union_ns(number[order], start_ns[order], end_ns)
