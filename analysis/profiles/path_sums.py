"""The ranges of a profile added up by their path: sums, and exact quantiles of their busy times."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..attribution.attribute import Attribution, projected
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
    kernels = work.kinds["kernels"]
    places = None
    if only_worked:
        places = np.unique(np.concatenate([kind.worked for kind in work.kinds.values()]))
    columns = _host(work, group, groups, places)
    own = group[kernels.worked]
    found = kernels.found
    columns["kernels"] = summed(own, found.intervals, groups)
    columns["kernel_sum_ns"] = summed(own, found.total_ns, groups)
    columns["busy_ns"] = summed(own, found.busy_ns, groups)
    columns["span_ns"] = summed(own, found.span_ns, groups)
    columns["exclusive_ns"] = _exclusive(kernels, group, groups)
    columns["launch_bound_share"] = _launch_bound(own, found.busy_ns, found.span_ns, groups)
    for kind, word in OTHER_KINDS.items():
        others = work.kinds[kind]
        columns[kind] = summed(group[others.worked], others.found.intervals, groups)
        columns[f"{word}_sum_ns"] = summed(group[others.worked], others.found.total_ns, groups)
        if kind != "graphs":
            columns[f"{word}_bytes"] = _bytes(work, kind, group, groups)
    worked, union = projected([work.kinds[kind] for kind in ("kernels", "copies", "memsets")])
    columns["projected_ns"] = summed(group[worked], union.span_ns, groups)
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
    sums = np.zeros(groups, np.int64)
    for first in range(0, len(group), _CHUNK):
        own, part = group[first : first + _CHUNK], values[first : first + _CHUNK]
        largest = max(int(part.max()), -int(part.min()))
        if largest * len(part) < _EXACT:
            sums += np.bincount(own, part, groups).astype(np.int64)
        else:
            np.add.at(sums, own, part)
    return sums


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
    sums = np.zeros(groups, np.int64)
    operations = kernels.operations
    for first in range(0, len(operations), _CHUNK):
        at = slice(first, first + _CHUNK)
        place = kernels.innermost[at]
        inside = place >= 0
        duration_ns = (operations.end_ns[at] - operations.start_ns[at])[inside]
        sums += summed(group[place[inside]], duration_ns, groups)
    return sums


def _launch_bound(
    group: Integers, busy_ns: Int64s, span_ns: Int64s, groups: int
) -> npt.NDArray[np.float64]:
    """Mean of 1 − busy / span over the ranges with a span; NaN where a group has none."""
    at = np.flatnonzero(span_ns > 0)
    share = 1 - busy_ns[at] / span_ns[at]
    # in two parts, so that the larger one is added without rounding
    large = np.rint(share * _SHARE_STEPS)
    small = share - large / _SHARE_STEPS
    sums = np.bincount(group[at], large, groups) / _SHARE_STEPS
    sums += np.bincount(group[at], small, groups)
    number = np.bincount(group[at], minlength=groups)
    with np.errstate(invalid="ignore"):
        return sums / number


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
