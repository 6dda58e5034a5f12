"""The runs of a study: each with all its processes, and the two passes of each of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, Literal

from adscale.errors import ResultsError
from adscale.failure import read_failure

from ..machine import MachineState, RunVerdict, judge, judge_processes, read_state
from ..statistics.steadiness import check_steadiness
from .record import Run, read_run
from .times import PassTimes, latency_times, profiled_times

NOT_MEASURED = frozenset({"process", "foreign_processes", "skip_margin"})
"""Keys of a request that do not decide what one process measures."""

SOFTWARE = ("torch", "cuda", "cudnn")
"""Software whose versions decide which kernels run."""

COLLECTOR = frozenset({"request.collector", "collector.name", "collector.version"})
"""Keys in which the two passes of a process differ."""

NAMED = 3
"""So many images that could not be read are named."""

_REMEDY = "they must be measured in one way: measure the older one again"


def check_processes(processes: Sequence[Run]) -> None:
    """Refuse processes that are not of the same run.

    Args:
        processes: with one key.

    Raises:
        ResultsError: two processes differ in what they measure.
    """
    for other in processes[1:]:
        _check(processes[0], other)


def check_latency(profiled: Run, latency: Run) -> None:
    """Refuse a latency pass that is not that of the process beside it.

    Raises:
        ResultsError: it was made with a collector, or of another request, or on another machine.
    """
    if latency.collector != "none":
        what = f"was measured with the collector {latency.collector}, not without a profiler"
        raise ResultsError(latency.path, what, latency.remeasure)
    if latency.process != profiled.process:
        what = f"is of process {latency.process}, {profiled.path} of process {profiled.process}"
        raise ResultsError(latency.path, what, latency.remeasure)
    _check(profiled, latency, but=COLLECTOR)


def _check(one: Run, other: Run, but: Collection[str] = ()) -> None:
    of_one, of_other = _measured(one), _measured(other)
    for name in of_one:
        if name in but or name not in of_other:
            continue
        if of_one[name] != of_other[name]:
            what = f"{name} is {_words(of_other[name])}, in {one.path} it is {_words(of_one[name])}"
            raise ResultsError(other.path, what, _REMEDY)


def _measured(run: Run) -> dict[str, Any]:
    """Return what decides which times a process finds, by name."""
    record, hardware = run.record, run.record.hardware
    request = {k: v for k, v in record.request.as_dict().items() if k not in NOT_MEASURED}
    return {
        **{f"request.{name}": value for name, value in request.items()},
        "clock": run.clock,
        **{f"collector.{name}": value for name, value in asdict(record.collector).items()},
        "hardware.cpu_model": hardware.cpu_model,
        "hardware.gpu.name": hardware.gpu and hardware.gpu.name,
        "hardware.threads": hardware.threads,
        **{f"software.{name}": getattr(record.software, name) for name in SOFTWARE},
        **(_once_built(run) if run.status == "ok" else {}),
    }


def _once_built(run: Run) -> dict[str, Any]:
    """Return what is only known of a run whose method was built."""
    flags = {f"flags.{name}": value for name, value in asdict(run.record.flags).items()}
    flags = {name: value for name, value in flags.items() if value is not None}  # of older records
    return {"submodules": list(run.submodules), **flags}


def _words(value: object, limit: int = 80) -> str:
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]} …"


def judge_process(run: Run, times: PassTimes, processes: int) -> RunVerdict:
    """Judge one pass of a process by its whole images.

    Args:
        run: its record.
        times: what it found.
        processes: how many are judged for one verdict on the run.

    Raises:
        ResultsError: the state of the machine cannot be used.
    """
    steadiness = check_steadiness(times.image_ms, processes)
    found = judge(machine_state(run), steadiness, run.device_type, altered_words(run))
    found = replace(found, remarks=(*found.remarks, *_unread_images(run)))
    doubt = _beyond_quota(run)
    if doubt is None:
        return found
    if run.device_type == "cpu" and found.verdict in ("steady", "drifting", "wandering"):
        said = () if found.verdict == "steady" else (found.evidence,)
        return RunVerdict("throttled", doubt, (*said, *found.remarks))
    return replace(found, remarks=(*found.remarks, doubt))


def _unread_images(run: Run) -> Iterator[str]:
    unread = run.record.images.unreadable
    if unread:
        more = f" and {len(unread) - NAMED} more" if len(unread) > NAMED else ""
        yield f"images that could not be read: {', '.join(unread[:NAMED])}{more}"


def altered_words(run: Run) -> str | None:
    """What the method did otherwise than the run was asked for, in words; None: nothing."""
    record = run.record
    found: list[str | None] = []
    if record.changed_switches:
        found.append(f"the method has changed torch: {', '.join(record.changed_switches)}")
    if record.first_convolution is not None:
        request = record.request
        found.append(record.first_convolution.sentence(request.resolution, request.variant))
    return "; ".join(filter(None, found)) or None


def _beyond_quota(run: Run) -> str | None:
    """Say that more threads computed than a control group lets run all the time."""
    hardware = run.record.hardware
    if hardware.cpu_quota is None or hardware.threads <= hardware.cpu_quota:
        return None
    return (
        f"{hardware.threads} threads with a quota of {hardware.cpu_quota:g} CPUs: they are stopped "
        "for a part of each period"
    )


def machine_state(run: Run) -> MachineState | None:
    """The state of the machine while images were measured; None where it was not recorded.

    Raises:
        ResultsError: the samples contradict each other.
    """
    machine = run.record.machine
    if machine is None or machine.measured_ms is None:
        return None
    return read_state(machine, run.path, run.remeasure)


PassName = Literal["profiled", "latency"]
"""`latency`: the same process once more, without a profiler."""

Status = Literal["ok", "out_of_memory", "predicted_out_of_memory"]
_WORST_FIRST: tuple[Status, ...] = ("out_of_memory", "predicted_out_of_memory", "ok")


@dataclass(frozen=True)
class Pass:
    """One pass of all processes of a run.

    Attributes:
        name: which.
        processes: records of the processes that have it, by their number; at least one.
        times: of each of them; empty unless all of them are `ok`.
        verdicts: on each of them; empty where there are no times.
    """

    name: PassName
    processes: tuple[Run, ...]
    times: tuple[PassTimes, ...]
    verdicts: tuple[RunVerdict, ...]

    @property
    def verdict(self) -> RunVerdict | None:
        """The verdict on all processes together; None where there are no times."""
        return judge_processes(self.verdicts) if self.verdicts else None

    @property
    def status(self) -> Status:
        """The status of the worst process: a run fits only where it always does."""
        found = {run.status for run in self.processes}
        return next(status for status in _WORST_FIRST if status in found)


@dataclass(frozen=True)
class StudyRun:
    """A device × method × variant × resolution.

    Attributes:
        profiled: the pass that a collector recorded.
        latency: the pass without one; None where it was not made.
    """

    profiled: Pass
    latency: Pass | None

    @property
    def first(self) -> Run:
        """The record of the first process: what all of them were asked for and ran on."""
        return self.profiled.processes[0]

    @property
    def passes(self) -> Iterator[Pass]:
        """Those that were made."""
        yield self.profiled
        if self.latency is not None:
            yield self.latency


def read_study_runs(folders: Sequence[Path], with_latency: bool = True) -> list[StudyRun]:
    """Read the runs of a study with their times.

    Args:
        folders: of processes, each with `run.json`, `ranges.parquet` and perhaps `latency.json`;
            several may be processes of one run.
        with_latency: whether to read `latency.json`.

    Returns:
        Runs by device, method, variant and resolution; processes that failed are left out.

    Raises:
        ResultsError: a file is missing or damaged, a process is named twice, or processes of one
            run do not measure the same.
    """
    there = [folder for folder in folders if read_failure(folder / "run.json") is None]
    records = [read_run(folder / "run.json") for folder in there]
    records.sort(key=lambda run: (run.key, run.process))
    _check_distinct(records)
    return [
        _study_run(tuple(processes), with_latency)
        for _, processes in groupby(records, key=lambda run: run.key)
    ]


def _check_distinct(sorted_records: Sequence[Run]) -> None:
    for first, second in pairwise(sorted_records):
        if (first.key, first.process) == (second.key, second.process):
            of_run = f"{' '.join(map(str, first.key))} px"
            what = f"process {first.process} of {of_run} is in {first.path} too"
            raise ResultsError(second.path, what, "name one of the two folders only")


def _study_run(processes: tuple[Run, ...], with_latency: bool) -> StudyRun:
    check_processes(processes)
    passes = []
    for profiled in processes if with_latency else ():
        path = profiled.path.with_name("latency.json")
        if path.exists() and read_failure(path) is None:
            passes.append(read_run(path))
            check_latency(profiled, passes[-1])
    return StudyRun(
        _pass("profiled", processes), _pass("latency", tuple(passes)) if passes else None
    )


def _pass(name: PassName, processes: tuple[Run, ...]) -> Pass:
    if any(run.status != "ok" for run in processes):
        return Pass(name, processes, (), ())
    read = profiled_times if name == "profiled" else latency_times
    times = tuple(read(run) for run in processes)
    verdicts = tuple(
        judge_process(run, found, len(processes))
        for run, found in zip(processes, times, strict=True)
    )
    return Pass(name, processes, times, verdicts)
