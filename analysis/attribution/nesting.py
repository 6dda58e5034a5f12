"""How ranges enclose each other, and which of them enclose a launch.

Ranges of one thread need not nest: start/end ranges and push/pop ranges of different domains may
overlap, and neighbours may share a timestamp that belongs to both. They are sorted into layers,
in each of which any two ranges nest or lie apart; what encloses a point of time within a layer is
then a chain of parents. Ordinary profiles need one layer or two per thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ..nsys.records import Int64s, Integers, Ranges

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Layer:
    """Ranges of one thread of which any two nest or lie apart, outer before inner.

    Attributes:
        thread: `globalTid` of the thread.
        member: position of each range of the layer in the profile's ranges.
        start_ns: their starts, ascending.
        end_ns: their ends.
        parent: position in this layer of the next outer range of the layer, −1 for none.
        depth: number of ranges of the layer around it.
    """

    thread: int
    member: Int64s
    start_ns: Int64s
    end_ns: Int64s
    parent: Int64s
    depth: Int64s

    def innermost(self, start_ns: Int64s, end_ns: Int64s) -> Integers:
        """Position in this layer of the innermost range around each interval, −1 for none.

        Args:
            start_ns: starts of the intervals.
            end_ns: their ends; a range that starts or ends with the interval encloses it.
        """
        # The range that started last lies inside every range around the interval, or is it.
        node = _last_started(self.start_ns, start_ns)
        for first in range(0, len(node), _CHUNK):
            self._climb(node[first : first + _CHUNK], end_ns[first : first + _CHUNK])
        return node

    def _climb(self, node: Integers, end_ns: Int64s) -> None:
        """Replace ranges that end too early by the next outer ones."""
        climbing = np.flatnonzero(node >= 0)
        while len(climbing):
            climbing = climbing[self.end_ns[node[climbing]] < end_ns[climbing]]
            node[climbing] = self.parent[node[climbing]]
            climbing = climbing[node[climbing] >= 0]


def _last_started(starts_ns: Int64s, moments_ns: Int64s) -> Integers:
    """Position of the last start at or before each moment, −1 for none."""
    kind = np.int32 if len(starts_ns) < 2**31 else np.int64
    if bool((moments_ns[1:] >= moments_ns[:-1]).all()):
        # far fewer starts than moments: search the moments for the starts
        edges = np.searchsorted(moments_ns, starts_ns, side="left")
        lengths = np.diff(np.r_[0, edges, len(moments_ns)])
        return np.repeat(np.arange(-1, len(starts_ns), dtype=kind), lengths)
    node: Integers = np.searchsorted(starts_ns, moments_ns, side="right").astype(kind)
    node -= kind(1)
    return node


@dataclass(frozen=True)
class Nesting:
    """How the ranges of a profile enclose each other.

    Attributes:
        layers: every range is in exactly one of them.
        order: positions of all ranges, outer before inner.
        parent: position of the innermost other range of the thread that encloses each range,
            −1 for none. Of equal ranges, the one with the larger rowid is the inner one.
        tightest: position of the shortest other range of the thread that encloses each range, −1
            for none: its parent in the reports of nsys. It differs from `parent` only where two
            ranges overlap and both enclose a third.
        depth: number of parents up to the outermost.
        rank: position of each range in `order`, and −1 at its end, for "no range".
    """

    layers: tuple[Layer, ...]
    order: Int64s
    parent: Int64s
    tightest: Int64s
    depth: Int64s
    rank: Int64s


def nest(ranges: Ranges) -> Nesting:
    """Find the parent of every range."""
    keys = (ranges.row_id, -ranges.end_ns, ranges.start_ns, ranges.thread)
    order = np.lexsort(keys).astype(np.int64)
    rank = np.r_[np.argsort(order), -1]
    layers = _layers(ranges, order)
    parent, tightest = _parents(layers, rank)
    return Nesting(layers, order, parent, tightest, _depths(layers, order, parent), rank)


def enclosing_ranges(
    layers: Sequence[Layer], rank: Int64s, start_ns: Int64s, end_ns: Int64s
) -> tuple[Int64s, Int64s]:
    """Positions of the innermost and of the shortest range around each interval of a thread.

    They differ where ranges overlap and both enclose the interval: the innermost is the one that
    starts later, then the one that ends earlier, then the one with the larger rowid.

    Args:
        layers: the ranges of the thread to search.
        rank: see `Nesting.rank`.
        start_ns: starts of the intervals.
        end_ns: their ends.

    Returns:
        Both are −1 where no range encloses the interval; of two equally short ones the innermost.
    """
    innermost = np.full(len(start_ns), -1, np.int64)
    shortest = innermost.copy()
    innermost_ns = np.full(len(start_ns), np.iinfo(np.int64).max)
    shortest_ns = innermost_ns.copy()
    for layer in layers:
        node = layer.innermost(start_ns, end_ns)
        at = np.flatnonzero(node >= 0)
        candidate = layer.member[node[at]]
        candidate_ns = (layer.end_ns - layer.start_ns)[node[at]]
        better = rank[candidate] > rank[innermost[at]]
        innermost[at[better]], innermost_ns[at[better]] = candidate[better], candidate_ns[better]
        shorter = candidate_ns < shortest_ns[at]
        shortest[at[shorter]], shortest_ns[at[shorter]] = candidate[shorter], candidate_ns[shorter]
    return innermost, np.where(innermost_ns == shortest_ns, innermost, shortest)


class _Builder:
    """Collects a layer; ranges arrive in the order outer before inner."""

    def __init__(self) -> None:
        self.members: list[int] = []
        self.parents: list[int] = []
        self.depths: list[int] = []
        self._ends: list[int] = []
        self._open: list[int] = []

    def add(self, member: int, start_ns: int, end_ns: int) -> bool:
        """Take the range in, unless it overlaps one that is there."""
        while self._open and self._ends[self._open[-1]] < start_ns:
            self._open.pop()
        if self._open and self._ends[self._open[-1]] < end_ns:
            return False
        self.parents.append(self._open[-1] if self._open else -1)
        self.depths.append(len(self._open))
        self._open.append(len(self.members))
        self.members.append(member)
        self._ends.append(end_ns)
        return True


def _layers(ranges: Ranges, order: Int64s) -> tuple[Layer, ...]:
    thread = ranges.thread[order]
    of_threads = np.split(order, np.flatnonzero(thread[1:] != thread[:-1]) + 1)
    return tuple(
        layer for members in of_threads if len(members) for layer in _layers_of(ranges, members)
    )


def _layers_of(ranges: Ranges, members: Int64s) -> list[Layer]:
    """The layers of one thread, whose ranges come outer before inner."""
    thread = int(ranges.thread[members[0]])
    alone = _only_layer(ranges, thread, members)
    if alone is not None:
        return [alone]
    builders: list[_Builder] = []
    columns = (members, ranges.start_ns[members], ranges.end_ns[members])
    for member, start_ns, end_ns in zip(*(c.tolist() for c in columns), strict=True):
        if not any(builder.add(member, start_ns, end_ns) for builder in builders):
            builders.append(_Builder())
            builders[-1].add(member, start_ns, end_ns)
    return [_finished(ranges, thread, builder) for builder in builders]


def _only_layer(ranges: Ranges, thread: int, members: Int64s) -> Layer | None:
    """The layer of ranges of which any two nest or lie apart; None where some overlap."""
    start_ns, end_ns = ranges.start_ns[members], ranges.end_ns[members]
    number = np.arange(len(members))
    ended_before = np.searchsorted(np.sort(end_ns), start_ns, side="left")
    depth = number - ended_before  # open at its start; if they nest, the ranges around it
    if (end_ns < start_ns).any() or (depth < 0).any():
        return None
    parent = np.full(len(members), -1, np.int64)
    by_depth = np.argsort(depth, kind="stable")
    levels = np.split(by_depth, np.searchsorted(depth[by_depth], np.arange(1, depth.max() + 1)))
    for outer, inner in pairwise(levels):
        at = np.searchsorted(outer, inner) - 1
        if len(inner) and (not len(outer) or at[0] < 0):
            return None
        parent[inner] = outer[at]
        if (end_ns[parent[inner]] < end_ns[inner]).any():
            return None
    return Layer(thread, members, start_ns, end_ns, parent, depth)


def _depths(layers: Sequence[Layer], order: Int64s, parent: Int64s) -> Int64s:
    depth = np.zeros(len(parent), np.int64)
    threads = [layer.thread for layer in layers]
    if len(set(threads)) == len(threads):
        for layer in layers:
            depth[layer.member] = layer.depth
        return depth
    depths, parents = depth.tolist(), parent.tolist()
    for position in order.tolist():  # outer before inner
        if parents[position] >= 0:
            depths[position] = depths[parents[position]] + 1
    return np.array(depths, np.int64)


def _finished(ranges: Ranges, thread: int, builder: _Builder) -> Layer:
    member = np.array(builder.members, np.int64)
    return Layer(
        thread=thread,
        member=member,
        start_ns=ranges.start_ns[member],
        end_ns=ranges.end_ns[member],
        parent=np.array(builder.parents, np.int64),
        depth=np.array(builder.depths, np.int64),
    )


def _parents(layers: Sequence[Layer], rank: Int64s) -> tuple[Int64s, Int64s]:
    """The innermost and the shortest of the ranges around each, in its own layer and in others."""
    parent = np.full(len(rank) - 1, -1, np.int64)
    tightest = parent.copy()
    length_ns = np.full(len(rank), np.iinfo(np.int64).max)  # at its end of "no range"
    of_thread: dict[int, list[Layer]] = {}
    for layer in layers:
        of_thread.setdefault(layer.thread, []).append(layer)
        length_ns[layer.member] = layer.end_ns - layer.start_ns
    for own in layers:
        around = np.where(own.parent >= 0, own.member[own.parent], -1)
        parent[own.member] = tightest[own.member] = around
        others = [layer for layer in of_thread[own.thread] if layer is not own]
        if others:
            outside, shortest = enclosing_ranges(others, rank, own.start_ns, own.end_ns)
            inner = rank[outside] > rank[around]
            parent[own.member[inner]] = outside[inner]
            shorter = length_ns[shortest] < length_ns[around]
            tightest[own.member[shorter]] = shortest[shorter]
    equal = length_ns[tightest] == length_ns[parent]
    return parent, np.where(equal, parent, tightest)
