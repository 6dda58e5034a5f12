"""Times of the parts of an image, with a clock that is set by hand."""

from __future__ import annotations

import pytest
import torch

from profiling.annotation import RangeRecorder
from profiling.inference import CudaClock, HostClock, Stopwatch


class HandClock:
    """Moves when it is told to."""

    def __init__(self) -> None:
        self.ms = 0.0

    def now(self) -> float:
        return self.ms

    def elapsed_ms(self, begin: float, end: float) -> float:
        return end - begin


def image(watch: Stopwatch, clock: HandClock, parts: list[tuple[str, float]]) -> list[float]:
    """One image whose submodules take so long, in order, and half a millisecond besides."""
    with watch("load"):
        clock.ms += 100
    with watch("image"):
        for name, duration_ms in parts:
            with watch(name), watch("step"):
                clock.ms += duration_ms
        clock.ms += 0.5
    return watch.times_ms()


def test_submodules_and_the_image_are_timed_and_nothing_else() -> None:
    clock, recorder = HandClock(), RangeRecorder()
    watch = Stopwatch(recorder, clock)
    assert image(watch, clock, [("a", 3), ("b", 5)]) == [3, 5, 8.5]
    assert image(watch, clock, [("a", 4), ("b", 1)]) == [4, 1, 5.5]
    names = [one.name for one in recorder.ranges]
    assert names == ["load", "step", "a", "step", "b", "image"] * 2, "ranges are recorded as ever"


def test_several_calls_are_added_up_and_the_order_is_that_of_the_first_image() -> None:
    clock = HandClock()
    watch = Stopwatch(RangeRecorder(), clock)
    assert image(watch, clock, [("a", 1), ("b", 2), ("a", 10)]) == [11, 2, 13.5]
    assert image(watch, clock, [("b", 7), ("new", 1)]) == [0, 7, 8.5]


def test_without_submodules_there_is_the_image() -> None:
    clock = HandClock()
    assert image(Stopwatch(RangeRecorder(), clock), clock, []) == [0.5]


def test_the_clock_of_the_host_counts_forward() -> None:
    clock = HostClock()
    begin = clock.now()
    assert clock.elapsed_ms(begin, clock.now()) >= 0
    assert clock.elapsed_ms(0, 1_500_000) == 1.5


@pytest.mark.gpu
def test_on_a_gpu_the_time_is_that_of_the_work_and_not_of_its_launch() -> None:
    """A sleep of the GPU: twice the cycles, twice the time, however soon the launch returns."""
    clock = CudaClock()
    watch = Stopwatch(RangeRecorder(), clock)
    sleep = torch.cuda._sleep
    sleep(10**6)
    with watch("image"):
        for name, cycles in (("a", 2 * 10**7), ("b", 4 * 10**7)):
            with watch(name):
                sleep(cycles)
    torch.cuda.synchronize()
    a_ms, b_ms, image_ms = watch.times_ms()
    assert 1.5 < b_ms / a_ms < 2.5
    assert image_ms >= a_ms + b_ms - 0.1
