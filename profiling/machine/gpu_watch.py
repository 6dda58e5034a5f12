"""What is asked of a GPU once per measurement: energy, idle power, clock lock, other processes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from ..processes import MARK, marked_processes
from .clocks import ClockLock
from .foreign import foreign_records, of_others, refuse_foreign
from .gpu import numbers_differ
from .proto import ComputeProcess, Gpu, GpuError

Value = TypeVar("Value")


def own_processes() -> set[int]:
    """Numbers of this process and of those with the same run's mark."""
    mark = os.environ.get(MARK)
    return {os.getpid(), *(marked_processes(mark) if mark else [])}


class GpuWatch:
    """Asks before, at the begin, and at the end of the measured images.

    Args:
        gpu: the GPU, before anything of the run computes on it.
        refuse_foreign: whether processes of others on it are an error.
        own_pids: numbers of the run's processes.
        first_namespace: whether this process has the numbers that the driver knows; None: look.

    Raises:
        DeviceError: there are some already, and they are.
    """

    def __init__(
        self,
        gpu: Gpu,
        refuse_foreign: bool,
        own_pids: Callable[[], set[int]] = own_processes,
        first_namespace: bool | None = None,
    ) -> None:
        self.own_pids = own_pids
        self.unavailable: dict[str, str] = {}
        self._gpu = gpu
        self._refuse = refuse_foreign
        self._first_namespace = first_namespace
        self._lock: ClockLock | None = None
        self._energy: dict[str, float] | None = None
        self._begin: tuple[float, float] | None = None
        self._own: set[int] = set()
        self._before = self._compute_processes()
        self._after: Sequence[ComputeProcess] = ()
        self._tell_apart()
        self._refuse_some(self._before, "before")
        self._idle_power_w = self._ask("idle_power_w", gpu.power_w)

    def lock(self, asked_mhz: int | None, unlock_command: Sequence[str]) -> ClockLock:
        """Locks the clock where asked to; the caller releases it."""
        self._lock = ClockLock(self._gpu, asked_mhz, unlock_command)
        return self._lock

    def begin(self) -> None:
        """The measured images begin."""
        joules = self._ask("energy", self._gpu.energy_j)
        self._begin = None if joules is None else (time.monotonic(), joules)

    def end(self) -> None:
        """They have ended."""
        if self._begin is not None:
            begin_s, begin_j = self._begin
            end_j = self._ask("energy", self._gpu.energy_j)
            if end_j is not None:
                window_s = time.monotonic() - begin_s
                self._energy = {"joules": end_j - begin_j, "window_s": window_s}
        self._after = self._compute_processes()
        self._tell_apart()

    def refuse_foreign(self) -> None:
        """Stops a run that shared its GPU, where that is an error.

        Raises:
            DeviceError: it did.
        """
        self._refuse_some(self._after, "after")

    def as_dict(self, measured_images: int, unavailable: Mapping[str, str]) -> dict[str, Any]:
        """What ``machine`` of ``run.json`` has beside samples. The GPU is not asked any more.

        Args:
            measured_images: within which the energy was used.
            unavailable: why samples of a quantity are missing.
        """
        reasons = {**unavailable, **self.unavailable}
        if self._inseparable is not None:
            reasons.setdefault("foreign_processes", self._inseparable)
        energy = None if self._energy is None else {**self._energy, "images": measured_images}
        return {
            "unavailable": reasons,
            "idle_power_w": self._idle_power_w,
            "energy": energy,
            "locked_sm_clock_mhz": self._lock.locked_mhz if self._lock else None,
            "lock_problem": self._lock.problem if self._lock else None,
            "foreign_processes": foreign_records(
                self._foreign(self._before), self._foreign(self._after)
            ),
        }

    def _refuse_some(self, processes: Sequence[ComputeProcess], when: str) -> None:
        if self._refuse:
            refuse_foreign(self._foreign(processes), when)

    def _foreign(self, processes: Sequence[ComputeProcess]) -> list[ComputeProcess]:
        return [] if self._inseparable else of_others(processes, self._own)

    def _compute_processes(self) -> Sequence[ComputeProcess]:
        return self._ask("foreign_processes", self._gpu.compute_processes) or ()

    def _tell_apart(self) -> None:
        """Looks for the run's own processes, and whether the driver knows them by these numbers."""
        self._own |= self.own_pids()  # also those that have ended meanwhile
        self._inseparable = numbers_differ(self._gpu, self._own, self._first_namespace)

    def _ask(self, name: str, ask: Callable[[], Value]) -> Value | None:
        try:
            return ask()
        except GpuError as error:
            self.unavailable[name] = str(error)
            return None
