"""One image from its file to its result, each part in a named range, and how long the parts take.

A batch of images goes the same way together: the parts and their times are those of the batch.

Three things may time the parts. A profile has them, but is read only when the run is over. So an
adaptive measurement takes them by a ``Stopwatch``; on a CUDA device with events, since durations on
the host are there only those of launching. The latency pass runs the same images in a second
process, because a profiler costs time that its own numbers do not show: ranges inside ``image`` are
no operation there, the clock is that of the host (``LatencyClock``), and on a CUDA device the GPU
is waited for before the image and after it, so that its time is that until the device has finished.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import torch

from adscale.errors import MethodError
from adscale.names import IMAGE, TILE

from .annotation import NO_RANGE, Annotate
from .images import ImageSet
from .methods.base import Method
from .methods.results import Results, results_of
from .outputs import OutputWatch

NAMES = ("load", "prepare", "copy_to_device", "image", "copy_to_host", "end_to_end")
"""The times of each image, or batch; the copies on a CUDA device only."""


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
        """Times of the image that is over: from decoded image to result, and the inference."""
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


class Clock(Protocol):
    """Takes moments, and tells the time between two of them once both have passed."""

    def now(self) -> Any:
        """This moment."""

    def elapsed_ms(self, begin: Any, end: Any) -> float:
        """Time from one moment to another, in ms."""


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
    """Opens ranges, and times ``image`` and the ranges directly inside it, or in its tiles.

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
        is_part = self._depth == 1 and name != TILE  # around submodules, and is none
        if is_part or (self._depth == 0 and name == IMAGE):
            return _Timed(self, name)
        return self._annotate(name)

    def times_ms(self) -> list[float]:
        """Times of the image that is over: submodules in the order of the first image, the image.

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


FACTOR = 2
"""The buffer's size in caches: one cache's worth would leave lines of the image before."""

UNKNOWN_BYTES = 64 * 2**20
"""The buffer where the CPU does not tell of its caches."""

CPUS = Path("/sys/devices/system/cpu")
"""Where Linux describes them."""


class CacheFlush:
    """Overwrites the cache of a device when it is called, and waits until that is done.

    Args:
        device_type: ``cpu`` or ``cuda``, the current CUDA device.
    """

    def __init__(self, device_type: str) -> None:
        size = _buffer_bytes(device_type)
        self._buffer = torch.zeros(size, dtype=torch.uint8, device=device_type)

    def __call__(self) -> None:
        """Reads and writes every byte: stores alone may go past the cache."""
        self._buffer.add_(1)
        if self._buffer.is_cuda:
            torch.cuda.synchronize()


def _buffer_bytes(device_type: str) -> int:
    if device_type == "cuda":
        return FACTOR * int(torch.cuda.get_device_properties(0).L2_cache_size)
    cache_bytes = last_level_bytes(os.sched_getaffinity(0))
    return UNKNOWN_BYTES if cache_bytes is None else FACTOR * cache_bytes


def last_level_bytes(cpus: Iterable[int], folder: Path = CPUS) -> int | None:
    """Size of the last-level caches of some CPUs together; None where Linux does not tell.

    Args:
        cpus: their numbers.
        folder: where Linux describes CPUs.
    """
    sizes: dict[tuple[int, str], int] = {}
    with suppress(OSError, ValueError):
        for cpu in cpus:
            for cache in (folder / f"cpu{cpu}" / "cache").glob("index*"):
                level, size, shared = (
                    (cache / name).read_text(encoding="utf-8").strip()
                    for name in ("level", "size", "shared_cpu_list")
                )
                sizes[int(level), shared] = _bytes(size)
    last = max((level for level, _ in sizes), default=0)
    return sum(size for (level, _), size in sizes.items() if level == last) or None


def _bytes(size: str) -> int:
    """Bytes that Linux writes as ``32768K``."""
    units = {"K": 2**10, "M": 2**20, "G": 2**30}
    return int(size[:-1]) * units[size[-1]] if size[-1] in units else int(size)


@dataclass(frozen=True)
class Inference:
    """A method where it runs, and the images it is given.

    Args:
        method: on its device.
        images: the images.
        device_type: ``cpu`` or ``cuda``.
        batch: images of one inference.
        flush: empties the device's cache before each inference; None: it keeps what was there.
        outputs: keeps what is found; None: nobody does.
    """

    method: Method
    images: ImageSet
    device_type: str
    batch: int = 1
    flush: Callable[[], None] | None = None
    outputs: OutputWatch | None = None

    @property
    def unit(self) -> str:
        """What is counted as one, in words."""
        return "images" if self.batch == 1 else f"batches of {self.batch} images"

    def run(self, index: int, annotate: Annotate) -> None:
        """Runs one image, or one batch.

        Args:
            index: of the image; of the batch, which goes on behind the images of the one before.
            annotate: opens the ranges.

        Raises:
            MethodError: the method does not keep to the images of a batch.
        """
        first = index * self.batch
        with annotate("load"):
            loaded = [self.images[first + offset] for offset in range(self.batch)]
        with annotate("prepare"):
            batch = self._joined([self.method.prepare(image) for image in loaded])
        if self.device_type == "cuda":
            self._on_cuda(first, batch, annotate)
        else:
            self._flush(annotate)
            with annotate("image"):
                detection = self.method.infer(batch, annotate)
            self._take(first, results_of(detection, self.batch, _name(self.method)))

    def _joined(self, prepared: list[torch.Tensor]) -> torch.Tensor:
        """The images of a batch in one tensor, as torch's data loaders join them."""
        if self.batch == 1:
            return prepared[0]
        joined = torch.cat(prepared)
        if len(joined) != self.batch:
            what = f"prepare returns shape {tuple(prepared[0].shape)} for an image"
            raise MethodError(_name(self.method), what, "return (1, 3, height, width)")
        return joined

    def _take(self, first: int, results: Results) -> None:
        if self.outputs is not None:
            self.outputs.take(first, self.batch, results)

    def _on_cuda(self, first: int, prepared: torch.Tensor, annotate: Annotate) -> None:
        with annotate("copy_to_device"):
            batch = prepared.to("cuda")
            torch.cuda.synchronize()
        self._flush(annotate)
        with annotate("image"):
            detection = self.method.infer(batch, annotate)
        with annotate("synchronize"):
            torch.cuda.synchronize()
        results = results_of(detection, self.batch, _name(self.method))
        with annotate("copy_to_host"):
            for result in (*results.maps, *results.scores):
                result.cpu()
        self._take(first, results)

    def _flush(self, annotate: Annotate) -> None:
        if self.flush is not None:
            with annotate("flush"):
                self.flush()


def _name(method: Method) -> str:
    return type(method).__name__
