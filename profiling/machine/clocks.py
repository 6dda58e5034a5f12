"""Locking the clock of a GPU for the time of a measurement, and setting it free whatever comes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress

from .guardian import Restorer, RestorerError
from .proto import Gpu, GpuError

STEP_MHZ = 15
"""Distance between two clocks of a GPU: what is asked for may lie so far from one it has."""


class ClockLock:
    """The clock of a GPU, locked where that is possible, until :meth:`release`.

    Attributes:
        locked_mhz: what it is locked to; None where it is not.
        problem: why not.

    Args:
        gpu: the GPU.
        asked_mhz: clock to lock it to; None: it is left to the driver.
        unlock_command: program that calls ``guardian.restore_at_end`` with what sets the clock free.
    """

    def __init__(self, gpu: Gpu, asked_mhz: int | None, unlock_command: Sequence[str]) -> None:
        self.locked_mhz: int | None = None
        self.problem: str | None = None
        self._gpu = gpu
        self._restorer: Restorer | None = None
        if asked_mhz is None:
            return
        try:
            self._lock(choose_clock(asked_mhz, self._supported()), unlock_command)
        except (GpuError, RestorerError) as error:
            self.problem = f"{asked_mhz} MHz could not be locked: {error}"
            self.release()

    def release(self) -> None:
        """Leaves the clock to the driver again."""
        if self._restorer is None:
            return
        if self.locked_mhz is not None:
            with suppress(GpuError):  # it may have been killed
                self._gpu.unlock_sm_clock()
        self._restorer.release()
        self._restorer = None

    def _lock(self, mhz: int, unlock_command: Sequence[str]) -> None:
        try:
            self._restorer = Restorer(unlock_command)
        except RestorerError as error:
            text = f"the process that would set it free again did not come up ({error})"
            raise RestorerError(text) from None
        self._gpu.lock_sm_clock(mhz)
        self.locked_mhz = mhz

    def _supported(self) -> Sequence[int]:
        try:
            return self._gpu.supported_sm_clocks_mhz()
        except GpuError:
            return []


def choose_clock(asked_mhz: int, supported_mhz: Sequence[int]) -> int:
    """The supported clock next to the one asked for.

    Args:
        asked_mhz: what was asked for.
        supported_mhz: what the GPU knows; none: it does not tell.

    Raises:
        GpuError: there is none near it. A driver would take the highest or lowest in its place.
    """
    if not supported_mhz:
        return asked_mhz
    nearest = min(supported_mhz, key=lambda mhz: abs(mhz - asked_mhz))
    if abs(nearest - asked_mhz) > STEP_MHZ:
        low, high = min(supported_mhz), max(supported_mhz)
        raise GpuError(f"the GPU knows clocks from {low} to {high} MHz")
    return nearest


def unlock_command(uuid: str) -> list[str]:
    """The guardian of a GPU's clock."""
    return [sys.executable, "-m", "profiling.machine.unlock", uuid]
