"""How ranges enclose each other, and which of them is the innermost around a launch.

The ranges of a thread stand in an order in which outer ones come before inner ones: by start, the
later end first, then by rowid. The parent of a range, the innermost other one around it, is then
the last one before it that ends no sooner. This holds for any ranges, also where start/end ranges
or push/pop ranges of different domains overlap; where all of a thread nest, it is found faster.
The innermost range around an interval is the last one that starts no later, or one of the chain of
its parents: what lies between a range and its parent ends sooner than that range.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from ..nsys.records import Int64s, Integers, Ranges
from .chains import index_type, last_at_least, levels_up, searched
from .range_tree import levels_of
from .shortest import shortest_around

_CHUNK = 1 << 20


class ThreadRanges(NamedTuple):
    """The ranges of a thread.

    Attributes:
        thread: its `globalTid`.
        first: place of its first range in the order of all.
        last: place behind its last one.
        overlap: whether some of them overlap and do not nest.
    """

    thread: int
    first: int
    last: int
    overlap: bool


@dataclass(frozen=True)
class Nesting:
    """How the ranges of a profile enclose each other.

    A *place* is a position in `order`; arrays by place have outer ranges before inner ones, and
    those of a thread one after the other. `parent`, `depth`, `rank` and `tightest` have one
    element per range, as the profile has.

    Attributes:
        ranges: the ranges.
        order: position in the profile of the range at each place.
        start_ns: start of the range at each place; within a thread they ascend.
        outer: place of the innermost other range of the thread around each, −1 for none. Of equal
            ranges, the one with the larger rowid is the inner one.
        level: number of ranges up to the outermost, by place.
        threads: of the ranges, in the order of the places.
    """

    ranges: Ranges
    order: Integers
    start_ns: Int64s
    outer: Integers
    level: Integers
    threads: tuple[ThreadRanges, ...]

    def end_ns(self, place: Integers | slice) -> Int64s:
        """Ends of the ranges at some places."""
        found: Int64s = self.ranges.end_ns[self.order[place]]
        return found

    @cached_property
    def rank(self) -> Integers:
        """Place of each range, and −1 at the end, for "no range"."""
        rank = np.full(len(self.order) + 1, -1, self.order.dtype)
        rank[self.order] = np.arange(len(self.order), dtype=self.order.dtype)
        return rank

    @cached_property
    def parent(self) -> Integers:
        """Position of the innermost other range of the thread around each, −1 for none."""
        return self._by_position(np.append(self.order, -1)[self.outer])

    @cached_property
    def depth(self) -> Integers:
        """Number of parents up to the outermost."""
        return self._by_position(self.level)

    @cached_property
    def tightest(self) -> Integers:
        """Position of the shortest other range of the thread that encloses each, −1 for none.

        It is its parent in the reports of nsys, and differs from `parent` only where two ranges
        overlap and both enclose a third; of two equally short ones it is the innermost.
        """
        place, shortest = self.nested_otherwise()
        tightest = self.parent.copy()
        tightest[self.order[place]] = self.order[shortest]
        return tightest

    def nested_otherwise(self) -> tuple[Int64s, Int64s]:
        """Places of the ranges whose parent is not the shortest around them, and of that one."""
        found = [(np.empty(0, np.int64), np.empty(0, np.int64))]
        for thread in self.threads:
            if thread.overlap:
                own = slice(thread.first, thread.last)
                outer = np.maximum(self.outer[own].astype(np.int64) - thread.first, -1)
                parts = shortest_around(self.start_ns[own], self.end_ns(own), outer)
                found.append((parts[0] + thread.first, parts[1] + thread.first))
        place, shortest = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return place, shortest

    def innermost(self, thread: ThreadRanges, start_ns: Int64s, end_ns: Int64s) -> Integers:
        """Place of the innermost range around each interval of a thread, −1 for none.

        Args:
            thread: one of `threads`.
            start_ns: starts of the intervals.
            end_ns: their ends; a range that starts or ends with the interval encloses it.
        """
        place = last_started(self.start_ns[thread.first : thread.last], start_ns)
        place = place.astype(self.outer.dtype, copy=False)
        for first in range(0, len(place), _CHUNK):
            part, wanted_ns = place[first : first + _CHUNK], end_ns[first : first + _CHUNK]
            climbing = np.flatnonzero(part >= 0)
            part[climbing] += part.dtype.type(thread.first)
            while len(climbing):
                ends_ns = self.end_ns(part[climbing])
                climbing = climbing[ends_ns < wanted_ns[climbing]]
                part[climbing] = self.outer[part[climbing]]
                climbing = climbing[part[climbing] >= 0]
        return place

    def _by_position(self, values: Integers) -> Integers:
        found = np.empty_like(values)
        found[self.order] = values
        return found


def nest(ranges: Ranges) -> Nesting:
    """Find the parent of every range."""
    order, edges = _order(ranges)
    kind = order.dtype
    in_order = bool((order[1:] > order[:-1]).all())  # as in exports: no copies then
    start_ns = ranges.start_ns if in_order else ranges.start_ns[order]
    outer, level = np.full(len(order), -1, kind), np.zeros(len(order), kind)
    threads = []
    for thread, (first, last) in edges.items():
        own = slice(first, last)
        starts_ns = start_ns[own]
        ends_ns = ranges.end_ns[own] if in_order else ranges.end_ns[order[own]]
        found = _nested(starts_ns, ends_ns)
        overlap = found is None
        if found is None:
            around = last_at_least(ends_ns)
            found = around, levels_up(around)
        around, level[own] = found
        outer[own] = around
        outer[own][around >= 0] += kind.type(first)
        threads.append(ThreadRanges(thread, first, last, overlap))
    return Nesting(ranges, order, start_ns, outer, level, tuple(threads))


def last_started(starts_ns: Int64s, moments_ns: Int64s) -> Integers:
    """Position of the last start at or before each moment, −1 for none.

    Args:
        starts_ns: ascending.
        moments_ns: faster where they ascend.
    """
    if len(starts_ns) < len(moments_ns) and bool((moments_ns[1:] >= moments_ns[:-1]).all()):
        # far fewer starts than moments: search the moments for the starts
        edges = np.searchsorted(moments_ns, starts_ns, side="left")
        lengths = np.diff(np.r_[0, edges, len(moments_ns)])
        return np.repeat(np.arange(-1, len(starts_ns), dtype=np.int32), lengths)
    place = searched(starts_ns, moments_ns, "right")
    place -= place.dtype.type(1)
    return place


def _order(ranges: Ranges) -> tuple[Integers, dict[int, tuple[int, int]]]:
    """Positions by thread, start, end (the later first) and rowid; the places of each thread."""
    kind = index_type(len(ranges))
    number: Integers = np.arange(len(ranges), dtype=kind)
    names = ranges.thread.distinct
    by_name = np.argsort(names)
    sizes = np.bincount(ranges.thread.code, minlength=len(names))[by_name]
    if np.count_nonzero(sizes) > 1:
        rank = np.empty(len(names), ranges.thread.code.dtype)
        rank[by_name] = np.arange(len(names))
        number = np.argsort(rank[ranges.thread.code], kind="stable").astype(kind)
    ends = np.cumsum(sizes).tolist()
    edges = {
        int(name): (end - size, end)
        for name, size, end in zip(names[by_name].tolist(), sizes.tolist(), ends, strict=True)
        if size
    }
    for first, last in edges.values():
        number[first:last] = _sorted(ranges, number[first:last])
    return number, edges


def _sorted(ranges: Ranges, at: Integers) -> Integers:
    """Positions on one thread, outer ranges before inner ones."""
    starts_ns = ranges.start_ns[at]
    if not bool((starts_ns[1:] >= starts_ns[:-1]).all()):
        order = np.argsort(starts_ns)
        at, starts_ns = at[order], starts_ns[order]
    equal = starts_ns[1:] == starts_ns[:-1]
    if equal.any():
        tied = np.flatnonzero(np.r_[equal, False] | np.r_[False, equal])
        some = at[tied]
        # of integers, ~ turns the order round, and - does so but for the smallest
        keys = (ranges.row_id[some], ~ranges.end_ns[some], starts_ns[tied])
        at = at.copy()
        at[tied] = some[np.lexsort(keys)]
    return at


def _nested(start_ns: Int64s, end_ns: Int64s) -> tuple[Integers, Integers] | None:
    """Parents and depths of ranges of which any two nest or lie apart; None where some overlap."""
    if (end_ns < start_ns).any():
        return None
    # those that are still open at a range's start; if all nest, they are the ranges around it
    depth = np.arange(len(start_ns), dtype=np.int32)
    depth -= searched(np.sort(end_ns), start_ns, "left")
    outer = np.full(len(start_ns), -1, np.int32)
    for around, inside in pairwise(levels_of(depth)):
        if not len(inside):
            continue
        at = searched(around, inside, "left") - 1
        if not len(around) or at[0] < 0:
            return None
        parent = around[at]
        if (end_ns[parent] < end_ns[inside]).any():
            return None
        outer[inside] = parent
    return outer, depth
