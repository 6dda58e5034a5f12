"""Watches the state of the machine beside a measurement."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any, Literal

from .clocks import unlock_command
from .cpu import CpuSource
from .gpu import QUANTITIES, GpuSource
from .gpu_watch import GpuWatch
from .nvml import open_gpu
from .own_time import OwnTime
from .proto import Gpu, GpuError
from .sampler import Sampler, Source


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
    """In place of a GPU that cannot be asked."""

    def __init__(self, reason: str) -> None:
        names = (*QUANTITIES, "others_share", "idle_power_w", "energy", "foreign_processes")
        self.unavailable = dict.fromkeys(names, reason)

    def sample(self) -> dict[str, float | None]:
        return {}

    def restart(self) -> None:
        pass
