"""Does each run lie where its record says, and once?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from .finding import Finding
from .folders import RecordedRun, RunFolder


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
            yield Finding(run.folder.place, what, "remove one of the two folders")
    copied = set()
    for first, *others in by_time.values():
        for run in _of_other_devices(first, others):
            copied.add(run.folder.place)
            what = f"is the measurement of {first.folder.place} under another device's name"
            yield Finding(run.folder.place, what, "remove one of the two folders")
    for first, *others in by_gpu.values():
        for run in _of_other_devices(first, others):
            if run.folder.place not in copied:
                what = f"was measured on the GPU of {first.folder.place} ({run.gpu_uuid})"
                remedy = "remove one of the two, or use one name of the device for both"
                yield Finding(run.folder.place, what, remedy)


def _of_other_devices(first: RecordedRun, others: Sequence[RecordedRun]) -> list[RecordedRun]:
    return [run for run in others if run.key.device != first.key.device]


def _moment(run: RecordedRun) -> object:
    """What two measurements do not have in common."""
    record = run.record
    machine = record.hardware.cpu_model, run.gpu_uuid
    return machine, (record.started_utc, record.finished_utc), run.key[1:], record.memory
