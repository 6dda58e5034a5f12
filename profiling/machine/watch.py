"""Watches the machine beside a measurement, by a thread that samples it at intervals."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any, Literal, Protocol

from .clocks import unlock_command
from .cpu import CpuSource, OwnTime
from .gpu import QUANTITIES, GpuSource, GpuWatch
from .nvml import Gpu, GpuError, open_gpu

INTERVAL_MS = 100.0
"""Time between two samples, as long as there are few."""

MOST_SAMPLES = 2000
"""Beyond it every second sample is dropped, and the interval doubled."""


class Source(Protocol):
    """Quantities of one device.

    Attributes:
        unavailable: why a quantity cannot be had; it has no samples then.
    """

    unavailable: dict[str, str]

    def sample(self) -> Mapping[str, float | None]:
        """The quantities now; None where one is missing for once."""

    def restart(self) -> None:
        """The measured images begin: nothing from before may be mixed with them."""


class Sampler:
    """Samples a source from :meth:`start` until :meth:`stop`.

    Args:
        source: what to ask. It is asked by one thread at a time.
    """

    def __init__(self, source: Source) -> None:
        self.interval_ms = INTERVAL_MS
        self._source = source
        self._zero_ns = time.monotonic_ns()
        self._rows: list[tuple[float, Mapping[str, float | None]]] = []
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="machine", daemon=True)

    def start(self) -> None:
        """Begins to sample."""
        self._thread.start()

    def stop(self) -> None:
        """Ends it; what was sampled stays."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()

    def now_ms(self) -> float:
        """Time on the clock of the samples."""
        return (time.monotonic_ns() - self._zero_ns) / 1e6

    def restart(self) -> float:
        """The measured images begin; returns the time."""
        with self._lock:
            self._source.restart()
            return self.now_ms()

    def sample(self) -> float:
        """Takes a sample out of turn; returns its time."""
        with self._lock:
            values = self._source.sample()
            time_ms = self.now_ms()
            self._rows.append((time_ms, values))
            if len(self._rows) > MOST_SAMPLES:
                self._rows = self._rows[::2]
                self.interval_ms *= 2
            return time_ms

    def as_dict(self) -> dict[str, Any]:
        """``samples`` of ``machine`` in ``run.json``; without quantities that never had a value."""
        with self._lock:
            rows = list(self._rows)
        names = {name: None for _, values in rows for name in values}
        columns = {name: [values.get(name) for _, values in rows] for name in names}
        known = {
            name: column
            for name, column in columns.items()
            if any(value is not None for value in column)
        }
        return {"time_ms": [round(time_ms, 3) for time_ms, _ in rows], **known}

    def _run(self) -> None:
        while not self._stop.wait(self.interval_ms / 1e3):
            self.sample()


class MachineWatch:
    """Watches the machine inside its ``with`` block; afterwards :meth:`as_dict` tells.

    On a CPU device it watches the CPUs that the process may use, on a CUDA device the GPU. It
    samples in a thread: the threads of a method compete with it for Python's global lock for as
    long as a sample takes, ten times a second (docs/definitions.md has the cost).

    Args:
        device_type: ``cpu`` or ``cuda``.
        gpu_uuid: UUID of the GPU that is measured; None on a CPU device.
        lock_clocks: SM clock in MHz to lock the GPU to; None: the driver chooses.
        foreign_processes: what is done about processes of others on the GPU.

    Raises:
        DeviceError: on entering, another process computes on the GPU and ``foreign_processes`` is
            ``error``.
    """

    def __init__(
        self,
        device_type: Literal["cpu", "cuda"],
        gpu_uuid: str | None = None,
        lock_clocks: int | None = None,
        foreign_processes: Literal["flag", "error"] = "flag",
    ) -> None:
        self._device_type = device_type
        self._gpu_uuid = gpu_uuid
        self._lock_clocks = lock_clocks
        self._refuse_foreign = foreign_processes == "error"
        self._gpu: GpuWatch | None = None
        self._problem: str | None = None
        self._measured_ms: list[float] | None = None

    def __enter__(self) -> MachineWatch:
        with ExitStack() as stack:
            self._source = self._open_source(stack)
            self._sampler = Sampler(self._source)
            stack.callback(self._sampler.stop)
            self._sampler.start()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    @contextmanager
    def measuring(self) -> Iterator[None]:
        """Around the measured images.

        Raises:
            DeviceError: at the end, another process computes on the GPU and ``foreign_processes``
                is ``error``.
        """
        begin_ms = self._sampler.restart()
        if self._gpu is not None:
            self._gpu.begin()
        try:
            yield
        finally:
            if self._gpu is not None:
                self._gpu.end()
            # a last sample: also a short measurement shall have one
            self._measured_ms = [begin_ms, self._sampler.sample()]
        if self._gpu is not None:
            self._gpu.refuse_foreign()

    def as_dict(self, measured_images: int) -> dict[str, Any]:
        """``machine`` of ``run.json``, as it stands.

        Args:
            measured_images: that were completed within `measuring`.
        """
        return {
            "interval_ms": self._sampler.interval_ms,
            "measured_ms": self._measured_ms,
            "samples": self._sampler.as_dict(),
            **self._gpu_dict(measured_images),
        }

    def _gpu_dict(self, measured_images: int) -> dict[str, Any]:
        if self._gpu is not None:
            return self._gpu.as_dict(measured_images, self._source.unavailable)
        asked = self._lock_clocks
        problem = None if asked is None else f"{asked} MHz could not be locked: {self._problem}"
        return {
            "unavailable": dict(self._source.unavailable),
            "idle_power_w": None,
            "energy": None,
            "locked_sm_clock_mhz": None,
            "lock_problem": problem,
            "foreign_processes": [],
        }

    def _open_source(self, stack: ExitStack) -> Source:
        if self._device_type == "cpu":
            self._problem = "this is a CPU device"
            return CpuSource(OwnTime(), os.sched_getaffinity(0))
        try:
            gpu: Gpu = stack.enter_context(open_gpu(self._gpu_uuid))
        except GpuError as error:
            self._problem = str(error)
            return _NoSource(str(error))
        assert self._gpu_uuid is not None
        self._gpu = GpuWatch(gpu, refuse_foreign=self._refuse_foreign)
        lock = self._gpu.lock(self._lock_clocks, unlock_command(self._gpu_uuid))
        stack.callback(lock.release)
        return GpuSource(gpu, self._gpu.own_pids)


class _NoSource:
    """Stands for a GPU that cannot be asked."""

    def __init__(self, reason: str) -> None:
        names = (*QUANTITIES, "others_share", "idle_power_w", "energy", "foreign_processes")
        self.unavailable = dict.fromkeys(names, reason)

    def sample(self) -> dict[str, float | None]:
        return {}

    def restart(self) -> None:
        pass
