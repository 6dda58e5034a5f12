"""What the embedded collector records. All times are ns since the Unix epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ...annotation import RecordedRange

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
    """What recorded the GPU, with its version."""
    adscale_version: str = ""
