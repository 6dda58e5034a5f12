"""How ranges enclose each other, and which of them enclose a launch.

Ranges of one thread need not nest: start/end ranges and push/pop ranges of different domains may
overlap, and neighbours may share a timestamp that belongs to both. They are sorted into layers,
in each of which any two ranges nest or lie apart; what encloses a point of time within a layer is
then a chain of parents. Ordinary profiles need one layer or two per thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.nsys.records import Int64s, Ranges


@dataclass(frozen=True)
class Layer:
    """Ranges of one thread of which any two nest or lie apart, outer before inner.

    Attributes:
        thread: `globalTid` of the thread.
        member: position of each range of the layer in the profile's ranges.
        start_ns: their starts, ascending.
        end_ns: their ends.
        parent: place in this layer of the next outer range of the layer, −1 for none.
        depth: number of ranges of the layer around it.
    """

    thread: int
    member: Int64s
    start_ns: Int64s
    end_ns: Int64s
    parent: Int64s
    depth: Int64s

    def innermost(self, start_ns: Int64s, end_ns: Int64s) -> Int64s:
        """Place in this layer of the innermost range around each interval, −1 for none.

        Args:
            start_ns: starts of the intervals.
            end_ns: their ends; a range that starts or ends with the interval encloses it.
        """
        # The range that started last lies inside every range around the interval, or is it.
        place = np.searchsorted(self.start_ns, start_ns, side="right").astype(np.int64) - 1
        climbing = np.flatnonzero(place >= 0)
        while len(climbing):
            climbing = climbing[self.end_ns[place[climbing]] < end_ns[climbing]]
            place[climbing] = self.parent[place[climbing]]
            climbing = climbing[place[climbing] >= 0]
        return place


@dataclass(frozen=True)
class Nesting:
    """How the ranges of a profile enclose each other.

    Attributes:
        layers: every range is in exactly one of them.
        order: positions of all ranges, outer before inner.
        parent: position of the innermost other range of the thread that encloses each range,
            −1 for none. Of equal ranges, the one with the larger rowid is the inner one.
        depth: number of parents up to the outermost.
        rank: place of each range in `order`, and −1 at its end, for "no range".
    """

    layers: tuple[Layer, ...]
    order: Int64s
    parent: Int64s
    depth: Int64s
    rank: Int64s


def nest(ranges: Ranges) -> Nesting:
    """Find the parent of every range."""
    keys = (ranges.row_id, -ranges.end_ns, ranges.start_ns, ranges.thread)
    order = np.lexsort(keys).astype(np.int64)
    rank = np.r_[np.argsort(order), -1]
    layers = _layers(ranges, order)
    parent = _parents(layers, rank)
    depth = np.zeros(len(ranges), np.int64)
    for position in order[parent[order] >= 0]:
        depth[position] = depth[parent[position]] + 1
    return Nesting(layers, order, parent, depth, rank)


def innermost_range(
    layers: Sequence[Layer], rank: Int64s, thread: Int64s, start_ns: Int64s, end_ns: Int64s
) -> Int64s:
    """Position of the innermost range around each interval of a thread, −1 for none.

    Of overlapping ranges that both enclose the interval, the inner one is the one that starts
    later, then the one that ends earlier, then the one with the larger rowid.

    Args:
        layers: the ranges to search.
        rank: see `Nesting.rank`.
        thread: `globalTid` of each interval.
        start_ns: starts of the intervals.
        end_ns: their ends.
    """
    found = np.full(len(thread), -1, np.int64)
    for layer in layers:
        on_thread = np.flatnonzero(thread == layer.thread)
        place = layer.innermost(start_ns[on_thread], end_ns[on_thread])
        on_thread, place = on_thread[place >= 0], place[place >= 0]
        candidate = layer.member[place]
        better = rank[candidate] > rank[found[on_thread]]
        found[on_thread[better]] = candidate[better]
    return found


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
    builders: dict[int, list[_Builder]] = {}
    columns = (order, ranges.thread[order], ranges.start_ns[order], ranges.end_ns[order])
    for member, thread, start_ns, end_ns in zip(*(c.tolist() for c in columns), strict=True):
        of_thread = builders.setdefault(thread, [])
        if not any(builder.add(member, start_ns, end_ns) for builder in of_thread):
            of_thread.append(_Builder())
            of_thread[-1].add(member, start_ns, end_ns)
    return tuple(
        _finished(ranges, thread, builder)
        for thread, of_thread in builders.items()
        for builder in of_thread
    )


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


def _parents(layers: Sequence[Layer], rank: Int64s) -> Int64s:
    """The innermost of the parent within the range's own layer and the ranges of the others."""
    parent = np.full(len(rank) - 1, -1, np.int64)
    for own in layers:
        inside = own.parent >= 0
        parent[own.member[inside]] = own.member[own.parent[inside]]
        others = [layer for layer in layers if layer.thread == own.thread and layer is not own]
        if others:
            thread = np.full(len(own.member), own.thread, np.int64)
            outside = innermost_range(others, rank, thread, own.start_ns, own.end_ns)
            inner = rank[outside] > rank[parent[own.member]]
            parent[own.member[inner]] = outside[inner]
    return parent
