"""Kernel times per range: inclusive, exclusive, busy and span."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..nsys.records import Calls, Integers, Operations, Ranges
from .forest import Forest, forests, inclusive_statistics
from .intervals import (
    IntervalStatistics,
    empty_statistics,
    grouped,
    interval_statistics,
    statistics_of,
)
from .launches import launch_of
from .nesting import Nesting, nest


class Coverage(NamedTuple):
    """What became of the operations of a kind.

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
    def share(self) -> float | None:
        """Share of the time that belongs to a range; None without kernels."""
        if not self.kernel_ns:
            return None
        return 1.0 - (self.without_launch_ns + self.outside_ns) / self.kernel_ns


@dataclass(frozen=True)
class Attribution:
    """Which operations belong to which range; arrays have one element per range or operation.

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
    woods = forests(nesting.layers)
    ranges = len(nesting.parent)
    inclusive = [empty_statistics(ranges) for _ in kinds]
    exclusive = [empty_statistics(ranges) for _ in kinds]
    innermost = [np.full(len(operations), -1, np.int32) for operations in kinds]
    for forest in woods:
        places = forest.places(calls)
        for number, operations in enumerate(kinds):
            if not len(operations):
                continue
            place = places[launches[number]]
            intervals = grouped(place, operations.start_ns, operations.end_ns)
            alone = statistics_of(intervals, len(forest.member))
            together = inclusive_statistics(forest, intervals, alone)
            _scatter(together, forest, inclusive[number])
            if len(woods) == 1:
                _scatter(alone, forest, exclusive[number])
            _keep_inner(innermost[number], place, forest, nesting)
    if len(woods) > 1:
        exclusive = [
            interval_statistics(at, operations.start_ns, operations.end_ns, ranges)
            for at, operations in zip(innermost, kinds, strict=True)
        ]
    return [
        Attribution(nesting, *found[:4], _coverage(found[4], found[2], found[3]))
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


def _scatter(found: IntervalStatistics, forest: Forest, into: IntervalStatistics) -> None:
    for whole, part in zip(into, found, strict=True):
        whole[forest.member] = part


def _keep_inner(innermost: Integers, place: Integers, forest: Forest, nesting: Nesting) -> None:
    """Replace ranges by those of a forest that are further inside."""
    candidate = np.append(forest.member, -1).astype(np.int32)[place]
    if len(forest.member) == len(nesting.parent):
        innermost[:] = candidate
        return
    rank = nesting.rank.astype(np.int32)
    better = rank[candidate] > rank[innermost]
    innermost[better] = candidate[better]


def _coverage(operations: Operations, launch: Integers, innermost: Integers) -> Coverage:
    without = np.flatnonzero(launch < 0)
    outside = np.flatnonzero((launch >= 0) & (innermost < 0))
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
