"""The latency pass of images whose parts take known times."""

from __future__ import annotations

import pytest

from profiling.annotation import NO_RANGE
from profiling.inference import LatencyClock


class HandClock:
    """Moves when it is told to."""

    def __init__(self) -> None:
        self.now_ns = 0

    def __call__(self) -> int:
        return self.now_ns

    def spend(self, milliseconds: int) -> None:
        self.now_ns += milliseconds * 10**6


def run(latency: LatencyClock, clock: HandClock, parts: dict[str, int]) -> list[float]:
    for name, milliseconds in parts.items():
        with latency(name):
            clock.spend(milliseconds)
        clock.spend(1)  # between them
    return latency.times_ms()


def test_on_a_cpu_end_to_end_is_prepare_and_inference() -> None:
    clock = HandClock()
    latency = LatencyClock(clock)
    assert run(latency, clock, {"load": 100, "prepare": 2, "image": 30}) == [32, 30]
    assert run(latency, clock, {"load": 90, "prepare": 3, "image": 40}) == [43, 40]
    assert latency.as_dict() == {
        "load_ms": [100, 90], "prepare_ms": [2, 3], "copy_to_device_ms": None,
        "image_ms": [30, 40], "copy_to_host_ms": None, "end_to_end_ms": [32, 43],
    }  # fmt: skip


def test_on_a_gpu_the_inference_ends_when_the_device_has_finished() -> None:
    clock = HandClock()
    latency = LatencyClock(clock)
    parts = {"load": 100, "prepare": 2, "copy_to_device": 4, "flush": 1000, "image": 5,
             "synchronize": 25, "copy_to_host": 7}  # fmt: skip
    # launching, the moment in between, and waiting; the flush is nobody's time
    assert run(latency, clock, parts) == [2 + 4 + 31 + 7, 31]
    found = latency.as_dict()
    assert (found["copy_to_device_ms"], found["copy_to_host_ms"]) == ([4], [7])


def test_inside_of_a_part_ranges_are_no_operation() -> None:
    latency = LatencyClock(HandClock())
    with latency("image"):
        assert latency("teacher") is NO_RANGE
        with latency("teacher"):
            assert latency("layer") is NO_RANGE
    assert latency("load") is not NO_RANGE


def test_an_image_without_its_parts_is_a_fault_of_ours() -> None:
    with pytest.raises(KeyError):
        LatencyClock(HandClock()).times_ms()
