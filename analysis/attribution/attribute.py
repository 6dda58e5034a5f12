"""Kernel times per range: inclusive, exclusive, busy and span."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..nsys.records import Bools, Calls, Int64s, Integers, Operations, Ranges, process_of
from .intervals import (
    IntervalStatistics,
    empty_statistics,
    grouped,
    interval_statistics,
    statistics_of,
)
from .nesting import Nesting, nest
from .range_tree import RangeTree, inclusive_statistics, range_trees

_CHUNK = 1 << 20
_DENSE = 8
"""Largest width of the correlation ids, in calls, up to which a table of all ids is kept."""


def launch_of(calls: Calls, operations: Operations) -> Integers:
    """Position in `calls` of the call that launched each operation, −1 where there is none.

    Operations and calls are joined by process and correlation id, because correlation ids repeat
    between processes. Where one id has several calls (some schemas record the runtime call and the
    driver's entry inside it) the one that starts last counts, and only that: on one thread it lies
    within the others, so that a range encloses it whenever it encloses any of them. Of equal ones
    the later row counts.
    """
    launch: Integers = np.full(len(operations), -1, np.int32 if len(calls) < 2**31 else np.int64)
    if not len(calls) or not len(operations):
        return launch
    of_thread = process_of(calls.thread.distinct)
    for code, process in enumerate(operations.process.distinct.tolist()):
        own_calls = _where(of_thread == process, calls.thread.code)
        own = _where(np.arange(len(operations.process.distinct)) == code, operations.process.code)
        launch[own] = _joined(calls, own_calls, operations.correlation[own])
    return launch


def _where(chosen: npt.NDArray[np.bool_], code: Integers) -> Any:
    """Return what selects the elements whose code is chosen: everything, where all are."""
    return slice(None) if chosen.all() else np.flatnonzero(chosen[code])


def _joined(calls: Calls, own: Any, correlation: Integers) -> Integers:
    """Position of the call of each correlation id among the calls of one process."""
    position = np.arange(len(calls), dtype=np.int32 if len(calls) < 2**31 else np.int64)[own]
    found = np.full(len(correlation), -1, position.dtype)
    if not len(position):
        return found
    ids = calls.correlation[own]
    lowest, width = int(ids.min()), int(ids.max()) - int(ids.min()) + 1
    is_dense = width <= _DENSE * len(ids) + _CHUNK
    table = _table(calls, position, ids, lowest, width) if is_dense else None
    ordered = None if is_dense else _ordered(calls, position, ids)
    for first in range(0, len(correlation), _CHUNK):
        wanted = correlation[first : first + _CHUNK].astype(np.int64)
        into = found[first : first + _CHUNK]
        if table is not None:
            inside = (wanted >= max(lowest, 0)) & (wanted < lowest + width)
            into[inside] = table[wanted[inside] - lowest]
        elif ordered is not None:
            order, sorted_ids = ordered
            at = np.searchsorted(sorted_ids, wanted, side="right") - 1
            inside = (at >= 0) & (wanted >= 0)
            inside[inside] = sorted_ids[at[inside]] == wanted[inside]
            into[inside] = order[at[inside]]
    return found


def _table(calls: Calls, position: Integers, ids: Integers, lowest: int, width: int) -> Integers:
    """The call of each id from the lowest on, −1 for none: no sorting, ids being nearly dense."""
    table = np.full(width, -1, position.dtype)
    chunks = [slice(first, first + _CHUNK) for first in range(0, len(ids), _CHUNK)]
    for chunk in chunks:
        table[ids[chunk].astype(np.int64) - lowest] = position[chunk]
    repeated = np.zeros(width, np.bool_)
    for chunk in chunks:
        offset = ids[chunk].astype(np.int64) - lowest
        repeated[offset[table[offset] != position[chunk]]] = True
    if repeated.any():  # several calls have one id
        of_repeated = np.flatnonzero(repeated[ids.astype(np.int64) - lowest])
        order, sorted_ids = _ordered(calls, position[of_repeated], ids[of_repeated])
        is_last = np.r_[sorted_ids[1:] != sorted_ids[:-1], True]
        table[sorted_ids[is_last] - lowest] = order[is_last]
    return table


def _ordered(calls: Calls, position: Integers, ids: Integers) -> tuple[Integers, Int64s]:
    """Positions by id, of one id the call that counts last; and their ids."""
    order = np.lexsort((-calls.end_ns[position], calls.start_ns[position], ids))
    return position[order], ids[order].astype(np.int64)


class Coverage(NamedTuple):
    """Operations of one kind, and which of them belong to no range.

    Attributes:
        kernels: all of them.
        kernel_ns: sum of their durations.
        without_launch: those whose API call is not in the profile.
        without_launch_ns: sum of their durations.
        outside: those launched outside every range of the launching thread.
        outside_ns: sum of their durations.
    """

    kernels: int
    kernel_ns: int
    without_launch: int
    without_launch_ns: int
    outside: int
    outside_ns: int

    @property
    def stray_ns(self) -> int:
        """Sum of the durations of those that belong to no range."""
        return self.without_launch_ns + self.outside_ns

    @property
    def share(self) -> float | None:
        """Share of the time that belongs to a range; None without kernels."""
        return 1.0 - self.stray_ns / self.kernel_ns if self.kernel_ns else None


@dataclass(frozen=True)
class Attribution:
    """The operations of each range; arrays have one element per range or operation.

    Attributes:
        nesting: parents and depths of the ranges.
        inclusive: operations launched inside the range, in inner ranges too.
        exclusive: operations whose innermost range it is.
        launch: position in the API calls of each operation's launch, −1 for none.
        kernel_range: position of each operation's innermost range, −1 for none.
        coverage: operations that belong to no range, counted.
    """

    nesting: Nesting
    inclusive: IntervalStatistics
    exclusive: IntervalStatistics
    launch: Integers
    kernel_range: Integers
    coverage: Coverage


def attribute(ranges: Ranges, calls: Calls, kernels: Operations) -> Attribution:
    """Give each kernel to the ranges that enclose its launch on the launching thread.

    A kernel belongs to the range that was open when it was launched, not when it ran.
    """
    return attribute_kinds(nest(ranges), calls, [kernels])[0]


def attribute_kinds(
    nesting: Nesting, calls: Calls, kinds: Sequence[Operations]
) -> list[Attribution]:
    """Give operations of several kinds to ranges; the kinds are not mixed.

    Args:
        nesting: the ranges.
        calls: API calls.
        kinds: operations, such as kernels and copies.
    """
    launches = [launch_of(calls, operations) for operations in kinds]
    trees = range_trees(nesting.layers)
    ranges = len(nesting.parent)
    inclusive = [empty_statistics(ranges) for _ in kinds]
    exclusive = [empty_statistics(ranges) for _ in kinds]
    innermost = [np.full(len(operations), -1, np.int32) for operations in kinds]
    for tree in trees:
        around = tree.innermost(calls)
        for number, operations in enumerate(kinds):
            if not len(operations):
                continue
            node = around[launches[number]]
            intervals = grouped(node, operations.start_ns, operations.end_ns)
            alone = statistics_of(intervals, len(tree.member))
            together = inclusive_statistics(tree, intervals, alone)
            _scatter(together, tree, inclusive[number])
            if len(trees) == 1:
                _scatter(alone, tree, exclusive[number])
            _keep_inner(innermost[number], node, tree, nesting)
    if len(trees) > 1:
        exclusive = [
            interval_statistics(at, operations.start_ns, operations.end_ns, ranges)
            for at, operations in zip(innermost, kinds, strict=True)
        ]
    return [
        Attribution(nesting, *found[:4], coverage_of(found[4], found[2], found[3] >= 0))
        for found in zip(inclusive, exclusive, launches, innermost, kinds, strict=True)
    ]


def projection(kinds: Sequence[Attribution]) -> IntervalStatistics:
    """The union of kinds of operations inside each range, as nsys' projection sees them.

    `first_ns` is the projected start, `span_ns` the projected duration, gaps included; busy time
    is not that of the union, but a sum over the kinds.
    """
    total = empty_statistics(len(kinds[0].nesting.parent))
    for kind in kinds:
        some, had = kind.inclusive.intervals > 0, total.intervals > 0
        first_ns = np.minimum(total.first_ns, kind.inclusive.first_ns)
        last_ns = np.maximum(total.last_ns, kind.inclusive.last_ns)
        total.first_ns[some] = np.where(had, first_ns, kind.inclusive.first_ns)[some]
        total.last_ns[some] = np.where(had, last_ns, kind.inclusive.last_ns)[some]
        for column in range(3):
            total[column][some] += kind.inclusive[column][some]
    return total


def _scatter(found: IntervalStatistics, tree: RangeTree, into: IntervalStatistics) -> None:
    for whole, part in zip(into, found, strict=True):
        whole[tree.member] = part


def _keep_inner(innermost: Integers, node: Integers, tree: RangeTree, nesting: Nesting) -> None:
    """Replace ranges by those of a tree that are further inside."""
    candidate = np.append(tree.member, -1).astype(np.int32)[node]
    if len(tree.member) == len(nesting.parent):
        innermost[:] = candidate
        return
    rank = nesting.rank.astype(np.int32)
    better = rank[candidate] > rank[innermost]
    innermost[better] = candidate[better]


def coverage_of(operations: Operations, launch: Integers, belongs: Bools) -> Coverage:
    """Count the operations that belong to nothing.

    Args:
        operations: of one kind.
        launch: position of each one's launch, −1 for none.
        belongs: whether each belongs to a range.
    """
    without = np.flatnonzero(launch < 0)
    outside = np.flatnonzero((launch >= 0) & ~belongs)
    with np.errstate(over="ignore"):  # no array of durations: the sums may overflow alike
        total_ns = operations.end_ns.sum() - operations.start_ns.sum()
    return Coverage(
        kernels=len(operations),
        kernel_ns=int(total_ns),
        without_launch=len(without),
        without_launch_ns=int((operations.end_ns[without] - operations.start_ns[without]).sum()),
        outside=len(outside),
        outside_ns=int((operations.end_ns[outside] - operations.start_ns[outside]).sum()),
    )
