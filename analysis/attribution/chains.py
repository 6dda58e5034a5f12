"""Searching in sorted arrays, and following chains of elements, for all elements at once."""

from __future__ import annotations

from typing import Literal

import numpy as np

from ..nsys.records import Int64s, Integers

_BLOCK = 1 << 15
"""Needles that are searched for at once, in a part of the haystack that fits in a near cache."""


def index_type(number: int) -> type[np.int32 | np.int64]:
    """The type of positions in an array of so many elements."""
    return np.int32 if number < 2**31 else np.int64


def searched(haystack: Int64s, needles: Int64s, side: Literal["left", "right"]) -> Integers:
    """The same as `np.searchsorted`, faster for needles that lie near their neighbours."""
    found: Integers = np.empty(len(needles), index_type(len(haystack)))
    for first in range(0, len(needles), _BLOCK):
        part = needles[first : first + _BLOCK]
        low = int(np.searchsorted(haystack, part.min(), "left"))
        high = int(np.searchsorted(haystack, part.max(), "right"))
        at = np.searchsorted(haystack[low:high], part, side)
        found[first : first + _BLOCK] = at + low
    return found


def last_at_least(values: Int64s, *, above: bool = False) -> Integers:
    """Position of the last earlier element that is no smaller than each, −1 for none.

    Args:
        values: any.
        above: demand a larger one.
    """
    before = np.arange(-1, len(values) - 1, dtype=np.int64)
    active = np.arange(min(1, len(values)), len(values))
    while len(active):
        other, own = values[before[active]], values[active]
        active = active[other <= own if above else other < own]
        # all at once: each jumps over what the other has already jumped over
        before[active] = before[before[active]]
        active = active[before[active] >= 0]
    return before


def levels_up(outer: Integers) -> Integers:
    """Number of parents of each element up to the outermost."""
    ancestor = outer.copy()
    active = np.flatnonzero(ancestor >= 0)
    level = (ancestor >= 0).astype(np.int32)
    while len(active):
        up = ancestor[active]
        level[active] += level[up]
        ancestor[active] = ancestor[up]
        active = active[ancestor[active] >= 0]
    return level


def is_ascending(values: Integers) -> bool:
    """Whether no element is smaller than the one before it."""
    return bool((values[1:] >= values[:-1]).all())
