"""Which operations were launched inside which ranges.

The launches of a thread stand in the order of their starts. Those inside a range then begin with
the first one that starts no sooner than the range, and, as calls of a thread follow each other, end
with the last one that ends no later: they are a slice, found by two searches, whether ranges nest
or overlap. Only where calls lie inside each other, some of a slice may have to be left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from ..nsys.records import Calls, Int64s, Integers
from .chains import is_ascending, searched
from .intervals import batches, spread
from .nesting import Nesting, ThreadRanges

_CHUNK = 1 << 20


class Launches(NamedTuple):
    """The operations of one kind that were launched by one thread, in the order of the launches.

    Attributes:
        thread: the ranges of the thread.
        at: what selects them among all operations of the kind.
        start_ns: starts of the API calls that launched them, ascending.
        end_ns: ends of these calls.
    """

    thread: ThreadRanges
    at: Any
    start_ns: Int64s
    end_ns: Int64s


class Inside(NamedTuple):
    """The operations inside each range of a thread that has any.

    Attributes:
        place: of the range, see `Nesting`.
        first: number of its first operation: in `Launches`, or behind them in `repeated`.
        last: number behind its last one.
        repeated: numbers in `Launches` of operations of ranges that have no slice of these.
    """

    place: Integers
    first: Int64s
    last: Int64s
    repeated: Int64s

    def numbered(self, values: Int64s) -> Int64s:
        """Values of launches, by the numbers of `first` and `last`."""
        return np.concatenate([values, values[self.repeated]]) if len(self.repeated) else values


def launches_of(nesting: Nesting, calls: Calls, launch: Integers) -> Iterator[Launches]:
    """The operations of a kind, thread by thread; those of a thread without ranges are left out.

    Args:
        nesting: the ranges.
        calls: API calls.
        launch: position in `calls` of each operation's launch, −1 for none.
    """
    number_of = {thread: code for code, thread in enumerate(calls.thread.distinct.tolist())}
    at_of_thread = _by_thread(calls, launch)
    for thread in nesting.threads:
        at = at_of_thread(number_of[thread.thread]) if thread.thread in number_of else slice(0)
        if len(launch[at]):
            yield _in_order(thread, at, calls, launch)  # of which nothing is kept here


def _in_order(thread: ThreadRanges, at: Any, calls: Calls, launch: Integers) -> Launches:
    own: Any = launch[at]
    if _follow_each_other(own):  # no copies then
        own = slice(int(own[0]), int(own[-1]) + 1)
    start_ns = calls.start_ns[own]
    if is_ascending(start_ns):
        return Launches(thread, at, start_ns, calls.end_ns[own])
    order = np.argsort(start_ns, kind="stable")
    at = order if isinstance(at, slice) else at[order]
    return Launches(thread, at, start_ns[order], calls.end_ns[launch[at]])


def _follow_each_other(positions: Integers) -> bool:
    """Whether each position is the next one after that before it."""
    if int(positions[-1]) - int(positions[0]) != len(positions) - 1:
        return False
    for first in range(0, len(positions), _CHUNK):
        part = positions[first : first + _CHUNK]
        if (np.diff(part) != 1).any() or int(part[0]) != int(positions[0]) + first:
            return False
    return True


def _by_thread(calls: Calls, launch: Integers) -> Callable[[int], Any]:
    """Return what tells what selects the operations of a thread: everything, where all are."""
    codes = len(calls.thread.distinct)
    has_launch = launch >= 0
    if codes == 1:
        whole = slice(None) if has_launch.all() else np.flatnonzero(has_launch)
        return lambda _code: whole
    with_launch = np.flatnonzero(has_launch)
    code = calls.thread.code[launch[with_launch]]
    order = with_launch[np.argsort(code, kind="stable")]
    ends = np.cumsum(np.bincount(code, minlength=codes))
    return lambda number: order[ends[number - 1] if number else 0 : ends[number]]


def inside(nesting: Nesting, launches: Launches) -> Inside:
    """Find the operations inside each range of a thread."""
    thread = launches.thread
    is_simple = is_ascending(launches.end_ns)
    # before `reached` all calls end in time, from `beyond` on none does
    reached = launches.end_ns if is_simple else np.maximum.accumulate(launches.end_ns)
    beyond = reached if is_simple else np.minimum.accumulate(launches.end_ns[::-1])[::-1]
    parts = []
    for begin in range(thread.first, thread.last, _CHUNK):
        places = np.arange(begin, min(begin + _CHUNK, thread.last), dtype=nesting.order.dtype)
        end_ns = nesting.end_ns(places)
        first = searched(launches.start_ns, nesting.start_ns[places], "left")
        last = searched(beyond, end_ns, "right")
        whole = last if is_simple else searched(reached, end_ns, "right")
        some = np.flatnonzero(last > first)
        mixed = last[some] > np.maximum(whole[some], first[some])
        parts.append((places[some], first[some], last[some], mixed))
    place, first, last, mixed = (np.concatenate(part) for part in zip(*parts, strict=True))
    found = Inside(place, first, last, np.empty(0, np.int64))
    return _filtered(nesting, launches, found, np.flatnonzero(mixed)) if mixed.any() else found


def _filtered(nesting: Nesting, launches: Launches, found: Inside, mixed: Int64s) -> Inside:
    """The same with slices of their own for ranges in whose slices some calls end too late."""
    first, last = found.first.astype(np.int64), found.last.astype(np.int64)
    kept: list[Int64s] = []
    number = len(launches.start_ns)
    for some in batches(last[mixed] - first[mixed]):
        at = mixed[some]
        call, of = spread(first[at], last[at])
        keep = launches.end_ns[call] <= nesting.end_ns(found.place[at])[of]
        ends = number + np.cumsum(np.bincount(of[keep], minlength=len(at)))
        first[at], last[at] = np.r_[number, ends[:-1]], ends
        kept.append(call[keep])
        number = int(ends[-1])
    has_any = last > first
    repeated = np.concatenate(kept)
    return Inside(found.place[has_any], first[has_any], last[has_any], repeated)
