"""Recordings for tests: one with known numbers, and random ones for property tests."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import strategies as st

from profiling.annotation import RecordedRange
from profiling.collectors.embedded.events import (
    Gpu,
    GpuEvents,
    Kernel,
    Launch,
    Memcpy,
    Memset,
    Recording,
)
from profiling.collectors.embedded.schema import COPY_KINDS, MEMORY_KINDS

START_NS = 1_700_000_000_123_456_789
PID = 4321
OTHER_THREAD = 4400
DEVICE = MEMORY_KINDS["Device"]
GEMM = "void cutlass::gemm<4, cutlass::Tile<8, 8>>(float const*, int)"
RELU = "relu_kernel"


def span(name: str, start: int, end: int, thread: int = PID) -> RecordedRange:
    return RecordedRange(name, START_NS + start, START_NS + end, thread)


def call(
    correlation_id: int, start: int, name: str = "cudaLaunchKernel", thread: int = PID
) -> Launch:
    return Launch(name, correlation_id, thread, START_NS + start, START_NS + start + 10)


def kernel(name: str, correlation_id: int, start: int, end: int, stream: int = 7) -> Kernel:
    return Kernel(
        name,
        correlation_id,
        0,
        stream,
        START_NS + start,
        START_NS + end,
        context_id=1,
        grid=(32, 2, 1),
        block=(128, 1, 1),
    )


def two_images() -> Recording:
    """Two images with a teacher (two streams) and a student (a copy, a memset), 10,000 ns apart.

    Besides: a kernel whose launch is not recorded, and one that another thread launched.
    """
    ranges, launches, kernels, memcpys, memsets = [], [], [], [], []
    for image in range(2):
        t, c = image * 10_000, image * 10
        ranges += [
            span("teacher", t + 100, t + 200),
            span("student", t + 200, t + 400),
            span("image", t + 50, t + 500),
        ]
        launches += [call(c + 1, t + 110), call(c + 2, t + 130), call(c + 3, t + 210)]
        launches += [
            call(c + 4, t + 230, "cudaMemcpyAsync"),
            call(c + 5, t + 250, "cuMemsetD8Async"),
        ]
        kernels += [
            kernel(GEMM, c + 1, t + 1000, t + 1700, stream=7),
            kernel(RELU, c + 2, t + 1200, t + 1900 + image, stream=13),
            kernel(RELU, c + 3, t + 2000, t + 2300),
        ]
        times = (START_NS + t + 2400, START_NS + t + 2500)
        host = MEMORY_KINDS["Pinned"]
        memcpys.append(Memcpy(COPY_KINDS["HTOD"], host, DEVICE, c + 4, 0, 7, *times, 1, 4096))
        times = (START_NS + t + 2600, START_NS + t + 2650)
        memsets.append(Memset(DEVICE, c + 5, 0, 7, *times, 1, 512))
    launches.append(call(90, 20_100, thread=OTHER_THREAD))
    kernels += [kernel(GEMM, 90, 21_000, 21_005), kernel(GEMM, 99, 22_000, 22_011)]
    gpu = GpuEvents(tuple(launches), tuple(kernels), tuple(memcpys), tuple(memsets))
    return Recording(
        process_id=PID,
        process_name="/usr/bin/python3",
        start_ns=START_NS,
        end_ns=START_NS + 30_000,
        ranges=tuple(ranges),
        thread_names={PID: "MainThread", OTHER_THREAD: "worker"},
        gpu=gpu,
        gpus=(Gpu(0, "NVIDIA Test", 80 * 2**30, 108, 8, 0, "GPU-1"),),
        gpu_source="torch.profiler 2.6.0",
        adscale_version="0.1.0",
    )


def cpu_only() -> Recording:
    """The ranges of :func:`two_images` alone."""
    return two_images()._replace(gpu=GpuEvents(), gpus=(), gpu_source="none")


class Nested(NamedTuple):
    """Ranges of one thread as a recorder gives them: in the order of their ends."""

    ranges: tuple[RecordedRange, ...]
    parents: dict[str, str | None]
    """By name; all names differ."""


@st.composite
def nested(draw: st.DrawFn, thread: int) -> Nested:
    """Well nested ranges; outer and inner ones may share their times, siblings never touch."""
    now_ns = START_NS + draw(st.integers(-1000, 1000))
    opened: list[tuple[str, int]] = []
    finished: list[RecordedRange] = []
    parents: dict[str, str | None] = {}
    after_close = False
    for opening in draw(st.lists(st.booleans(), max_size=40)):
        now_ns += draw(st.integers(0, 50)) + (after_close and opening)
        after_close = not opening
        if opening:
            name = f"{thread}-{len(parents)}"
            parents[name] = opened[-1][0] if opened else None
            opened.append((name, now_ns))
        elif opened:
            name, start_ns = opened.pop()
            finished.append(RecordedRange(name, start_ns, now_ns, thread))
    while opened:
        name, start_ns = opened.pop()
        finished.append(RecordedRange(name, start_ns, now_ns, thread))
    return Nested(tuple(finished), parents)


_ids = st.integers(0, 30)
_small = st.integers(0, 3)
_sizes = st.none() | st.integers(0, 2**40)
_names = st.sampled_from(["cudaLaunchKernel", "cuLaunchKernel", GEMM, RELU])
_xyz = st.none() | st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9))


@st.composite
def _times(draw: st.DrawFn) -> tuple[int, int]:
    start_ns = START_NS + draw(st.integers(-(10**6), 10**12))
    return start_ns, start_ns + draw(st.integers(0, 10**9))


def _work() -> st.SearchStrategy[tuple[int, ...]]:
    """Correlation id, device, stream, start, end."""
    places = st.tuples(_ids, _small, _small)
    return st.tuples(places, _times()).map(lambda parts: (*parts[0], *parts[1]))


_launches = st.builds(
    lambda name, correlation_id, thread, times: Launch(name, correlation_id, thread, *times),
    _names,
    _ids,
    st.integers(0, 2**24 - 1),
    _times(),
)
_kernels = st.builds(
    lambda name, work, context, grid, block: Kernel(name, *work, context, grid, block),
    _names,
    _work(),
    st.none() | _small,
    _xyz,
    _xyz,
)
_memcpys = st.builds(
    lambda kinds, work, size: Memcpy(*kinds, *work, size_bytes=size),
    st.tuples(st.integers(0, 10), st.integers(0, 7), st.integers(0, 7)),
    _work(),
    _sizes,
)
_memsets = st.builds(
    lambda kind, work, size: Memset(kind, *work, size_bytes=size),
    st.integers(0, 7),
    _work(),
    _sizes,
)


def _tuples(events: st.SearchStrategy[object]) -> st.SearchStrategy[tuple[object, ...]]:
    return st.lists(events, max_size=12).map(tuple)


recordings = st.builds(
    lambda pid, main, other, gpu: two_images()._replace(
        process_id=pid, ranges=(*main.ranges, *other.ranges), gpu=gpu
    ),
    st.integers(1, 2**22),
    nested(PID),
    nested(OTHER_THREAD),
    st.builds(
        GpuEvents, _tuples(_launches), _tuples(_kernels), _tuples(_memcpys), _tuples(_memsets)
    ),
)
"""Processes with two threads of ranges and any GPU events; about half of these are orphans."""
