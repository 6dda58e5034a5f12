"""How much was recorded, and what of it does not fit together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .events import Kernel, Memcpy, Memset, Recording


class Summary(NamedTuple):
    """Numbers of events."""

    ranges: int
    launches: int
    kernels: int
    memcpys: int
    memsets: int
    orphans: int
    """Kernels, copies and memsets whose launch was not recorded; they belong to no range."""
    without_kernel: int
    """Kernel launches of which no kernel was recorded: failed, captured into a graph, or lost."""


def summarize(recording: Recording) -> Summary:
    """Counts the events of a recording."""
    gpu = recording.gpu
    work: Sequence[Kernel | Memcpy | Memset] = [*gpu.kernels, *gpu.memcpys, *gpu.memsets]
    launched = {launch.correlation_id for launch in gpu.launches}
    worked = {operation.correlation_id for operation in work}
    kernel_launches = [launch for launch in gpu.launches if "LaunchKernel" in launch.name]
    return Summary(
        ranges=len(recording.ranges),
        launches=len(gpu.launches),
        kernels=len(gpu.kernels),
        memcpys=len(gpu.memcpys),
        memsets=len(gpu.memsets),
        orphans=sum(operation.correlation_id not in launched for operation in work),
        without_kernel=sum(launch.correlation_id not in worked for launch in kernel_launches),
    )
