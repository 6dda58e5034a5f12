"""What receives ranges."""

from __future__ import annotations

import threading
import time

import pytest

from profiling.annotation import NvtxAnnotator, RangeRecorder


def test_the_recorder_keeps_ranges_in_the_order_of_their_ends() -> None:
    recorder = RangeRecorder()
    before_ns = time.time_ns()
    with recorder("image"):
        with recorder("teacher"):
            pass
        with recorder("student"):
            pass
    after_ns = time.time_ns()
    teacher, student, image = recorder.ranges
    assert [one.name for one in recorder.ranges] == ["teacher", "student", "image"]
    moments = [
        before_ns, image.start_ns, teacher.start_ns, teacher.end_ns, student.start_ns,
        student.end_ns, image.end_ns, after_ns,
    ]  # fmt: skip
    assert moments == sorted(moments)


def test_each_range_has_the_number_that_linux_gives_its_thread() -> None:
    recorder = RangeRecorder()
    numbers = []

    def work(name: str) -> None:
        for _ in range(2):
            with recorder(name):
                numbers.append((name, threading.get_native_id()))

    work("main")
    for name in ("first", "second"):  # one after the other: Python may give both one identity
        thread = threading.Thread(target=work, args=(name,))
        thread.start()
        thread.join()
    work("main")
    assert [(one.name, one.thread_id) for one in recorder.ranges] == numbers
    assert numbers[0] == numbers[-1]


def test_an_exception_ends_a_range_and_goes_on() -> None:
    recorder = RangeRecorder()
    with pytest.raises(ZeroDivisionError), recorder("image"):
        raise ZeroDivisionError
    assert [one.name for one in recorder.ranges] == ["image"]


def test_a_range_of_nvtx_is_made_once_per_name() -> None:
    annotate = NvtxAnnotator()
    assert annotate("teacher") is annotate("teacher")
    assert annotate("teacher") is not annotate("student")
    with annotate("teacher"), annotate("teacher"):
        pass
