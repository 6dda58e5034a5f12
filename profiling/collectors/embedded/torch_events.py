"""GPU events through the profiler that ships with torch (Kineto). Needs torch."""

from __future__ import annotations

import json
import os
import re
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple, Protocol

import torch
from torch.profiler import ProfilerActivity, profile

from adscale.errors import CollectorError

from .events import Gpu, GpuEvents, Kernel, Launch, Memcpy, Memset, Size, ThreadNumbers
from .schema import COPY_KINDS, MEMORY_KINDS

_MEMCPY = re.compile(r"Memcpy (\S+) \((.+) -> (.+)\)$")
_MEMSET = re.compile(r"Memset \((.+)\)$")
_API_CALLS = {"cuda_runtime", "cuda_driver"}


class DeviceType(Protocol):
    """A member of torch's enumeration of kinds of devices."""

    @property
    def name(self) -> str:
        """``CPU``, ``CUDA`` and others."""


class KinetoEvent(Protocol):
    """The part of torch's ``_KinetoEvent`` that is used here, from 2.6 on."""

    def name(self) -> str:
        """Name of the kernel, call or copy."""

    def device_type(self) -> DeviceType:
        """CPU for API calls, CUDA for what ran on a GPU."""

    def device_index(self) -> int:
        """The GPU; for API calls the process."""

    def device_resource_id(self) -> int:
        """The stream; for API calls the thread."""

    def start_ns(self) -> int:
        """Since the Unix epoch."""

    def duration_ns(self) -> int:
        """Time from start to end."""

    def correlation_id(self) -> int:
        """CUPTI's, the same for a call and what it launched."""


class _Work(NamedTuple):
    """The fields that all kinds of GPU work share."""

    correlation_id: int
    device_id: int
    stream_id: int
    start_ns: int
    end_ns: int
    context_id: int | None


def read_events(events: Iterable[KinetoEvent], threads: ThreadNumbers) -> GpuEvents:
    """Sorts events by kind; what is neither an API call nor GPU work is not ours to keep.

    Args:
        events: as torch's profiler gives them.
        threads: finds Linux' number of a launching thread.
    """
    launches: list[Launch] = []
    kernels: list[Kernel] = []
    memcpys: list[Memcpy] = []
    memsets: list[Memset] = []
    for event in events:
        kind = _kind(event)
        if kind in _API_CALLS:
            launches.append(_launch(event, threads))
        elif kind == "gpu_memcpy":
            memcpys.append(_memcpy(event))
        elif kind == "gpu_memset":
            memsets.append(_memset(event))
        elif kind == "kernel":
            kernels.append(_kernel(event))
    return GpuEvents(tuple(launches), tuple(kernels), tuple(memcpys), tuple(memsets))


def _kind(event: KinetoEvent) -> str:
    """The kind, which newer versions of torch tell and older ones leave to the name."""
    told = getattr(event, "activity_type", None)
    if told is not None:
        return str(told())
    name = event.name()
    if event.device_type().name == "CPU":
        return "cuda_runtime" if re.match(r"cu(da)?[A-Z]", name) else "other"
    if _MEMCPY.match(name):
        return "gpu_memcpy"
    return "gpu_memset" if _MEMSET.match(name) else "kernel"


def _launch(event: KinetoEvent, threads: ThreadNumbers) -> Launch:
    return Launch(
        name=event.name(),
        correlation_id=event.correlation_id(),
        thread_id=threads.number_of(event.device_resource_id()),
        start_ns=event.start_ns(),
        end_ns=event.start_ns() + event.duration_ns(),
    )


def _kernel(event: KinetoEvent) -> Kernel:
    details = _details(event)
    return Kernel(
        event.name(),
        *_work(event, details),
        grid=_size(details.get("grid")),
        block=_size(details.get("block")),
        registers_per_thread=_number(details.get("registers per thread")),
    )


def _memcpy(event: KinetoEvent) -> Memcpy:
    details = _details(event)
    copy, source, target = _copied(event.name())
    return Memcpy(
        copy, source, target, *_work(event, details), size_bytes=_number(details.get("bytes"))
    )


def _memset(event: KinetoEvent) -> Memset:
    details = _details(event)
    found = _MEMSET.match(event.name())
    kind = _memory_kind(found[1] if found else "")
    return Memset(kind, *_work(event, details), size_bytes=_number(details.get("bytes")))


def _work(event: KinetoEvent, details: Mapping[str, Any]) -> _Work:
    return _Work(
        correlation_id=event.correlation_id(),
        device_id=event.device_index(),
        stream_id=event.device_resource_id(),
        start_ns=event.start_ns(),
        end_ns=event.start_ns() + event.duration_ns(),
        context_id=_number(details.get("context")),
    )


def _copied(name: str) -> tuple[int, int, int]:
    """Kinds of the copy, of its source and of its target, from ``Memcpy HtoD (A -> B)``."""
    found = _MEMCPY.match(name)
    copy, source, target = found.groups() if found else ("", "", "")
    kind = COPY_KINDS.get(copy.upper(), COPY_KINDS["UNKNOWN"])
    return kind, _memory_kind(source), _memory_kind(target)


def _memory_kind(label: str) -> int:
    return MEMORY_KINDS.get(label, MEMORY_KINDS["Unknown"])


def _details(event: KinetoEvent) -> Mapping[str, Any]:
    """Details that newer versions of torch tell, such as ``"bytes": 4096, "context": 1``."""
    told = getattr(event, "metadata_json", None)
    text = "" if told is None else told()
    try:
        details = json.loads(text if text.lstrip().startswith("{") else f"{{{text}}}")
    except ValueError:
        return {}
    return details if isinstance(details, dict) else {}


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _size(value: object) -> Size | None:
    if isinstance(value, list) and len(value) == 3 and all(isinstance(n, int) for n in value):
        return (value[0], value[1], value[2])
    return None


BUFFER_LIMIT_MIB = 8192
"""Bytes that the profiler may buffer; beyond its own 128 MiB it silently drops events."""

PROBE_MARGIN_S = 0.01
"""Far more than the clocks of GPU events and of the process differ."""


class CudaRecorder:
    """Records API calls, kernels, copies and memsets of this process between start and stop.

    CPU operators are not recorded: they would cost time in what is measured.
    """

    def __init__(self) -> None:
        self.source = f"torch.profiler {torch.__version__}"
        self._profile = profile(activities=[ProfilerActivity.CUDA], experimental_config=_config())
        self._probe: torch.Tensor | None = None
        self._probed_ns = 0

    def start(self) -> None:
        """Starts recording."""
        self._probe = torch.zeros(1, device="cuda")
        with _raised_buffer_limit():
            self._profile.start()

    def stop(self) -> None:
        """Launches a last, known kernel, waits for the GPU, and stops recording."""
        try:
            self._launch_probe()
        finally:
            self._profile.stop()

    def events(self, threads: ThreadNumbers) -> GpuEvents:
        """All events that were recorded.

        Args:
            threads: finds Linux' number of a launching thread.

        Raises:
            CollectorError: the last kernel is not among the events, so others are missing too.
        """
        events = read_events(self._kineto_events(), threads)
        if not any(kernel.start_ns >= self._probed_ns for kernel in events.kernels):
            what = "torch's profiler recorded no GPU kernel at the end of the run"
            remedy = "measure fewer images, allow the profiling of GPUs, or record with nsys"
            raise CollectorError("embedded collector", what, remedy)
        return events

    def gpus(self) -> tuple[Gpu, ...]:
        """The GPUs that the process sees."""
        return tuple(_gpu(index) for index in range(torch.cuda.device_count()))

    def _launch_probe(self) -> None:
        assert self._probe is not None
        torch.cuda.synchronize()
        self._probed_ns = time.time_ns()
        time.sleep(PROBE_MARGIN_S)
        self._probe += 1
        torch.cuda.synchronize()

    def _kineto_events(self) -> list[KinetoEvent]:
        results = self._profile.profiler.kineto_results if self._profile.profiler else None
        return [] if results is None else list(results.events())


def _config() -> Any:
    """Asks for sizes of copies and grids, where torch has the option (not in 2.6)."""
    from torch._C._profiler import _ExperimentalConfig

    with suppress(TypeError):
        return _ExperimentalConfig(expose_kineto_event_metadata=True)
    return None


@contextmanager
def _raised_buffer_limit() -> Iterator[None]:
    """The limit can be raised only by a file that an environment variable names."""
    if "KINETO_CONFIG" in os.environ:
        yield
        return
    with tempfile.NamedTemporaryFile("w", prefix="adscale-kineto-", suffix=".conf") as file:
        file.write(f"ACTIVITIES_MAX_GPU_BUFFER_SIZE_MB={BUFFER_LIMIT_MIB}\n")
        file.flush()
        os.environ["KINETO_CONFIG"] = file.name
        try:
            yield
        finally:
            del os.environ["KINETO_CONFIG"]


def _gpu(index: int) -> Gpu:
    properties = torch.cuda.get_device_properties(index)
    uuid = getattr(properties, "uuid", None)
    return Gpu(
        device_id=index,
        name=properties.name,
        memory_bytes=properties.total_memory,
        sm_count=properties.multi_processor_count,
        compute_major=properties.major,
        compute_minor=properties.minor,
        uuid=None if uuid is None else f"GPU-{uuid}",
    )
