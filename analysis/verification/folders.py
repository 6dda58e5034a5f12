"""Run folders of results: what their records say, and whether they lie where they belong."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from adscale.errors import ResultsError
from adscale.failure import read_failure
from adscale.files import read_record, shown_version
from adscale.names import NOT_DEVICES
from adscale.request import RunRequest
from adscale.resolution import Resolution
from adscale.run_record import SCHEMA_VERSION, RunRecord


@dataclass(frozen=True)
class Finding:
    """One fault, as a user reads it.

    Attributes:
        where: the folder or file, or which runs.
        what: what is wrong there.
        remedy: what to do about it.
    """

    where: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return " ".join(f"{self.where}: {self.what}; {self.remedy}".split())


DEPTH = 4
"""device / method / variant / resolution."""

PROCESS_FOLDER = re.compile(r"process-([1-9][0-9]*)")
"""Where the second and further processes of a run lie, in the folder of the first."""

RUN_FILES = (
    "run.json", "latency.json", "ranges.parquet", "kernels.parquet", "profile.sqlite",
    "profile.nsys-rep",
)  # fmt: skip
"""Files of the folder of a run, and of no other."""


class RunKey(NamedTuple):
    """The process and the run of a record."""

    device: str
    method: str
    variant: str
    resolution: Resolution
    process: int

    @property
    def curve(self) -> tuple[str, str, str]:
        """Device, method, variant: what the resolutions of one curve have in common."""
        return self.device, self.method, self.variant

    @property
    def path(self) -> str:
        """Its folder below the results."""
        run = f"{self.device}/{self.method}/{self.variant}/{self.resolution}"
        return run if self.process == 1 else f"{run}/process-{self.process}"


@dataclass(frozen=True)
class RunFolder:
    """The folder of one process of a run.

    Attributes:
        path: the folder.
        place: its path below the results.
        key: what that path says; None: it is that of no run.
    """

    path: Path
    place: str
    key: RunKey | None


@dataclass(frozen=True)
class RecordedRun:
    """A run folder whose `run.json` could be read.

    Attributes:
        folder: where it lies.
        key: what the record says.
        record: the whole record.
    """

    folder: RunFolder
    key: RunKey
    record: RunRecord

    @property
    def request(self) -> RunRequest:
        """The request of the run."""
        return self.record.request

    @property
    def gpu_uuid(self) -> str | None:
        """Which GPU measured it; None on a CPU device."""
        gpu = self.record.hardware.gpu
        return None if gpu is None else gpu.uuid


def run_folders(results: Path) -> list[RunFolder]:
    """All folders that are a run's by their place or by a file of a run in them.

    Args:
        results: the folder that holds a folder per device.

    Raises:
        ResultsError: there is no such folder.
    """
    if not results.is_dir():
        raise ResultsError(results, "is no folder", "name the folder that holds your devices")
    return sorted(_folders(results), key=lambda folder: folder.place)


def _folders(results: Path) -> Iterator[RunFolder]:
    for root, names, files in os.walk(results):
        place = Path(root).relative_to(results)
        hidden = [name for name in names if name.startswith(".")]
        names[:] = [name for name in names if name not in hidden]
        if not place.parts:
            names[:] = [name for name in names if name not in NOT_DEVICES]
            continue
        key = key_of(place)
        if key is not None or any(name in RUN_FILES for name in files):
            yield RunFolder(Path(root), place.as_posix(), key)


def key_of(place: Path) -> RunKey | None:
    """Read the run from a path below the results; None where it is not that of a run."""
    parts = place.parts
    process = PROCESS_FOLDER.fullmatch(parts[-1]) if len(parts) == DEPTH + 1 else None
    if not (len(parts) == DEPTH or process):
        return None
    try:
        resolution = Resolution.of(parts[DEPTH - 1])
    except ValueError:
        return None
    if str(resolution) != parts[DEPTH - 1]:
        return None
    number = int(process[1]) if process else 1
    return RunKey(parts[0], parts[1], parts[2], resolution, number)


def read_folder(folder: RunFolder) -> RecordedRun | Finding:
    """The record of a run, or why it cannot be used."""
    path = folder.path / "run.json"
    failure = read_failure(path)
    if failure is not None:
        what = f"its latest measurement failed ({failure.problem})"
        return Finding(folder.place, what, "start the study again, or remove the folder")
    if not path.is_file():
        remedy = "start the study again, or copy the rest of it"
        return Finding(folder.place, "holds no run.json: the run is not finished", remedy)
    remedy = "copy it again, or measure the run again"
    try:
        record = read_record(path, RunRecord, remedy)
    except ResultsError as error:
        found = shown_version(path)
        if found is not None and found != SCHEMA_VERSION:
            what = f"its record has version {found}, this checkout reads {SCHEMA_VERSION}"
            remedy = "measure it again, or verify with the version of adscale that measured it"
            return Finding(folder.place, what, remedy)
        return Finding(f"{folder.place}/run.json", error.what, error.remedy)
    request = record.request
    key = RunKey(
        device=request.device,
        method=request.method,
        variant=str(request.variant),
        resolution=request.resolution,
        process=request.process,
    )
    return RecordedRun(folder, key, record)


KEEP_ONE = "keep one in the results, and move the other elsewhere"


def foreign_place(folder: RunFolder) -> Iterator[Finding]:
    """Files of a run in a folder that is none of a run."""
    if folder.key is None:
        what = "holds files of a run, but is no device/method/variant/resolution"
        yield Finding(folder.place, what, "move its files where their run.json says")


def check_place(run: RecordedRun) -> Iterator[Finding]:
    """A run whose path and record tell different things."""
    if run.folder.key is not None and run.folder.key != run.key:
        what = f"its run.json is that of {run.key.path}"
        yield Finding(run.folder.place, what, f"move the folder to {run.key.path}")


def check_duplicates(runs: Sequence[RecordedRun]) -> Iterator[Finding]:
    """The same run in two folders, or one measurement under two devices."""
    by_key: defaultdict[object, list[RecordedRun]] = defaultdict(list)
    by_time: defaultdict[object, list[RecordedRun]] = defaultdict(list)
    by_gpu: defaultdict[object, list[RecordedRun]] = defaultdict(list)
    for run in runs:
        by_key[run.key].append(run)
        by_time[_moment(run)].append(run)
        if run.gpu_uuid is not None:
            by_gpu[run.gpu_uuid, run.request.container, run.key[1:]].append(run)
    for first, *others in by_key.values():
        for run in others:
            what = f"is {run.key.path}, as is {first.folder.place}"
            yield Finding(run.folder.place, what, KEEP_ONE)
    copied = set()
    for first, *others in by_time.values():
        for run in _of_other_devices(first, others):
            copied.add(run.folder.place)
            what = f"is the measurement of {first.folder.place} under another device's name"
            yield Finding(run.folder.place, what, KEEP_ONE)
    for first, *others in by_gpu.values():
        for run in _of_other_devices(first, others):
            if run.folder.place not in copied:
                what = f"was measured on the GPU of {first.folder.place} ({run.gpu_uuid})"
                remedy = "move one of the two elsewhere, or use one name of the device for both"
                yield Finding(run.folder.place, what, remedy)


def _of_other_devices(first: RecordedRun, others: Sequence[RecordedRun]) -> list[RecordedRun]:
    return [run for run in others if run.key.device != first.key.device]


def _moment(run: RecordedRun) -> object:
    """Return the moment of a measurement, which no two have in common."""
    record = run.record
    machine = record.hardware.cpu_model, run.gpu_uuid
    return machine, (record.started_utc, record.finished_utc), run.key[1:], record.memory
