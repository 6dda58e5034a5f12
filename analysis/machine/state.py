"""The state of the machine during a run: `machine` of run.json, as analysis needs it.

In the record a list per quantity, all of the length of `time_ms`; None where a sample is missing,
no list where the quantity cannot be had (`adscale.run_record`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from adscale.errors import ResultsError
from adscale.run_record import ForeignProcess, Machine

Floats = npt.NDArray[np.float64]

QUANTITIES = (
    "sm_clock_mhz",
    "memory_clock_mhz",
    "temperature_c",
    "power_w",
    "slowdown_reasons",
    "cpu_frequency_mhz",
    "others_share",
)
"""What a sample may hold, beside its time."""


@dataclass(frozen=True)
class MachineState:
    """Samples that were taken while images were measured; NaN where a value is missing.

    Attributes:
        time_ms: time of each sample.
        sm_clock_mhz: clock of the GPU's multiprocessors.
        memory_clock_mhz: clock of the GPU's memory.
        temperature_c: of the GPU.
        power_w: that the GPU draws.
        slowdown_reasons: NVML's bit mask of why clocks are not higher.
        cpu_frequency_mhz: highest frequency of the CPUs that the process may use.
        others_share: share of the device that other processes used.
        locked_sm_clock_mhz: clock that the GPU was locked to; None where it was not.
        lock_problem: why the clock asked for could not be locked.
        foreign_processes: others that computed on the GPU, each as a few words.
        unavailable: why a quantity could not be recorded.
    """

    time_ms: Floats
    sm_clock_mhz: Floats
    memory_clock_mhz: Floats
    temperature_c: Floats
    power_w: Floats
    slowdown_reasons: Floats
    cpu_frequency_mhz: Floats
    others_share: Floats
    locked_sm_clock_mhz: float | None = None
    lock_problem: str | None = None
    foreign_processes: tuple[str, ...] = ()
    unavailable: Mapping[str, str] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Number of samples."""
        return len(self.time_ms)


def read_state(machine: Machine, where: object, remedy: str) -> MachineState:
    """Take the samples of the measured images out of a record.

    Args:
        machine: `machine` of run.json. Where no image was measured, no sample counts.
        where: file it comes from.
        remedy: what to do about one that cannot be used.

    Raises:
        ResultsError: the lists differ in length, or time runs backwards.
    """
    samples = machine.samples
    time_ms = np.array(samples.time_ms, np.float64)
    if np.any(np.diff(time_ms) < 0):
        raise ResultsError(where, "the machine's samples are not in the order of time", remedy)
    columns = {}
    for name in QUANTITIES:
        values = getattr(samples, name)
        values = [None] * len(time_ms) if values is None else values
        if len(values) != len(time_ms):
            what = f"{name} has {len(values)} samples, time_ms {len(time_ms)}"
            raise ResultsError(where, what, remedy)
        columns[name] = np.array(values, np.float64)  # None becomes NaN
    begin_ms, end_ms = machine.measured_ms or (np.inf, -np.inf)
    inside = (time_ms >= begin_ms) & (time_ms <= end_ms)
    return MachineState(
        time_ms[inside],
        **{name: values[inside] for name, values in columns.items()},
        locked_sm_clock_mhz=machine.locked_sm_clock_mhz,
        lock_problem=machine.lock_problem,
        foreign_processes=tuple(_process_words(one) for one in machine.foreign_processes),
        unavailable=machine.unavailable,
    )


def _process_words(process: ForeignProcess) -> str:
    when = {"before": "before", "after": "after", "throughout": "before and after"}
    name = process.name or "a process"
    return f"{name} ({process.pid}, {when[process.seen]} the measured images)"
