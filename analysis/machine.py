"""The state of the machine while a run was measured, and one word for it.

The word is `steady`, or what disturbed it, with the evidence.

| verdict | when, over the samples taken while images were measured |
|---|---|
| `altered` | the method has changed switches of torch (TF32, threads, ...), or its first convolution was given another size than asked for, or it computes in another type |
| `shared` | other processes used 5 % of the device on average, or a quarter of it in 5 % of the samples; or they had a GPU open, and how much they used of it was not recorded |
| `throttled` | the driver held the clocks down because of heat or power in 5 % of the samples; or a GPU's clock lay 5 % below its usual value in 5 % of the samples, a CPU's frequency 10 % below in 10 % |
| `drifting` | the times of the images drift (`analysis.statistics.steadiness`) |
| `wandering` | their level wanders more slowly than an interval allows for |
| `steady` | none of that |

The first that holds is the verdict, in this order, because sharing explains heat and throttling
explains a drift; what else was found is among the remarks. Samples in which a GPU was idle say
nothing of its clocks. The usual value is the 90th percentile of the run, or the clock that the GPU
was locked to: what counts are clocks that change while one measures, not low ones.
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from adscale.errors import ResultsError
from adscale.run_record import ForeignProcess, Machine

from .numbers import percent, unsigned_zero
from .statistics.steadiness import Steadiness

Cause = Literal["heat", "power", "the hardware"]

IDLE = 0x01
"""Nothing runs on the GPU, and so its clocks say nothing."""

CAUSES: dict[Cause, int] = {
    "heat": 0x20 | 0x40,  # SwThermalSlowdown, HwThermalSlowdown
    "power": 0x04 | 0x80,  # SwPowerCap, HwPowerBrakeSlowdown
    "the hardware": 0x08,  # HwSlowdown: heat or power; the GPUs that tell which set that bit too
}
"""Reasons that slow a measurement down. Left out are clocks that the user has set (0x02), a GPU's
waiting for others of its group (0x10) and the display (0x100), which hold for the whole run."""


def is_idle(reasons: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Samples in which nothing ran on the GPU; a missing sample is not one."""
    return _bits(reasons, IDLE)


def held_down_by(reasons: npt.NDArray[np.float64]) -> dict[Cause, npt.NDArray[np.bool_]]:
    """Samples in which the clocks were held down, by cause.

    Where heat or power is told, `the hardware` is not a cause of its own.
    """
    causes = {cause: _bits(reasons, mask) for cause, mask in CAUSES.items()}
    causes["the hardware"] &= ~(causes["heat"] | causes["power"])
    return causes


def _bits(reasons: npt.NDArray[np.float64], mask: int) -> npt.NDArray[np.bool_]:
    whole = np.where(np.isnan(reasons), 0, reasons).astype(np.int64)
    return np.asarray((whole & mask) != 0)


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
"""Quantities of a sample, beside its time."""


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


Verdict = Literal["altered", "shared", "throttled", "drifting", "wandering", "steady"]

OTHERS_MEAN = 0.05
"""Share of the device that others use on average from which a run counts as shared."""

OTHERS_BURST = 0.25
"""Share of the device from which one sample counts as shared."""

BURSTS = 0.05
"""Share of such samples from which a run counts as shared."""

HELD_DOWN = 0.05
"""Share of samples with clocks held down from which a run counts as throttled."""

GPU_DROP, GPU_DROPS = 0.05, 0.05
"""How far below its usual value a GPU's clock counts as dropped, and in which share of samples.

A GPU's clock moves in steps of about 1 % with temperature; 5 % is no such step.
"""

CPU_DROP, CPU_DROPS = 0.10, 0.10
"""The same for a CPU, whose frequency also falls for moments in which it waits."""

USUAL = 0.9
"""Percentile of a clock that counts as its usual value."""

SEVERITY: tuple[Verdict, ...] = get_args(Verdict)
"""The verdicts, what explains the others first; before them what was not measured at all."""


@dataclass(frozen=True)
class RunVerdict:
    """The judgement of a run's times.

    Attributes:
        verdict: one word.
        evidence: one sentence with numbers.
        remarks: what else was seen, and what could not be seen.
    """

    verdict: Verdict
    evidence: str
    remarks: tuple[str, ...] = ()


def judge(
    state: MachineState | None,
    steadiness: Steadiness,
    device_type: str,
    altered: str | None = None,
) -> RunVerdict:
    """Judge one process of a run.

    Args:
        state: what the machine did meanwhile; None where that was not recorded.
        steadiness: of the times of its images.
        device_type: `cpu` or `cuda`.
        altered: what of the run is not as it was asked for, in words; None where nothing is.
    """
    seen = state if state is not None and state.size else None
    candidates: dict[Verdict, str | None] = {
        "altered": altered,
        "shared": (_shared(seen) if seen else None) or _occupied(state),
        "throttled": _throttled(seen) if seen else None,
        "drifting": steadiness.evidence if steadiness.verdict == "drifting" else None,
        "wandering": steadiness.evidence if steadiness.verdict == "wandering" else None,
    }
    found = [(verdict, words) for verdict, words in candidates.items() if words]
    remarks = [text for _, text in found[1:]]
    if steadiness.verdict in {"bimodal", "too_short"}:
        remarks.append(steadiness.evidence)
    if steadiness.outliers:
        remarks.append(f"outliers among the images, kept: {steadiness.outliers}")
    if state is not None and state.foreign_processes and _is_known(state, "others_share"):
        remarks.append(f"on the GPU, too: {', '.join(state.foreign_processes)}")
    remarks += _unseen(state, device_type)
    if state is not None and state.lock_problem:
        remarks.append(state.lock_problem)
    verdict, evidence = found[0] if found else ("steady", _undisturbed(seen, steadiness))
    return RunVerdict(verdict, evidence, tuple(remarks))


def judge_processes(verdicts: Sequence[RunVerdict]) -> RunVerdict:
    """The verdict on a run of several processes: that on the most disturbed of them.

    Raises:
        ValueError: there is no process.
    """
    if not verdicts:
        raise ValueError("there is no process to judge")
    number, worst = min(enumerate(verdicts), key=lambda item: SEVERITY.index(item[1].verdict))
    if len(verdicts) == 1:
        return worst
    same = sum(one.verdict == worst.verdict for one in verdicts)
    evidence = f"{same} of {len(verdicts)} processes, such as process {number + 1}: "
    remarks = dict.fromkeys(text for one in verdicts for text in one.remarks)
    return RunVerdict(worst.verdict, evidence + worst.evidence, tuple(remarks))


def _shared(state: MachineState) -> str | None:
    others = _known(state.others_share)
    if len(others) == 0:
        return None
    mean, bursts = float(others.mean()), int(np.sum(others >= OTHERS_BURST))
    if mean < OTHERS_MEAN and bursts < BURSTS * len(others):
        return None
    used = f"other processes used {percent(mean)} of the device on average"
    if bursts == 0:
        return f"{used}, never {percent(OTHERS_BURST)} of it in {len(others)} samples"
    return f"{used}, at least {percent(OTHERS_BURST)} of it in {bursts} of {len(others)} samples"


def _occupied(state: MachineState | None) -> str | None:
    """Others on a GPU of whom is not known what they did there."""
    if state is None or not state.foreign_processes or _is_known(state, "others_share"):
        return None
    named = ", ".join(state.foreign_processes)
    return f"others had the GPU open, how much they used of it was not recorded: {named}"


def _throttled(state: MachineState) -> str | None:
    idle = is_idle(state.slowdown_reasons)
    return (
        _held_down(state, ~idle & ~np.isnan(state.slowdown_reasons))
        or _dropped("SM", state.sm_clock_mhz[~idle], GPU_DROP, GPU_DROPS, state.locked_sm_clock_mhz)
        or _dropped("memory", state.memory_clock_mhz[~idle], GPU_DROP, GPU_DROPS)
        or _dropped("CPU", state.cpu_frequency_mhz, CPU_DROP, CPU_DROPS)
    )


def _held_down(state: MachineState, busy: npt.NDArray[np.bool_]) -> str | None:
    samples = int(np.sum(busy))
    causes = held_down_by(state.slowdown_reasons)
    counts = {cause: int(np.sum(held & busy)) for cause, held in causes.items()}
    together = int(np.sum(np.any(list(causes.values()), axis=0) & busy))
    if samples == 0 or together < HELD_DOWN * samples:
        return None
    named = [cause for cause in sorted(counts, key=lambda one: -counts[one]) if counts[cause]]
    measured = [
        text
        for text in (
            _range_words("SM clock", state.sm_clock_mhz[busy], "MHz"),
            _range_words("temperature", state.temperature_c[busy], "°C"),
            _range_words("power", state.power_w[busy], "W"),
        )
        if text
    ]
    details = f" ({', '.join(measured)})" if measured else ""
    return f"{' and '.join(named)} held the clocks down in {together} of {samples} samples{details}"


def _dropped(
    name: str, clock_mhz: Floats, drop: float, share: float, usual_mhz: float | None = None
) -> str | None:
    """Whether a clock fell below its usual value too often."""
    known = _known(clock_mhz)
    if len(known) == 0:
        return None
    usual = float(np.quantile(known, USUAL)) if usual_mhz is None else usual_mhz
    low = known < (1 - drop) * usual
    if np.sum(low) < max(1, share * len(known)):
        return None
    return (
        f"the {name} clock fell to {known.min():.0f} MHz and lay more than {percent(drop)} below "
        f"its {'usual' if usual_mhz is None else 'locked'} {usual:.0f} MHz in {np.sum(low)} of "
        f"{len(known)} samples"
    )


def _undisturbed(state: MachineState | None, steadiness: Steadiness) -> str:
    parts = []
    if state is not None:
        parts = [
            _range_words("SM clock", state.sm_clock_mhz[~is_idle(state.slowdown_reasons)], "MHz"),
            _range_words("CPU clock", state.cpu_frequency_mhz, "MHz"),
            _range_words("used by others", 100 * state.others_share, "%"),
        ]
    if steadiness.verdict == "steady":
        parts.append(steadiness.evidence)
    return "; ".join(part for part in parts if part) or "nothing that disturbs was seen"


def _range_words(name: str, values: Floats, unit: str) -> str | None:
    known = _known(values)
    if len(known) == 0:
        return None
    low, high = (unsigned_zero(f"{value:.0f}") for value in (known.min(), known.max()))
    return f"{name} {low} to {high} {unit}"


def _unseen(state: MachineState | None, device_type: str) -> list[str]:
    """Say what could not be judged, so that `steady` does not claim more than was looked at."""
    names = {"others_share": "the share of other processes"}
    if device_type == "cuda":
        names |= {"sm_clock_mhz": "the SM clock", "slowdown_reasons": "reasons for low clocks"}
    else:
        names |= {"cpu_frequency_mhz": "the CPU's frequency"}
    missing = [
        f"{text} ({state.unavailable[name]})" if state and name in state.unavailable else text
        for name, text in names.items()
        if state is None or not _is_known(state, name)
    ]
    how = "hardly or not recorded" if state is not None and state.size else "not recorded"
    return [f"{how}: {', '.join(missing)}"] if missing else []


def _is_known(state: MachineState, name: str) -> bool:
    """Whether at least half of the samples have a value."""
    known = len(_known(getattr(state, name)))
    return known > 0 and 2 * known >= state.size


def _known(values: Floats) -> Floats:
    return values[~np.isnan(values)]
