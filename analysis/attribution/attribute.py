"""Kernel times per range: inclusive, exclusive, busy and span."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from analysis.attribution.intervals import (
    IntervalStatistics,
    empty_statistics,
    interval_statistics,
)
from analysis.attribution.launches import launch_of
from analysis.attribution.nesting import Nesting, innermost_range, nest
from analysis.nsys.records import Calls, Int64s, Operations, Profile, Ranges


class Coverage(NamedTuple):
    """What became of the kernels of a profile.

    Attributes:
        kernels: all of them.
        kernel_ns: sum of their durations.
        without_launch: kernels whose API call is not in the profile.
        without_launch_ns: sum of their durations.
        outside: kernels launched outside every range of the launching thread.
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
        """Share of the kernel time that belongs to a range; None without kernels."""
        if not self.kernel_ns:
            return None
        return 1.0 - (self.without_launch_ns + self.outside_ns) / self.kernel_ns


@dataclass(frozen=True)
class Attribution:
    """Which kernels belong to which range; arrays have one element per range or per kernel.

    Attributes:
        nesting: parents and depths of the ranges.
        inclusive: kernels launched inside the range, in inner ranges too.
        exclusive: kernels whose innermost range it is.
        launch: position in the API calls of each kernel's launch, −1 for none.
        kernel_range: position of each kernel's innermost range, −1 for none.
        coverage: kernels that belong to no range, counted.
    """

    nesting: Nesting
    inclusive: IntervalStatistics
    exclusive: IntervalStatistics
    launch: Int64s
    kernel_range: Int64s
    coverage: Coverage


def attribute(ranges: Ranges, calls: Calls, kernels: Operations) -> Attribution:
    """Give each kernel to the ranges that enclose its launch on the launching thread.

    A kernel belongs to the range that was open when it was launched, not when it ran.
    """
    nesting = nest(ranges)
    launch = launch_of(calls, kernels)
    launched = np.flatnonzero(launch >= 0)
    at = launch[launched]
    thread, start_ns, end_ns = calls.thread[at], calls.start_ns[at], calls.end_ns[at]
    kernel_range = np.full(len(kernels), -1, np.int64)
    kernel_range[launched] = innermost_range(nesting.layers, nesting.rank, thread, start_ns, end_ns)
    inside = np.flatnonzero(kernel_range >= 0)
    exclusive = interval_statistics(
        kernel_range[inside], kernels.start_ns[inside], kernels.end_ns[inside], len(ranges)
    )
    return Attribution(
        nesting=nesting,
        inclusive=_inclusive(nesting, calls, kernels, launch),
        exclusive=exclusive,
        launch=launch,
        kernel_range=kernel_range,
        coverage=_coverage(kernels, launch, kernel_range),
    )


def projection(profile: Profile, nesting: Nesting) -> IntervalStatistics:
    """Kernels, copies and memsets launched inside each range, as `nvtx_gpu_proj_trace` sees them.

    `first_ns` is the projected start, `span_ns` the projected duration, gaps included.
    """
    every = (profile.kernels, profile.copies, profile.memsets)
    operations = Operations(
        np.concatenate([kind.start_ns for kind in every]),
        np.concatenate([kind.end_ns for kind in every]),
        np.concatenate([kind.process for kind in every]),
        np.concatenate([kind.correlation for kind in every]),
        np.concatenate([kind.name_id for kind in every]),
    )
    return _inclusive(nesting, profile.calls, operations, launch_of(profile.calls, operations))


def _inclusive(
    nesting: Nesting, calls: Calls, operations: Operations, launch: Int64s
) -> IntervalStatistics:
    """Statistics of all operations launched inside each range.

    Within a layer the ranges of one depth lie apart, so that each operation belongs to at most
    one of them: one grouping per depth, however deep the ranges nest.
    """
    statistics = empty_statistics(len(nesting.parent))
    launched = np.flatnonzero(launch >= 0)
    thread = calls.thread[launch[launched]]
    for layer in nesting.layers:
        operation = launched[thread == layer.thread]
        at = launch[operation]
        place = layer.innermost(calls.start_ns[at], calls.end_ns[at])
        for depth in range(int(layer.depth.max()), -1, -1):
            operation, place = operation[place >= 0], place[place >= 0]
            here = np.flatnonzero(layer.depth[place] == depth)
            member, group = np.unique(layer.member[place[here]], return_inverse=True)
            start_ns = operations.start_ns[operation[here]]
            end_ns = operations.end_ns[operation[here]]
            found = interval_statistics(group, start_ns, end_ns, len(member))
            for whole, part in zip(statistics, found, strict=True):
                whole[member] = part
            place[here] = layer.parent[place[here]]
    return statistics


def _coverage(kernels: Operations, launch: Int64s, kernel_range: Int64s) -> Coverage:
    duration_ns = kernels.end_ns - kernels.start_ns
    without_launch = launch < 0
    outside = ~without_launch & (kernel_range < 0)
    return Coverage(
        kernels=len(kernels),
        kernel_ns=int(duration_ns.sum()),
        without_launch=int(without_launch.sum()),
        without_launch_ns=int(duration_ns[without_launch].sum()),
        outside=int(outside.sum()),
        outside_ns=int(duration_ns[outside].sum()),
    )
