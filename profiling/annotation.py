"""Named ranges around the parts of an inference.

One way to open a range, ``annotate(name)``, and two receivers: NVTX (read by nsys), or a list
in this process (the embedded collector). Ranges belong around submodules, not layers: a range
costs about a microsecond, with and without nsys.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

DOMAIN = "adscale"
"""The one NVTX domain of all our ranges."""

IMAGE = "image"
"""The range directly inside of which the submodules are."""

Annotate = Callable[[str], AbstractContextManager[object]]
"""Opens a range of that name on the calling thread: ``with annotate("teacher"): …``."""

NO_RANGE: AbstractContextManager[object] = nullcontext()
"""A range that nobody receives."""


def no_range(_name: str) -> AbstractContextManager[object]:
    """Takes the place of what opens ranges where nobody records them."""
    return NO_RANGE


class RecordedRange(NamedTuple):
    """A finished range. Times are ``time.time_ns()``: the clock that torch's profiler uses."""

    name: str
    start_ns: int
    end_ns: int
    thread_id: int


class NvtxAnnotator:
    """Sends ranges to NVTX. Annotation objects are kept: the cheapest way to reopen one."""

    def __init__(self) -> None:
        import nvtx

        self._make = nvtx.annotate
        self._ranges: dict[str, AbstractContextManager[object]] = {}

    def __call__(self, name: str) -> AbstractContextManager[object]:
        """The range of that name."""
        found = self._ranges.get(name)
        if found is None:
            found = self._ranges[name] = self._make(name, domain=DOMAIN)
        return found


class RangeRecorder:
    """Keeps ranges in a list, in the order in which they end."""

    def __init__(self) -> None:
        self.ranges: list[RecordedRange] = []

    def __call__(self, name: str) -> AbstractContextManager[object]:
        """The range of that name."""
        return _Recording(name, self.ranges)


class _Recording:
    __slots__ = ("_name", "_ranges", "_start_ns")

    def __init__(self, name: str, ranges: list[RecordedRange]) -> None:
        self._name = name
        self._ranges = ranges

    def __enter__(self) -> None:
        self._start_ns = time.time_ns()

    def __exit__(self, *_exception: object) -> None:
        end_ns = time.time_ns()
        self._ranges.append(
            RecordedRange(self._name, self._start_ns, end_ns, threading.get_native_id())
        )
