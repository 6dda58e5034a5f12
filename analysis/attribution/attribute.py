"""Kernel times per range: inclusive, exclusive, busy and span."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from ..nsys.records import Bools, Calls, Int64s, Integers, Operations, Ranges, process_of
from .inside import inside, launches_of
from .intervals import IntervalStatistics, empty_statistics, interval_statistics
from .nesting import Nesting, nest
from .slices import slice_statistics

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
    """The operations of each range.

    Places are those of `Nesting`; most ranges of a large profile have no operations.

    Attributes:
        nesting: parents and depths of the ranges.
        operations: what was attributed.
        launch: position in the API calls of each operation's launch, −1 for none.
        innermost: place of each operation's innermost range, −1 for none.
        worked: places of the ranges with operations inside, ascending.
        found: statistics of the operations inside each of these ranges, in inner ranges too.
        coverage: operations that belong to no range, counted.
    """

    nesting: Nesting
    operations: Operations
    launch: Integers
    innermost: Integers
    worked: Integers
    found: IntervalStatistics
    coverage: Coverage

    @cached_property
    def kernel_range(self) -> Integers:
        """Position of each operation's innermost range, −1 for none."""
        return np.append(self.nesting.order, -1).astype(np.int32)[self.innermost]

    @cached_property
    def inclusive(self) -> IntervalStatistics:
        """Of each range, the operations launched inside it, in inner ranges too."""
        statistics = empty_statistics(len(self.nesting.order))
        for column, values in zip(statistics, self.found, strict=True):
            column[self.nesting.order[self.worked]] = values
        return statistics

    @cached_property
    def exclusive(self) -> IntervalStatistics:
        """Of each range, the operations whose innermost range it is."""
        operations, ranges = self.operations, len(self.nesting.order)
        return interval_statistics(
            self.kernel_range, operations.start_ns, operations.end_ns, ranges
        )


def attribute(ranges: Ranges, calls: Calls, kernels: Operations) -> Attribution:
    """Give each kernel to the ranges that enclose its launch on the launching thread.

    A kernel belongs to the range that was open when it was launched, not when it ran.
    """
    return attribute_kinds(nest(ranges), calls, [kernels])[0]


def attribute_kinds(
    nesting: Nesting,
    calls: Calls,
    kinds: Sequence[Operations],
    launches: Sequence[Integers] | None = None,
) -> list[Attribution]:
    """Give operations of several kinds to ranges; the kinds are not mixed.

    To attribute only some of the operations or ranges, select them before.

    Args:
        nesting: the ranges.
        calls: API calls.
        kinds: operations, such as kernels and copies.
        launches: position in `calls` of each one's launch, −1 for none; None: look them up.
    """
    if launches is None:
        launches = [launch_of(calls, operations) for operations in kinds]
    return [
        _attributed(nesting, calls, operations, launch)
        for operations, launch in zip(kinds, launches, strict=True)
    ]


def _attributed(
    nesting: Nesting, calls: Calls, operations: Operations, launch: Integers
) -> Attribution:
    innermost: Integers | None = None
    worked: list[Integers] = []
    statistics: list[IntervalStatistics] = []
    for launches in launches_of(nesting, calls, launch):
        found = nesting.innermost(launches.thread, launches.start_ns, launches.end_ns)
        at = launches.at
        if isinstance(at, slice) and at == slice(None):  # all of them: no copy
            innermost = found
        else:
            if innermost is None:
                innermost = np.full(len(operations), -1, nesting.order.dtype)
            innermost[at] = found
        ranges = inside(nesting, launches)
        del launches, found
        start_ns, end_ns = (
            ranges.numbered(times[at]) for times in (operations.start_ns, operations.end_ns)
        )
        worked.append(ranges.place)
        statistics.append(slice_statistics(start_ns, end_ns, ranges.first, ranges.last))
    if innermost is None:
        innermost = np.full(len(operations), -1, nesting.order.dtype)
    return Attribution(
        nesting,
        operations,
        launch,
        innermost,
        *_of_all_threads(worked, statistics),
        coverage_of(operations, launch, innermost >= 0),
    )


def _of_all_threads(
    worked: list[Integers], statistics: list[IntervalStatistics]
) -> tuple[Integers, IntervalStatistics]:
    """What was found thread by thread, as one; without a copy where there is one thread."""
    if not worked:
        return np.empty(0, np.int32), empty_statistics(0)
    if len(worked) == 1:
        return worked[0], statistics[0]
    columns = (np.concatenate(parts) for parts in zip(*statistics, strict=True))
    return np.concatenate(worked), IntervalStatistics(*columns)


def projection(kinds: Sequence[Attribution]) -> IntervalStatistics:
    """The union of kinds of operations inside each range, as nsys' projection sees them.

    `first_ns` is the projected start, `span_ns` the projected duration, gaps included; busy time
    is not that of the union, but a sum over the kinds.
    """
    total = empty_statistics(len(kinds[0].nesting.order))
    worked, found = projected(kinds)
    for column, values in zip(total, found, strict=True):
        column[kinds[0].nesting.order[worked]] = values
    return total


class Worked(Protocol):
    """Ranges with work of a kind, and statistics of it."""

    @property
    def worked(self) -> Integers:
        """Places of the ranges, ascending."""

    @property
    def found(self) -> IntervalStatistics:
        """Of the operations inside each."""


def projected(kinds: Sequence[Worked]) -> tuple[Integers, IntervalStatistics]:
    """The same as `projection`, of the ranges that have any such operation; and their places."""
    used = [kind for kind in kinds if len(kind.worked)]
    if len(used) <= 1:
        only = used[0] if used else kinds[0]
        return only.worked, only.found
    worked = np.unique(np.concatenate([kind.worked for kind in used]))
    total = empty_statistics(len(worked))
    total.first_ns[:] = np.iinfo(np.int64).max
    total.last_ns[:] = np.iinfo(np.int64).min
    for kind in used:
        at = np.searchsorted(worked, kind.worked)
        for column in range(3):
            total[column][at] += kind.found[column]
        total.first_ns[at] = np.minimum(total.first_ns[at], kind.found.first_ns)
        total.last_ns[at] = np.maximum(total.last_ns[at], kind.found.last_ns)
    return worked, total


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
