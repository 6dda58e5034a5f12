"""The runs of a study: each with all its processes, and the two passes of each of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path
from typing import Literal

from adscale.errors import ResultsError

from ..machine import RunVerdict, judge_processes
from .agreement import check_latency, check_processes
from .judging import judge_process
from .record import Run, read_run
from .times import PassTimes, latency_times, profiled_times

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
        """On all processes together; None where there are no times."""
        return judge_processes(self.verdicts) if self.verdicts else None

    @property
    def status(self) -> Status:
        """That of the worst process: a run fits only where it always does."""
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
        Runs by device, method, variant and resolution.

    Raises:
        ResultsError: a file is missing or damaged, a process is named twice, or processes of one
            run do not measure the same.
    """
    records = [read_run(folder / "run.json") for folder in folders]
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
        if path.exists():
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
