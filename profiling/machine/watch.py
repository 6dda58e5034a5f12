"""Samples the state of the machine in a thread, beside the measurement."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Literal

INTERVAL_MS = 100.0
"""Time between two samples."""


class MachineWatch:
    """Watches the machine inside its ``with`` block; afterwards :meth:`as_dict` tells.

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
        self._time_ms: list[float] = []
        self._measured_ms: list[float] | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="machine", daemon=True)
        self._zero_ns = time.monotonic_ns()

    def __enter__(self) -> MachineWatch:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    @contextmanager
    def measuring(self) -> Iterator[None]:
        """Around the measured images."""
        begin_ms = self._now_ms()
        try:
            yield
        finally:
            self._measured_ms = [begin_ms, self._now_ms()]

    def as_dict(self, measured_images: int) -> dict[str, Any]:
        """``machine`` of ``run.json``, as it stands.

        Args:
            measured_images: that were completed within `measuring`.
        """
        return {
            "interval_ms": INTERVAL_MS,
            "measured_ms": self._measured_ms,
            "samples": {"time_ms": list(self._time_ms)},
            "unavailable": {},
            "idle_power_w": None,
            "energy": None,
            "locked_sm_clock_mhz": None,
            "lock_problem": None,
            "foreign_processes": [],
        }

    def _now_ms(self) -> float:
        return (time.monotonic_ns() - self._zero_ns) / 1e6

    def _sample(self) -> None:
        while not self._stop.wait(INTERVAL_MS / 1e3):
            self._time_ms.append(self._now_ms())
