"""The latency pass: how long each image takes where nobody records it.

A profiler costs time that its own numbers do not show. So a second process runs the same images
without one; ranges inside ``image`` are no operation there. The clock is that of the host. On a
CUDA device the GPU is waited for before the image and after it, so that its time is that until the
device has finished.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from .annotation import NO_RANGE

NAMES = ("load", "prepare", "copy_to_device", "image", "copy_to_host", "end_to_end")
"""What is told of each image; the copies on a CUDA device only."""


class LatencyClock:
    """Takes the place of what opens ranges, and times the parts of each image.

    Args:
        now_ns: tells the time.
    """

    def __init__(self, now_ns: Callable[[], int] = time.perf_counter_ns) -> None:
        self._now_ns = now_ns
        self._inside = False
        self._spans: dict[str, tuple[int, int]] = {}
        self._series: dict[str, list[float]] = {}

    def __call__(self, name: str) -> AbstractContextManager[object]:
        """The part of that name, or nothing inside of another part."""
        return NO_RANGE if self._inside else _Part(self, name)

    def times_ms(self) -> list[float]:
        """Of the image that is over: from the decoded image to its result, and the inference."""
        spans = self._spans
        image_begin_ns, image_end_ns = spans.pop("image")
        _, done_ns = spans.pop("synchronize", (0, image_end_ns))
        parts = {name: (end - begin) / 1e6 for name, (begin, end) in spans.items()}
        parts["image"] = (done_ns - image_begin_ns) / 1e6
        load_ms = parts.pop("load")
        parts.pop("flush", None)
        parts["end_to_end"] = sum(parts.values())
        for name, value in {"load": load_ms, **parts}.items():
            self._series.setdefault(name, []).append(value)
        spans.clear()
        return [parts["end_to_end"], parts["image"]]

    def as_dict(self) -> dict[str, Any]:
        """``latency`` of ``latency.json``: all images so far, in their order."""
        return {f"{name}_ms": self._series.get(name) for name in NAMES}

    def begin(self) -> int:
        """Begins a part; used by the part itself."""
        self._inside = True
        return self._now_ns()

    def end(self, name: str, begin_ns: int) -> None:
        """Ends a part; used by the part itself."""
        self._spans[name] = (begin_ns, self._now_ns())
        self._inside = False


class _Part:
    __slots__ = ("_begin_ns", "_clock", "_name")

    def __init__(self, clock: LatencyClock, name: str) -> None:
        self._clock = clock
        self._name = name

    def __enter__(self) -> None:
        self._begin_ns = self._clock.begin()

    def __exit__(self, *_exception: object) -> None:
        self._clock.end(self._name, self._begin_ns)
