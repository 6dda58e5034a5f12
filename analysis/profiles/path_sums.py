"""The ranges of a profile added up by their path: sums, and exact quantiles of their busy times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..attribution.attribute import Attribution, projected
from ..attribution.intervals import IntervalStatistics
from ..attribution.sums import inside_sums
from ..nsys.records import Bools, Int64s, Integers, Operations
from .work import Kind, ProfileWork

OTHER_KINDS: dict[Kind, str] = {"copies": "copy", "memsets": "memset", "graphs": "graph"}
"""Kinds of work besides kernels, and how the columns of their times begin."""

_CHUNK = 1 << 20
_EXACT = 1 << 53
"""Whole numbers up to here are exact as floating-point numbers."""
_SHARE_STEPS = float(1 << 26)

Columns = dict[str, npt.NDArray[Any]]
"""Columns of a table by their names, all of one length."""


class Part(NamedTuple):
    """The operations of one kind in the ranges that have any.

    Attributes:
        worked: places of these ranges, ascending.
        found: statistics of the operations inside each.
        size_bytes: what the operations in the ranges of each group moved; None: not asked for.
    """

    worked: Integers
    found: IntervalStatistics
    size_bytes: npt.NDArray[Any] | None = None


def path_sums(
    work: ProfileWork, group: Integers, groups: int, *, only_worked: bool = False
) -> Columns:
    """Add up the ranges of each group, and what was launched inside them; times in ns.

    Args:
        work: of the profile.
        group: number of the group of the range at each place, such as its path.
        groups: how many there are.
        only_worked: count only ranges with work of any kind inside.

    Returns:
        A row per group; `first` is the place of its first range, the number of places if it has
        none.
    """
    places = None
    if only_worked:
        places = np.unique(np.concatenate([kind.worked for kind in work.kinds.values()]))
    parts = {
        kind: Part(
            of.worked,
            of.found,
            _bytes(work, kind, group, groups) if kind in ("copies", "memsets") else None,
        )
        for kind, of in work.kinds.items()
    }
    host = _host(work, group, groups, places)
    exclusive = _exclusive(work.kinds["kernels"], group, groups)
    return columns_of(host, parts, exclusive, group, groups)


def columns_of(
    host: Columns, parts: Mapping[Kind, Part], exclusive_ns: Int64s, group: Integers, groups: int
) -> Columns:
    """Add up what is inside the ranges of each group.

    Args:
        host: `calls`, `host_ns` and `first` of each group.
        parts: of all kinds.
        exclusive_ns: of the kernels of each group.
        group: number of the group of the range at each place.
        groups: how many there are.
    """
    columns = dict(host)
    kernels, span_ns = parts["kernels"], parts["kernels"].found.span_ns
    own, found = group[kernels.worked], kernels.found
    names = ("kernels", "kernel_sum_ns", "busy_ns", "span_ns")
    values = [found.intervals, found.total_ns, found.busy_ns, span_ns]
    columns.update(zip(names, sums_of(own, values, groups), strict=True))
    columns["exclusive_ns"] = exclusive_ns
    columns["launch_bound_share"] = _launch_bound(own, found.busy_ns, span_ns, groups)
    for kind, word in OTHER_KINDS.items():
        others = parts[kind]
        values = [others.found.intervals, others.found.total_ns]
        sums = sums_of(group[others.worked], values, groups)
        columns.update(zip((kind, f"{word}_sum_ns"), sums, strict=True))
        if others.size_bytes is not None:
            columns[f"{word}_bytes"] = others.size_bytes
    if len(parts["copies"].worked) or len(parts["memsets"].worked):
        worked, union = projected([parts[kind] for kind in ("kernels", "copies", "memsets")])
        columns["projected_ns"] = summed(group[worked], union.span_ns, groups)
    else:
        columns["projected_ns"] = columns["span_ns"]
    del span_ns, values
    columns.update(quantiles(own, found.busy_ns, columns["calls"]))
    return columns


def shown_sums(
    work: ProfileWork, group: Integers, groups: int, *, only_worked: bool = False
) -> Columns:
    """The same as `path_sums`, of the ranges that a question has left only."""
    if work.selection is None:
        return path_sums(work, group, groups, only_worked=only_worked)
    # ranges without a row are in one group more, which is left out
    shown = work.shown[work.nesting.order]
    own = np.where(shown, group, group.dtype.type(groups))
    columns = path_sums(work, own, groups + 1, only_worked=only_worked)
    return {name: column[:-1] for name, column in columns.items()}


def summed(group: Integers, values: Int64s, groups: int) -> Int64s:
    """The sum of the values of each group, exact as long as it fits in 64 bits.

    Args:
        group: of each value.
        values: whole numbers.
        groups: number of groups.
    """
    return sums_of(group, [values], groups)[0]


def sums_of(group: Integers, columns: Sequence[Int64s], groups: int) -> list[Int64s]:
    """The same of several values of each element."""
    found = [np.zeros(groups, np.int64) for _ in columns]
    for first in range(0, len(group), _CHUNK):
        own = group[first : first + _CHUNK].astype(np.intp, copy=False)  # once for all columns
        for number, values in enumerate(columns):
            part = values[first : first + _CHUNK]
            largest = max(int(part.max()), -int(part.min()))
            if largest * len(part) < _EXACT:
                found[number] += np.bincount(own, part, groups).astype(np.int64)
            else:
                np.add.at(found[number], own, part)
    return found


def _host(work: ProfileWork, group: Integers, groups: int, places: Integers | None) -> Columns:
    """Number, host time and first place of the ranges of each group."""
    number = len(group) if places is None else len(places)
    calls, host_ns = np.zeros(groups, np.int64), np.zeros(groups, np.int64)
    first_place = np.full(groups, len(group), np.int64)
    for first in reversed(range(0, number, _CHUNK)):
        last = min(first + _CHUNK, number)
        at = np.arange(first, last) if places is None else places[first:last]
        own = group[at]
        calls += np.bincount(own, minlength=groups)
        host_ns += summed(own, work.host_ns(at), groups)
        first_place[own[::-1]] = at[::-1]  # of one group the first one is written last
    return {"calls": calls, "host_ns": host_ns, "first": first_place}


def _bytes(work: ProfileWork, kind: Kind, group: Integers, groups: int) -> npt.NDArray[Any]:
    """Bytes that the operations in ranges of each group moved; NaN where one does not say."""
    operations, launch = work.kinds[kind].operations, work.kinds[kind].launch
    sizes, is_known = sizes_of(operations)
    place, sums = inside_sums(work.nesting, work.profile.calls, launch, sizes)
    total = summed(group[place], sums, groups)
    if is_known.all():
        return total
    unknown = (~is_known).astype(np.int64)
    place, sums = inside_sums(work.nesting, work.profile.calls, launch, unknown)
    return np.where(summed(group[place], sums, groups) > 0, np.nan, total)


def sizes_of(operations: Operations) -> tuple[Int64s, Bools]:
    """Bytes of each operation, 0 where they are unknown; and whether they are known."""
    if operations.size_bytes is None:
        none = np.zeros(len(operations), np.int64)
        return none, none.astype(np.bool_)
    sizes = operations.size_bytes.astype(np.int64)
    return np.maximum(sizes, 0), sizes >= 0


def _exclusive(kernels: Attribution, group: Integers, groups: int) -> Int64s:
    """Sum of the durations of the kernels of which a range of each group is the innermost."""
    operations = kernels.operations
    times = operations.start_ns, operations.end_ns
    return exclusive_sums(*times, kernels.innermost, group, groups)


def exclusive_sums(
    start_ns: Int64s, end_ns: Int64s, innermost: Integers, group: Integers, groups: int
) -> Int64s:
    """Sum of the durations of the operations of which a range of each group is the innermost.

    Args:
        start_ns: starts of the operations.
        end_ns: their ends.
        innermost: place of the innermost range of each, −1 for none.
        group: number of the group of the range at each place.
        groups: how many there are.
    """
    sums = np.zeros(groups, np.int64)
    for first in range(0, len(start_ns), _CHUNK):
        at = slice(first, first + _CHUNK)
        place = innermost[at]
        inside = place >= 0
        duration_ns = (end_ns[at] - start_ns[at])[inside]
        sums += summed(group[place[inside]], duration_ns, groups)
    return sums


def _launch_bound(
    group: Integers, busy_ns: Int64s, span_ns: Int64s, groups: int
) -> npt.NDArray[np.float64]:
    """Mean of 1 − busy / span over the ranges with a span; NaN where a group has none."""
    large_sums, small_sums = np.zeros(groups), np.zeros(groups)
    number = np.zeros(groups, np.int64)
    for first in range(0, len(group), _CHUNK):
        own, busy, span = (one[first : first + _CHUNK] for one in (group, busy_ns, span_ns))
        if not (span > 0).all():
            at = np.flatnonzero(span > 0)
            own, busy, span = own[at], busy[at], span[at]
        own = own.astype(np.intp, copy=False)
        share = 1 - busy / span
        # in two parts, so that the larger one is added without rounding
        large = np.rint(share * _SHARE_STEPS)
        large_sums += np.bincount(own, large, groups)
        share -= large / _SHARE_STEPS
        small_sums += np.bincount(own, share, groups)
        number += np.bincount(own, minlength=groups)
    with np.errstate(invalid="ignore"):
        found: npt.NDArray[np.float64] = (large_sums / _SHARE_STEPS + small_sums) / number
        return found


def quantiles(group: Integers, busy_ns: Int64s, calls: Int64s) -> Columns:
    """Median, 95th percentile (linear) and maximum of the busy times; of calls not given it is 0.

    Args:
        group: of each call that has kernels.
        busy_ns: its busy time.
        calls: number of calls of each group, with kernels or without.
    """
    busy = np.flatnonzero(busy_ns)
    group, busy_ns = group[busy], busy_ns[busy]
    given = np.bincount(group, minlength=len(calls))
    negative = np.bincount(group[busy_ns < 0], minlength=len(calls))
    values = _sorted_by_group(group, busy_ns)
    start = np.cumsum(given) - given
    zeros = calls - given

    def nth(number: Int64s) -> npt.NDArray[np.float64]:
        """The element of each group that stands at a position when all are sorted."""
        behind = number >= negative + zeros
        found = np.zeros(len(calls))
        is_given = (calls > 0) & (behind | (number < negative))
        at = start + number - np.where(behind, zeros, 0)
        found[is_given] = values[at[is_given]]
        return found

    position = 0.95 * (calls - 1)
    whole = position.astype(np.int64)
    below, above = nth(whole), nth(np.minimum(whole + 1, calls - 1))
    return {
        "call_busy_median_ns": (nth(calls // 2) + nth((calls - 1) // 2)) / 2,
        "call_busy_p95_ns": below + (above - below) * (position - whole),
        "call_busy_max_ns": nth(calls - 1).astype(np.int64),
    }


def _sorted_by_group(group: Integers, values: Int64s) -> Int64s:
    """The values by group, and within a group by their size."""
    if not len(values):
        return values
    bits = int(values.max()).bit_length()
    if values.min() >= 0 and bits + int(group.max()).bit_length() < 63:
        packed = group.astype(np.int64) << bits
        packed |= values
        packed.sort()
        packed &= (1 << bits) - 1
        return packed
    return values[np.lexsort((values, group))]
