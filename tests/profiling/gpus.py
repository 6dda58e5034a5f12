"""A made-up GPU behind the protocol of `profiling.machine.nvml`: tells what it is set to."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from profiling.machine.nvml import ComputeProcess, GpuError, Utilisation

OURS = ComputeProcess(os.getpid(), "python", 2**30)
OTHER = ComputeProcess(99_999_999, "blender", 2**20)
"""A number that Linux gives to no process."""


class MadeUpGpu:
    """A GPU at 1410 MHz on which this process computes.

    Attributes:
        refused: methods that raise GpuError with this text.
        clock_file: is written at a lock and removed by unlocking.
    """

    def __init__(self, clock_file: Path | None = None) -> None:
        self.refused: dict[str, str] = {}
        self.asked: list[str] = []
        self.clock_file = clock_file
        self.processes: list[ComputeProcess] = [OURS]
        self.periods: list[Utilisation] = []
        self.joules = 1000.0
        self.supported = [210, 1395, 1410]
        self.locked: list[int] = []
        self.closed = False

    def sm_clock_mhz(self) -> float:
        return self._tell("sm_clock_mhz", 1410.0)

    def memory_clock_mhz(self) -> float:
        return self._tell("memory_clock_mhz", 1215.0)

    def temperature_c(self) -> float:
        return self._tell("temperature_c", 60.0)

    def power_w(self) -> float:
        return self._tell("power_w", 55.5)

    def slowdown_reasons(self) -> int:
        return int(self._tell("slowdown_reasons", 0))

    def energy_j(self) -> float:
        self.joules += 300.0
        return self._tell("energy_j", self.joules)

    def utilisation(self, since_us: int) -> Sequence[Utilisation]:
        self._tell("utilisation", 0)
        found, self.periods = self.periods, []
        return found

    def compute_processes(self) -> Sequence[ComputeProcess]:
        self._tell("compute_processes", 0)
        return list(self.processes)

    def supported_sm_clocks_mhz(self) -> Sequence[int]:
        self._tell("supported_sm_clocks_mhz", 0)
        return self.supported

    def lock_sm_clock(self, mhz: int) -> None:
        self._tell("lock_sm_clock", 0)
        self.locked.append(mhz)
        if self.clock_file is not None:
            self.clock_file.write_text(str(mhz))

    def unlock_sm_clock(self) -> None:
        self._tell("unlock_sm_clock", 0)
        if self.clock_file is not None:
            self.clock_file.unlink(missing_ok=True)

    def _tell(self, name: str, value: float) -> float:
        assert not self.closed, "a closed GPU is not asked"
        self.asked.append(name)
        if name in self.refused:
            raise GpuError(self.refused[name])
        return value
