"""x"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class GpuError(Exception):
    """The driver does not tell, or does not do, what it was asked; the text says why."""


class Utilisation(NamedTuple):
    """What a process used of a GPU over the driver's last period."""

    pid: int
    time_us: int
    """End of that period."""
    share: float
    """Of the time in which kernels of it ran, 0 to 1."""


class ComputeProcess(NamedTuple):
    """A process with a compute context on a GPU."""

    pid: int
    name: str | None
    used_bytes: int | None


class Gpu(Protocol):
    """What a driver tells of one GPU; every method raises GpuError where it does not."""

    def sm_clock_mhz(self) -> float:
        """Clock of the multiprocessors."""

    def memory_clock_mhz(self) -> float:
        """Clock of the memory."""

    def temperature_c(self) -> float:
        """Temperature of the chip."""

    def power_w(self) -> float:
        """Power of the board."""

    def slowdown_reasons(self) -> int:
        """NVML's bit mask of what holds the clocks down."""

    def energy_j(self) -> float:
        """Counter of energy, from any beginning."""

    def utilisation(self, since_us: int) -> Sequence[Utilisation]:
        """Of each process, over the driver's periods that ended since then; maybe none."""

    def compute_processes(self) -> Sequence[ComputeProcess]:
        """Processes with a compute context, those of this run among them."""

    def supported_sm_clocks_mhz(self) -> Sequence[int]:
        """Clocks that it can be locked to."""

    def lock_sm_clock(self, mhz: int) -> None:
        """Locks the clock of the multiprocessors."""

    def unlock_sm_clock(self) -> None:
        """Leaves it to the driver."""
