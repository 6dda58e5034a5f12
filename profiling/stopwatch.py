"""Times of the parts of an image while it is measured: what an adaptive measurement decides by.

The profile has them, too, but is read only when the run is over. On a CUDA device they are taken
with events, since durations on the host are there only those of launching.
"""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Protocol

import torch

from adscale.names import IMAGE

from .annotation import Annotate


class Clock(Protocol):
    """Takes moments, and tells the time between two of them once both have passed."""

    def now(self) -> Any:
        """This moment."""

    def elapsed_ms(self, begin: Any, end: Any) -> float:
        """From one moment to another, in ms."""


class HostClock:
    """Moments on the CPU thread."""

    def now(self) -> int:
        """See ``Clock``."""
        return time.perf_counter_ns()

    def elapsed_ms(self, begin: int, end: int) -> float:
        """See ``Clock``."""
        return (end - begin) / 1e6


class CudaClock:
    """Moments in the current stream of the GPU, which has to be waited for before they are read.

    What a library does in a stream of its own counts where the host waits for it.
    """

    def now(self) -> torch.cuda.Event:
        """See ``Clock``."""
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        return event

    def elapsed_ms(self, begin: torch.cuda.Event, end: torch.cuda.Event) -> float:
        """See ``Clock``."""
        return float(begin.elapsed_time(end))


class Stopwatch:
    """Opens ranges, and times ``image`` and the ranges directly inside it.

    Moments are taken outside of the range that they time, so that it is recorded as it would be
    without them.

    Args:
        annotate: opens the ranges.
        clock: of the device.
    """

    def __init__(self, annotate: Annotate, clock: Clock) -> None:
        self._annotate = annotate
        self._clock = clock
        self._depth = 0
        self._spans: list[tuple[str, Any, Any]] = []
        self._names: list[str] = []

    def __call__(self, name: str) -> AbstractContextManager[object]:
        """The range of that name."""
        if self._depth == 1 or (self._depth == 0 and name == IMAGE):
            return _Timed(self, name)
        return self._annotate(name)

    def times_ms(self) -> list[float]:
        """Of the image that is over: the submodules in the order of the first image, the image.

        Several calls in one image are added up; a submodule that was not called has 0.
        """
        totals: dict[str, float] = {}
        for name, begin, end in self._spans:
            totals[name] = totals.get(name, 0.0) + self._clock.elapsed_ms(begin, end)
        self._spans.clear()
        self._names = self._names or list(totals)
        return [totals.get(name, 0.0) for name in self._names]

    def open(self, name: str) -> tuple[AbstractContextManager[object], Any]:
        """Opens a timed range; used by the range itself."""
        inner, begin = self._annotate(name), self._clock.now()
        self._depth += 1
        inner.__enter__()
        return inner, begin

    def close(self, name: str, begin: Any) -> None:
        """Notes a timed range that is over; used by the range itself."""
        self._spans.append((name, begin, self._clock.now()))
        self._depth -= 1


class _Timed:
    __slots__ = ("_begin", "_inner", "_name", "_watch")

    def __init__(self, watch: Stopwatch, name: str) -> None:
        self._watch = watch
        self._name = name

    def __enter__(self) -> None:
        self._inner, self._begin = self._watch.open(self._name)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._inner.__exit__(kind, error, traceback)
        self._watch.close(self._name, self._begin)
