"""A GPU: clocks, temperature, power, what held the clocks down, and what others use of it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from .proto import Gpu, GpuError, Utilisation

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
"""That a GPU tells at any time, by the names of its methods."""


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
    """What other processes use of a GPU, from periods that the driver ends now and then."""

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
