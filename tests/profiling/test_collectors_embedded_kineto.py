"""Reading the events of torch's profiler, from lists as its versions give them."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from profiling.collectors.embedded.events import Kernel, Launch, Memcpy, Memset, ThreadNumbers
from profiling.collectors.embedded.schema import COPY_KINDS, MEMORY_KINDS
from profiling.collectors.embedded.torch_events import KinetoEvent, read_events

THREAD = 4321
CLOCKS_NS = 1_000_000
"""More than two readings of one clock differ, far less than two clocks."""

KERNEL_DETAILS = """ "queued": 0, "device": 0, "context": 1, "stream": 7, "correlation": 5,
"registers per thread": 32, "shared memory": 0, "blocks per SM": 0.5, "warps per SM": 2.0,
"grid": [32, 2, 1], "block": [128, 1, 1], "est. achieved occupancy %": 3 """


class OldEvent:
    """What torch 2.6 gives of an event."""

    def __init__(
        self, device: str, name: str, correlation: int, resource: int, start: int, duration: int
    ) -> None:
        self._device = device
        self._values = (name, correlation, resource, start, duration)

    def name(self) -> str:
        return self._values[0]

    def device_type(self) -> Any:
        return SimpleNamespace(name=self._device)

    def device_index(self) -> int:
        return 1 if self._device == "CUDA" else THREAD

    def device_resource_id(self) -> int:
        return self._values[2]

    def start_ns(self) -> int:
        return self._values[3]

    def duration_ns(self) -> int:
        return self._values[4]

    def correlation_id(self) -> int:
        return self._values[1]


class NewEvent(OldEvent):
    """What later versions tell besides."""

    def __init__(self, kind: str, details: str, *values: Any) -> None:
        super().__init__(*values)
        self._kind = kind
        self._details = details

    def activity_type(self) -> str:
        return self._kind

    def metadata_json(self) -> str:
        return self._details


def read(*events: KinetoEvent) -> Any:
    return read_events(events, ThreadNumbers())


def test_events_of_torch_2_6() -> None:
    found = read(
        OldEvent("CPU", "cudaLaunchKernel", 5, THREAD, 100, 10),
        OldEvent("CPU", "cuLaunchKernelEx", 6, THREAD, 120, 10),
        OldEvent("CUDA", "sgemm", 5, 7, 200, 50),
        OldEvent("CUDA", "Memcpy DtoH (Device -> Pageable)", 8, 7, 300, 5),
        OldEvent("CUDA", "Memset (Device)", 9, 13, 400, 6),
    )
    assert found.launches == (
        Launch("cudaLaunchKernel", 5, THREAD, 100, 110),
        Launch("cuLaunchKernelEx", 6, THREAD, 120, 130),
    )
    assert found.kernels == (Kernel("sgemm", 5, 1, 7, 200, 250),)
    device, pageable = MEMORY_KINDS["Device"], MEMORY_KINDS["Pageable"]
    assert found.memcpys == (Memcpy(COPY_KINDS["DTOH"], device, pageable, 8, 1, 7, 300, 305),)
    assert found.memsets == (Memset(device, 9, 1, 13, 400, 406),)


def test_events_of_later_versions_have_sizes() -> None:
    copy = '"context": 1, "bytes": 4096, "memory bandwidth (GB/s)": "N/A"'
    found = read(
        NewEvent("cuda_runtime", "", "CPU", "cudaLaunchKernel", 5, THREAD, 100, 10),
        NewEvent("kernel", KERNEL_DETAILS, "CUDA", "sgemm", 5, 7, 200, 50),
        NewEvent("gpu_memcpy", copy, "CUDA", "Memcpy HtoD (Pinned -> Device)", 8, 7, 300, 5),
        NewEvent("gpu_memset", '"bytes": 512', "CUDA", "Memset (Device)", 9, 7, 400, 6),
    )
    (kernel,), (memcpy,), (memset,) = found.kernels, found.memcpys, found.memsets
    assert (kernel.grid, kernel.block) == ((32, 2, 1), (128, 1, 1))
    assert (kernel.context_id, kernel.registers_per_thread) == (1, 32)
    assert (memcpy.size_bytes, memcpy.context_id, memset.size_bytes) == (4096, 1, 512)


def test_what_is_neither_a_call_nor_gpu_work_is_left_out() -> None:
    found = read(
        OldEvent("CPU", "Activity Buffer Request", 0, THREAD, 100, 10),
        OldEvent("CPU", "aten::add", 3, THREAD, 100, 10),
        OldEvent("CPU", "custom_op", 3, THREAD, 100, 10),
        NewEvent("overhead", "", "CPU", "cuCtxCreate overhead", 0, THREAD, 100, 10),
        NewEvent("cuda_sync", "", "CUDA", "Stream Sync", 4, 7, 100, 10),
        NewEvent("gpu_user_annotation", "", "CUDA", "image", 4, 7, 100, 10),
    )
    assert [len(events) for events in found] == [0, 0, 0, 0]


def test_kinds_that_nobody_knows_stay_unknown() -> None:
    found = read(OldEvent("CUDA", "Memcpy XtoY (Moon -> Sun)", 8, 7, 300, 5))
    (copy,) = found.memcpys
    assert (copy.copy_kind, copy.source_kind, copy.size_bytes) == (0, 7, None)


@pytest.mark.parametrize("details", ["", "no json", '"grid": [1, 2]', '"grid": "big"', "[1]"])
def test_details_that_cannot_be_read_are_unknown(details: str) -> None:
    found = read(NewEvent("kernel", details, "CUDA", "sgemm", 5, 7, 200, 50))
    (kernel,) = found.kernels
    assert kernel == Kernel("sgemm", 5, 1, 7, 200, 250)


def thread_of(ident: int, native_id: int, name: str = "worker") -> threading.Thread:
    """Stands for a thread with these numbers."""
    return SimpleNamespace(ident=ident, native_id=native_id, name=name)  # type: ignore[return-value]


def as_int32(number: int) -> int:
    return (number & 0xFFFFFFFF) - (1 << 32 if number & 0x80000000 else 0)


@pytest.mark.parametrize("ident", [0x7F12_F7C4_D740, 0x7F12_1234_5740])
def test_a_thread_is_found_by_the_lower_half_of_its_pthread(ident: int) -> None:
    threads = ThreadNumbers()
    threads.note_running([thread_of(ident, THREAD), thread_of(ident + 0x800000, THREAD + 1)])
    for recorded in (as_int32(ident), abs(as_int32(ident)), ident & 0xFFFFFFFF, THREAD):
        assert threads.number_of(recorded) == THREAD
    assert threads.number_of(as_int32(ident + 0x800000)) == THREAD + 1


def test_this_thread_is_found() -> None:
    threads = ThreadNumbers()
    threads.note_running()
    assert threads.number_of(as_int32(threading.get_ident())) == threading.get_native_id()
    assert threads.names[threading.get_native_id()] == threading.current_thread().name


def test_an_unknown_thread_gets_a_number_that_no_thread_has() -> None:
    threads = ThreadNumbers()
    first, second = threads.number_of(-123_456_789), threads.number_of(987_654_321)
    assert first != second
    assert threads.number_of(-123_456_789) == first
    for number in (first, second):
        assert 1 << 22 < number < 1 << 24  # Linux gives at most 2**22
        assert "unidentified" in threads.names[number]


def test_torch_has_the_methods_that_are_used_and_the_clock_of_the_ranges() -> None:
    """On operators of the CPU, which this machine certainly has; a GPU's events are the same."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    times = []
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        for _ in range(100):
            start_ns = time.time_ns()
            torch.ones(3).add_(1)
            times.append((start_ns, time.time_ns()))
    assert profiler.profiler is not None
    results = profiler.profiler.kineto_results
    assert results is not None
    events: list[KinetoEvent] = [e for e in results.events() if e.name() == "aten::add_"]
    assert len(events) == len(times)
    for event, (start_ns, end_ns) in zip(events, times, strict=True):
        assert start_ns - CLOCKS_NS <= event.start_ns()
        assert event.start_ns() + event.duration_ns() <= end_ns + CLOCKS_NS
        assert event.device_type().name == "CPU"
        assert event.device_resource_id() == threading.get_native_id()
    assert [len(found) for found in read(*events)] == [0, 0, 0, 0]


def test_the_buffer_of_torchs_profiler_can_be_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    from profiling.collectors.embedded import torch_events

    monkeypatch.delenv("KINETO_CONFIG", raising=False)
    with torch_events._raised_buffer_limit():
        file = Path(os.environ["KINETO_CONFIG"])
        assert "ACTIVITIES_MAX_GPU_BUFFER_SIZE_MB=8192" in file.read_text()
    assert not file.exists()
    assert "KINETO_CONFIG" not in os.environ
    monkeypatch.setenv("KINETO_CONFIG", "the user's")
    with torch_events._raised_buffer_limit():
        assert os.environ["KINETO_CONFIG"] == "the user's"
