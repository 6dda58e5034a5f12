"""Named ranges around the parts of an inference.

One way to open a range, ``annotate(name)``, and two receivers: NVTX (read by nsys), or a list
in this process (the embedded collector). Ranges belong around submodules, not layers: a range
costs about a microsecond under nsys, less without (docs/statistics.md).
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

from adscale.errors import printable
from adscale.names import DOMAIN, STITCH, TILE

Annotate = Callable[[str], AbstractContextManager[object]]
"""Opens a range of that name on the calling thread: ``with annotate("teacher"): …``."""

BETWEEN = "between submodules"
"""The submodule of what a network does in none of its children."""

EMPTY = "empty range"
"""The ranges that are opened to see what one costs, behind all images."""

RESERVED = frozenset(
    {
        *("warmup", "measure", "memory"),
        *("load", "prepare", "copy_to_device", "flush", "image", "synchronize", "copy_to_host"),
        *("end_to_end", "method", "run", "outside", BETWEEN),
        *(TILE, STITCH),
    }
)
"""Names of our own ranges, and of other rows of tables beside those of submodules."""


def child_name(name: str) -> str:
    """The name of a network's child as a submodule: another than those of our own ranges.

    Args:
        name: in the network; of a module further down its path.
    """
    return printable(f"network.{name}" if name in RESERVED else name)


NO_RANGE: AbstractContextManager[object] = nullcontext()
"""A range that nobody receives."""


def no_range(_name: str) -> AbstractContextManager[object]:
    """Takes the place of what opens ranges where nobody records them."""
    return NO_RANGE


TURNS, DISPLACING_BYTES = 100, 4 * 2**20


def empty_range_ns(opening: Callable[[], object], bare: Callable[[], object]) -> float:
    """Time of a range without anything in it in ns: the median of turns with it and without.

    Before each turn the inner caches of the CPU are filled, as an image does between its ranges:
    one range after the other, with nothing between them, would take half as long.

    Args:
        opening: opens one.
        bare: does the same without it.
    """
    buffer = bytearray(DISPLACING_BYTES)
    costs = [_after(buffer, opening) - _after(buffer, bare) for _ in range(TURNS)]
    return max(0.0, float(statistics.median(costs)))


def _after(buffer: bytearray, action: Callable[[], object]) -> int:
    bytes(buffer)
    start_ns = time.perf_counter_ns()
    action()
    return time.perf_counter_ns() - start_ns


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
        self._finished: list[_Finished] = []
        self._thread = _Thread()

    def __call__(self, name: str) -> AbstractContextManager[object]:
        """The range of that name."""
        return _Recording(name, self._finished, self._thread)

    @property
    def ranges(self) -> list[RecordedRange]:
        """The finished ranges."""
        return [RecordedRange(*one) for one in self._finished]


_Finished = tuple[str, int, int, int]
"""The fields of ``RecordedRange``, which takes as long to make as all the rest of a range."""


class _Thread(threading.local):
    """The calling thread, which Linux is asked for once: a system call is slower than a range."""

    def __init__(self) -> None:
        self.id = threading.get_native_id()


class _Recording:
    __slots__ = ("_finished", "_name", "_start_ns", "_thread")

    def __init__(self, name: str, finished: list[_Finished], thread: _Thread) -> None:
        self._name = name
        self._finished = finished
        self._thread = thread

    def __enter__(self) -> None:
        self._start_ns = time.time_ns()

    def __exit__(self, *_exception: object) -> None:
        end_ns = time.time_ns()
        self._finished.append((self._name, self._start_ns, end_ns, self._thread.id))
