"""The state of a GPU beside a measurement: what is sampled, and what is asked once.

Clocks, temperature, power, what held the clocks down and what others use of it are sampled; energy,
idle power and the processes of others are asked before and after the measured images.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from adscale.errors import DeviceError

from ..processes import MARK, marked_processes
from .clocks import ClockLock
from .nvml import ComputeProcess, Gpu, GpuError, Utilisation


def of_others(processes: Iterable[ComputeProcess], own: set[int]) -> list[ComputeProcess]:
    """Those that are not the run's.

    Args:
        processes: on the GPU.
        own: numbers of the run's processes.
    """
    return [one for one in processes if one.pid not in own]


def refuse_foreign(found: Sequence[ComputeProcess], when: str) -> None:
    """Stops a run that shall not share its GPU.

    Args:
        found: processes of others.
        when: for the message: ``before`` or ``after`` the measurement.

    Raises:
        DeviceError: there is one.
    """
    if not found:
        return
    named = ", ".join(f"{one.name or 'unknown'} (process {one.pid})" for one in found)
    what = f"others compute on the GPU {when} the measurement: {named}"
    remedy = "wait for their end, or set device.foreign_processes: flag"
    raise DeviceError("device.foreign_processes", what, remedy)


def foreign_records(
    before: Sequence[ComputeProcess], after: Sequence[ComputeProcess]
) -> list[dict[str, Any]]:
    """``foreign_processes`` of ``run.json``.

    Args:
        before: processes of others before the measurement.
        after: the same after it; its figures count where a process was there at both times.
    """
    first, last = {one.pid: one for one in before}, {one.pid: one for one in after}
    return [
        {**one._asdict(), "seen": _seen(one.pid, first, last)} for one in {**first, **last}.values()
    ]


def _seen(pid: int, before: dict[int, ComputeProcess], after: dict[int, ComputeProcess]) -> str:
    if pid in before and pid in after:
        return "throughout"
    return "before" if pid in before else "after"


FIRST_PID_NAMESPACE = 0xEFFFFFFC
"""Number of the machine's own process namespace: PROC_PID_INIT_INO of include/linux/proc_ns.h."""

HELD_S = 2.0
"""For how long the last share of others stands: the driver has a new one once in up to a second."""


QUANTITIES: tuple[str, ...] = (
    "sm_clock_mhz",
    "memory_clock_mhz",
    "temperature_c",
    "power_w",
    "slowdown_reasons",
)
"""Quantities that a GPU tells at any time, by the names of its methods."""


class GpuSource:
    """Quantities of a GPU. What it does not tell the first time is not asked again.

    Args:
        gpu: the GPU.
        own_pids: numbers of the run's processes.
        first_namespace: whether this process has the numbers that the driver knows.
    """

    def __init__(
        self, gpu: Gpu, own_pids: Callable[[], set[int]], first_namespace: bool | None = None
    ) -> None:
        self.unavailable: dict[str, str] = {}
        self._gpu = gpu
        self._find_own = own_pids
        self._first_namespace = first_namespace
        self._told: set[str] = set()
        self._others = _OthersShare(gpu)
        self.restart()

    def sample(self) -> dict[str, float | None]:
        """All quantities now."""
        values: dict[str, float | None] = {}
        for name in QUANTITIES:
            self._ask(name, getattr(self._gpu, name), values)
        self._ask("others_share", self._others.share, values)
        return values

    def restart(self) -> None:
        """The measured images begin; the run's processes are looked for again."""
        self._others.own = self._find_own()
        reason = numbers_differ(self._gpu, self._others.own, self._first_namespace)
        if reason is None:
            self.unavailable.pop("others_share", None)
        elif "others_share" not in self._told:
            self.unavailable["others_share"] = reason

    def _ask(
        self, name: str, ask: Callable[[], float | None], values: dict[str, float | None]
    ) -> None:
        if name in self.unavailable:
            return
        try:
            values[name] = ask()
            self._told.add(name)
        except GpuError as error:
            values[name] = None
            if name not in self._told:
                self.unavailable[name] = str(error)


class _OthersShare:
    """Follows what other processes use of a GPU, over periods that the driver ends now and then."""

    def __init__(self, gpu: Gpu) -> None:
        self.own: set[int] = set()
        self._gpu = gpu
        self._since_us = time.time_ns() // 1000
        self._last: float | None = None
        self._last_s = 0.0

    def share(self) -> float | None:
        found = [
            one for one in self._gpu.utilisation(self._since_us) if one.time_us > self._since_us
        ]
        if found:
            self._since_us = max(one.time_us for one in found)
            self._last, self._last_s = others_share(found, self.own), time.monotonic()
        return self._last if time.monotonic() - self._last_s < HELD_S else None


def others_share(found: Sequence[Utilisation], own: set[int]) -> float:
    """Sum over other processes of the mean of what each used; at most 1.

    Args:
        found: periods of all processes.
        own: numbers of the run's processes.
    """
    shares: dict[int, list[float]] = {}
    for one in found:
        if one.pid not in own:
            shares.setdefault(one.pid, []).append(one.share)
    return min(1.0, sum(sum(values) / len(values) for values in shares.values()))


def numbers_differ(gpu: Gpu, own: set[int], first_namespace: bool | None = None) -> str | None:
    """Why processes of the run cannot be told from others; None where they can.

    A driver knows processes by the numbers that the machine gives them. In a container with
    numbers of its own they are the same only where the driver translates them, which shows by
    this process being among those on the GPU.

    Args:
        gpu: the GPU.
        own: numbers of the run's processes.
        first_namespace: whether this process has the machine's own numbers; None: look.
    """
    if first_namespace is None:
        first_namespace = in_first_namespace()
    if first_namespace:
        return None
    try:
        if any(one.pid in own for one in gpu.compute_processes()):
            return None
    except GpuError as error:
        return str(error)
    return "in this container processes have other numbers than the driver knows"


def in_first_namespace(namespace: Path = Path("/proc/self/ns/pid")) -> bool:
    """Whether process numbers here are those of the machine."""
    try:
        return os.stat(namespace).st_ino == FIRST_PID_NAMESPACE  # noqa: PTH116 - as os.stat of it
    except OSError:
        return False


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
        """``machine`` of ``run.json`` without its samples. The GPU is not asked any more.

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
