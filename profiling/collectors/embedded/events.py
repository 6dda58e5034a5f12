"""The events that the embedded collector records. All times are ns since the Unix epoch."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from ...annotation import RecordedRange
from .schema import THREAD_ID_LIMIT

Size = tuple[int, int, int]
"""x, y, z of a grid or a block."""


class Launch(NamedTuple):
    """A call of the CUDA runtime or driver."""

    name: str
    correlation_id: int
    thread_id: int
    start_ns: int
    end_ns: int


class Kernel(NamedTuple):
    """A kernel that ran on a GPU. What the recorder does not know is None."""

    name: str
    correlation_id: int
    device_id: int
    stream_id: int
    start_ns: int
    end_ns: int
    context_id: int | None = None
    grid: Size | None = None
    block: Size | None = None
    registers_per_thread: int | None = None


class Memcpy(NamedTuple):
    """A copy from or to the memory of a GPU. Kinds are COPY_KINDS and MEMORY_KINDS of schema.py."""

    copy_kind: int
    source_kind: int
    target_kind: int
    correlation_id: int
    device_id: int
    stream_id: int
    start_ns: int
    end_ns: int
    context_id: int | None = None
    size_bytes: int | None = None


class Memset(NamedTuple):
    """Memory of a GPU that is set to a value."""

    memory_kind: int
    correlation_id: int
    device_id: int
    stream_id: int
    start_ns: int
    end_ns: int
    context_id: int | None = None
    size_bytes: int | None = None


class GpuEvents(NamedTuple):
    """All that a recorder saw of the GPUs."""

    launches: tuple[Launch, ...] = ()
    kernels: tuple[Kernel, ...] = ()
    memcpys: tuple[Memcpy, ...] = ()
    memsets: tuple[Memset, ...] = ()


class Gpu(NamedTuple):
    """A GPU of the process."""

    device_id: int
    name: str
    memory_bytes: int
    sm_count: int
    compute_major: int
    compute_minor: int
    uuid: str | None = None


class Recording(NamedTuple):
    """One process from the start of the recording to its end."""

    process_id: int
    process_name: str
    start_ns: int
    end_ns: int
    ranges: tuple[RecordedRange, ...]
    thread_names: Mapping[int, str]
    gpu: GpuEvents = GpuEvents()
    gpus: tuple[Gpu, ...] = ()
    gpu_source: str = "none"
    """The recorder of the GPU, with its version."""
    adscale_version: str = ""


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


_LOW_32_BITS = 0xFFFFFFFF
_LINUX_LIMIT = 1 << 22


class ThreadNumbers:
    """Turns the thread that torch's profiler names into Linux' number of that thread.

    CUPTI keeps the lower 32 bits of a pthread, as a signed number; torch's profiler replaces it
    by Linux' number only for threads that recorded CPU operators, which are not recorded here.
    Call :meth:`note_running` while the threads that launch work are alive.
    """

    def __init__(self) -> None:
        self.names: dict[int, str] = {}
        """Names of all threads so far by Linux' number."""
        self._by_pthread: dict[int, int] = {}
        self._unidentified: dict[int, int] = {}

    def note_running(self, threads: Iterable[threading.Thread] | None = None) -> None:
        """Notes threads; None: all that Python knows now."""
        for thread in threading.enumerate() if threads is None else threads:
            if thread.ident is None or thread.native_id is None:
                continue
            self.names[thread.native_id] = thread.name
            low = thread.ident & _LOW_32_BITS
            self._by_pthread[low] = thread.native_id
            self._by_pthread[-low & _LOW_32_BITS] = thread.native_id  # some versions drop the sign

    def number_of(self, recorded: int) -> int:
        """Linux' number of a recorded thread.

        A thread that was never noted gets a number of its own from the upper end of the 24
        bits that nsys has for it, beyond all that Linux gives; its work belongs to no range.
        """
        key = recorded & _LOW_32_BITS
        if key in self._by_pthread:
            return self._by_pthread[key]
        if 0 < key < _LINUX_LIMIT:  # a pthread is an address, and these are never mapped
            return key
        if key not in self._unidentified:
            number = THREAD_ID_LIMIT - 1 - len(self._unidentified)
            self._unidentified[key] = number
            self.names[number] = f"unidentified thread {recorded}"
        return self._unidentified[key]
