"""The shortest range around each, where it is not the innermost: what nsys calls the parent."""

from __future__ import annotations

import numpy as np

from ..nsys.records import Bools, Int64s, Integers
from .chains import last_at_least


def shortest_around(start_ns: Int64s, end_ns: Int64s, outer: Integers) -> tuple[Int64s, Int64s]:
    """Find the ranges of a thread whose parent is longer than another one around them.

    The shorter one ends inside the longer one then, which starts later. Only ranges that end so are
    candidates, and only what has a parent that starts so is looked at.

    Args:
        start_ns: starts, outer ranges before inner ones.
        end_ns: ends.
        outer: position of the innermost range around each, −1 for none.

    Returns:
        Positions of these ranges, and of the shortest one around each; of equally short ones that
        which starts last.
    """
    candidate = np.flatnonzero(_ends_inside_later(start_ns, end_ns))
    inside = np.flatnonzero(outer >= 0)
    if not len(inside) or not len(candidate):
        return inside[:0], inside[:0]
    length_ns = end_ns[candidate] - start_ns[candidate]
    own = outer[inside]
    might = _starts_inside_earlier(start_ns, end_ns, outer)[own]
    inside = inside[might & (end_ns[own] - start_ns[own] > length_ns.min())]
    by_length = np.lexsort((-candidate, length_ns))
    shortness = np.empty(len(candidate), np.int64)
    shortness[by_length] = np.arange(len(candidate))
    before = np.searchsorted(candidate, inside)
    best = _least_of_prefix(end_ns[candidate], shortness, before, end_ns[inside])
    inside, best = inside[best < len(candidate)], best[best < len(candidate)]
    found, own = candidate[by_length[best]], outer[inside]
    differs = end_ns[found] - start_ns[found] < end_ns[own] - start_ns[own]
    return inside[differs], found[differs]


def _ends_inside_later(start_ns: Int64s, end_ns: Int64s) -> Bools:
    """Which ranges end inside one that starts later."""
    number = len(end_ns)
    later = number - 1 - last_at_least(end_ns[::-1], above=True)[::-1]  # the next that ends later
    at = np.flatnonzero(later < number)
    found = np.zeros(number, np.bool_)
    found[at] = start_ns[later[at]] <= end_ns[at]
    return found


def _starts_inside_earlier(start_ns: Int64s, end_ns: Int64s, outer: Integers) -> Bools:
    """Which ranges start inside an earlier one that ends sooner; perhaps a few more.

    Such an earlier one stands between the range and its parent, or between one of its parents and
    the parent of that.
    """
    found: Bools = _latest_end_inside(end_ns) >= start_ns
    ancestor = outer.astype(np.int64)
    active = np.flatnonzero(ancestor >= 0)
    while len(active):
        up = ancestor[active]
        found[active] |= found[up]
        ancestor[active] = ancestor[up]
        active = active[ancestor[active] >= 0]
    return found


def _latest_end_inside(end_ns: Int64s) -> Int64s:
    """The latest end between each range and its parent, the least integer where none is."""
    before = np.arange(-1, len(end_ns) - 1, dtype=np.int64)
    latest_ns = np.full(len(end_ns), np.iinfo(np.int64).min)
    active = np.arange(min(1, len(end_ns)), len(end_ns))
    while len(active):
        other = end_ns[before[active]]
        sooner = other < end_ns[active]
        active, other = active[sooner], other[sooner]
        latest_ns[active] = np.maximum(latest_ns[active], other)
        before[active] = before[before[active]]
        active = active[before[active] >= 0]
    return latest_ns


def _least_of_prefix(end_ns: Int64s, value: Int64s, before: Int64s, least_end_ns: Int64s) -> Int64s:
    """The least value among the first elements of a list that end late enough.

    A prefix is a few blocks whose lengths are powers of two; in each of these the elements are
    sorted by their ends, with the least value so far, so that one search answers.

    Args:
        end_ns: of each element.
        value: of each element; different ones from 0 on.
        before: how many of the first elements are meant, by question.
        least_end_ns: the end that they need, by question.
    """
    number = len(value)
    ends = np.unique(end_ns)
    sooner = len(ends) - 1 - np.searchsorted(ends, end_ns)  # 0 for the latest end
    most = len(ends) - 1 - np.searchsorted(ends, least_end_ns)
    best = np.full(len(before), number, np.int64)
    for power in range(number.bit_length()):
        asked = np.flatnonzero(before >> power & 1)
        if not len(asked):
            continue
        block = np.arange(number) >> power
        key = block * len(ends) + sooner
        order = np.argsort(key, kind="stable")
        # a running minimum that starts anew in each block: each has numbers of its own
        lowest = np.minimum.accumulate(value[order] - block[order] * number)
        lowest += block[order] * number
        own = (before[asked] >> power) - 1
        count = np.searchsorted(key[order], own * len(ends) + most[asked], side="right")
        some = count > own << power
        at = asked[some]
        best[at] = np.minimum(best[at], lowest[count[some] - 1])
    return best
