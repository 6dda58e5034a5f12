"""How far a study has come, by its files and in words. No torch.

Each finished measurement, a process of a run in one of its passes, leaves a note beside Snakemake's
own files: what was planned of it, and what it took.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from adscale.damage import damage
from adscale.digest import source_digest
from adscale.errors import UserError
from adscale.failure import is_whole, read_failure, status_of
from adscale.files import read_record, write_text
from adscale.names import PROFILE_NAMES, record_name
from adscale.plan import PlannedRun, planned_records
from adscale.plan_file import Plan, read_plan
from adscale.request import RunRequest
from adscale.run_record import Prediction, RunRecord

from .estimates import Finished, Left, time_left, work_of

NOTES = "measured"
"""Folder of the notes, beside that of the plans."""

RESULTS = Path("results")
"""Folder of a study's results, below the working directory."""

SUMMARY = "summary.txt"
"""The study in three lines, below the results."""

OPTIONS = ("foreign_processes", "skip_margin", "settings")
"""Keys of a recorded request: options of the study, and settings that may gain defaults."""

MEASURED = ("ok", "out_of_memory")
"""Statuses of what was measured, rather than left out."""

FAULTS = (UserError, OSError, ValueError, LookupError, TypeError, ArithmeticError)
"""Errors of files that are not as they should be: nothing is told, and the study goes on."""


class Measurement(NamedTuple):
    """One process of a run in one pass, as it is planned."""

    request: RunRequest
    digest: str
    """Digest of the request and the code behind it: another digest is another measurement."""


@dataclass(frozen=True)
class Completion:
    """How far a study has come."""

    planned: int
    finished: int
    left: Left

    def sentence(self) -> str:
        """The words ``12 of 42 measurements; about 9 min of measuring left (from 12 measured)``."""
        return f"{self.count()}; {self.rest()}"

    def count(self) -> str:
        """Words such as ``12 of 42 measurements``."""
        return f"{self.finished} of {self.planned} measurements"

    def rest(self) -> str:
        """How long the rest takes, or why that is not known."""
        if self.finished == self.planned:
            return "nothing left to measure"
        left = self.left
        if left.measured == 0:
            return "time left unknown, nothing was measured yet"
        elsewhere = ", ".join(f"{number} on {device}" for device, number in left.unknown.items())
        unknown = f"unknown for {elsewhere}, where nothing was measured yet"
        if sum(left.unknown.values()) == self.planned - self.finished:
            return f"time left {unknown}"
        but = f", none of {', '.join(left.by_others)}" if left.by_others else ""
        about = (
            f"about {duration(left.seconds)} of measuring left (from {left.measured} measured{but})"
        )
        return f"{about}; {unknown}" if left.unknown else about


def read_completion(plan: Plan, results: Path, notes: Path) -> Completion:
    """How far a study has come, by its files.

    Args:
        plan: of the study.
        results: folder of the records.
        notes: folder of the notes; those of older records are added.

    Raises:
        OSError: the notes cannot be written.
    """
    measurements = planned_measurements(plan)
    found = _finished(measurements, results, notes)
    rest = [one.request for record, one in measurements.items() if record not in found]
    requests = [one.request for one in measurements.values()]
    left = time_left(rest, list(found.values()), work_of(requests, results))
    return Completion(len(measurements), len(found), left)


def unfinished_measurements(plan: Plan, results: Path, notes: Path) -> list[Measurement]:
    """The measurements of a plan that are not finished as they are planned now.

    Args:
        plan: of the study.
        results: folder of the records.
        notes: folder of the notes; those of older records are added.

    Raises:
        OSError: the notes cannot be written.
    """
    measurements = planned_measurements(plan)
    found = _finished(measurements, results, notes)
    return [one for record, one in measurements.items() if record not in found]


def _finished(
    measurements: Mapping[str, Measurement], results: Path, notes: Path
) -> dict[str, Finished]:
    """Those measurements that are finished as they are planned now, by record."""
    return {
        record: finished
        for record, measurement in measurements.items()
        if (finished := _read_finished(record, measurement, results, notes)) is not None
    }


def opening_words(plan: Plan, cache: Path, results: Path = RESULTS) -> str:
    """How far a study has come, in a line for a user, or that this is not known.

    Args:
        plan: of the study.
        cache: folder in which that of the notes lies.
        results: folder of the records.
    """
    try:
        return f"study: {read_completion(plan, results, cache / NOTES).sentence()}"
    except FAULTS as error:
        return _unknown(error)


def closing_words(plan: Plan, cache: Path, results: Path = RESULTS) -> str:
    """The three lines of a study that is complete; of another one how far it has come.

    Args:
        plan: of the study.
        cache: folder in which that of the notes lies.
        results: folder of the records, with the three lines.
    """
    with suppress(OSError):
        summary = results / SUMMARY
        made_ns = summary.stat().st_mtime_ns
        records = (results / record for record in planned_records(plan.runs, plan.latency))
        if all(record.stat().st_mtime_ns <= made_ns for record in records):
            return summary.read_text(encoding="utf-8").rstrip()
    return opening_words(plan, cache, results)


def _unknown(error: Exception) -> str:
    return f"study: how far it has come is not known ({error!r})"


def finish(plan_file: Path, request: RunRequest, folder: Path, wall_s: float) -> str:
    """Takes note of a measurement that has just ended.

    Nothing in here may fail: the measurement is whole, and stays so.

    Args:
        plan_file: of the study.
        request: what was measured.
        folder: of the process, with its record.
        wall_s: what it took from its start.

    Returns:
        What is printed.
    """
    try:
        plan = read_plan(plan_file)
        path = PlannedRun(request, "").path
        record = f"{path}/{record_name(request.collector)}"
        measurement = _measurement(plan.runs[path], request.collector == "none")
        results = folder.parents[len(Path(path).parts) - 1]
        notes = plan_file.parents[1] / NOTES
        finished = _of_record(_read_record(results / record), request, wall_s)
        _write_note(notes / record, measurement.digest, finished)
        progress = read_completion(plan, results, notes)
    except FAULTS as error:
        return _unknown(error)
    devices = {run.request.device for run in plan.runs.values()}
    what = f"{_name(request, len(devices) > 1)} {_end(finished)}"
    return f"study: {progress.count()}, {what}; {progress.rest()}"


def is_measured(plan_file: Path, request: RunRequest, folder: Path) -> bool:
    """Whether a run was measured as it is planned, from its note; copies have none.

    Args:
        plan_file: of the study.
        request: what is to be measured.
        folder: of the process.
    """
    try:
        plan = read_plan(plan_file)
        run = plan.runs[PlannedRun(request, "").path]
        name = record_name(request.collector)
        note = plan_file.parents[1] / NOTES / run.path / name
        data = json.loads(note.read_text(encoding="utf-8"))
        measured_ns = (folder / name).stat().st_mtime_ns
        changed = [file for file in run.files if Path(file).stat().st_mtime_ns > measured_ns]
    except FAULTS:
        return False
    planned = _measurement(run, request.collector == "none")
    is_planned = data.get("digest") == planned.digest and not changed
    return is_planned and data.get("status") in MEASURED and due_again(folder / name) is None


def counted_need(plan_file: Path, request: RunRequest, folder: Path) -> Prediction | None:
    """What the other pass of a process has counted, if it was measured as it is planned.

    Args:
        plan_file: of the study.
        request: what is to be measured.
        folder: of the process.

    Returns:
        None where it has to be counted, by this version of the code.
    """
    try:
        run = read_plan(plan_file).runs[PlannedRun(request, "").path]
        other = run.request if request.collector == "none" else run.latency
        if not is_measured(plan_file, other, folder):
            return None
        found = _read_record(folder / record_name(other.collector)).prediction
    except FAULTS:
        return None
    is_ours = found is not None and found.counted_by == source_digest("profiling.prediction")
    return found if is_ours else None


def due_again(record: Path) -> str | None:
    """Why a record that is there does not count, and its run is to be measured; None: it counts.

    Args:
        record: ``run.json`` or ``latency.json`` of a process.
    """
    failure = read_failure(record)
    if failure is not None:
        return f"failed at {failure.failed_utc}: {failure.problem}"
    if not record.is_file():
        return None
    file, fault = record, None if is_whole(record) else "holds no measurement"
    if fault is None and record.name == "run.json":
        by_nsys, by_us = (record.with_name(PROFILE_NAMES[who]) for who in ("nsys", "embedded"))
        file = by_nsys if by_nsys.is_file() else by_us
        fault = damage(file) if file.is_file() and not _may_be_empty(file, record) else None
    return None if fault is None else f"{file.name} {fault}, of {file.stat().st_mtime_ns}"


def _may_be_empty(profile: Path, record: Path) -> bool:
    """Whether a report of nsys is empty for a reason, see `profiling.launcher`."""
    return profile.stat().st_size == 0 and status_of(record) != "ok"


def planned_measurements(plan: Plan) -> dict[str, Measurement]:
    """All measurements of a plan by their records below the results."""
    return {
        record: _measurement(plan.runs[path], name == "latency.json")
        for record in planned_records(plan.runs, plan.latency)
        for path, _, name in [record.rpartition("/")]
    }


def _measurement(run: PlannedRun, latency: bool) -> Measurement:
    request = run.latency if latency else run.request
    text = f"{request.as_json()}\n{run.code_digest}"
    return Measurement(request, hashlib.sha256(text.encode()).hexdigest()[:16])


def _read_finished(
    record: str, measurement: Measurement, results: Path, notes: Path
) -> Finished | None:
    """A measurement, if it is finished as it is planned now."""
    file, note = results / record, notes / record
    if not file.is_file() or read_failure(file) is not None:
        return None
    with suppress(OSError, ValueError, LookupError, TypeError):
        data = json.loads(note.read_text(encoding="utf-8"))
        digest = data.pop("digest")
        return Finished(measurement.request, **data) if digest == measurement.digest else None
    return _take_note_of(file, measurement, note)


def _take_note_of(file: Path, measurement: Measurement, note: Path) -> Finished | None:
    """A measurement by its record alone, such as one that was copied from elsewhere.

    How long it took to start is not known of it.
    """
    try:
        record = _read_record(file)
        began, ended = map(datetime.fromisoformat, (record.started_utc, record.finished_utc))
        finished = _of_record(record, measurement.request, (ended - began).total_seconds())
    except FAULTS:
        return None
    planned = _is_of(record.request, RunRequest.from_json(measurement.request.as_json()))
    _write_note(note, measurement.digest if planned else "of something else", finished)
    return finished if planned else None


def _read_record(file: Path) -> RunRecord:
    return read_record(file, RunRecord, "it is measured again")


def _is_of(recorded: RunRequest, planned: RunRequest) -> bool:
    options = {name: getattr(planned, name) for name in OPTIONS}
    return dataclasses.replace(recorded, **options) == planned and all(
        recorded.settings.get(name) == value for name, value in planned.settings.items()
    )


def _of_record(record: RunRecord, request: RunRequest, wall_s: float) -> Finished:
    measured = record.sampling.measured_images
    window_ms = None if record.machine is None else record.machine.measured_ms
    image_s = None
    if record.status == "ok" and window_ms is not None:
        image_s = (window_ms[1] - window_ms[0]) / 1e3 / measured
    images = record.sampling.warmup_images + measured
    return Finished(request, record.status, wall_s, images, image_s)


def _write_note(note: Path, digest: str, finished: Finished) -> None:
    data = {name: value for name, value in finished._asdict().items() if name != "request"}
    write_text(note, json.dumps({"digest": digest, **data}) + "\n")


def _name(request: RunRequest, with_device: bool) -> str:
    process = f" process {request.process}" if request.process > 1 else ""
    by_pass = " latency" if request.collector == "none" else ""
    device = f" on {request.device}" if with_device else ""
    resolution = f"{request.resolution} px"
    return f"{request.method} {request.variant} {resolution}{process}{by_pass}{device}"


def _end(finished: Finished) -> str:
    took = duration(finished.wall_s)
    if finished.status == "out_of_memory":
        return f"ran out of memory after {took}"
    if finished.status == "predicted_out_of_memory":
        return "was left out for its memory"
    return f"took {took}"


def duration(seconds: float) -> str:
    """Return words such as ``31 s``, ``9 min`` or ``3.5 h``, in about two digits."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
