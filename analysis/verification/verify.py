"""Are results whole, and may they be read as one study?

Files are complete and of one version; runs of a device have one kind of hardware and software;
every run that is expected is there.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from adscale.damage import damage
from adscale.errors import ResultsError
from adscale.files import read_record
from adscale.names import MADE_OF_PROFILE
from adscale.request import RunRequest
from adscale.resolution import Resolution
from adscale.run_record import RunRecord

from .folders import (
    Finding,
    RecordedRun,
    RunFolder,
    RunKey,
    check_duplicates,
    check_place,
    foreign_place,
    read_folder,
    run_folders,
)

KEPT_UNTIL = "the next measurement of this run removes it"
COPY_OR_RUN = "copy it again, or measure the run again"
"""Files that attribution makes of a profile."""

ATTRIBUTE = "start the study again"
REATTRIBUTE = "copy it again, or make it again with python -m analysis attribute"
ONLY_IN_LATENCY = ("collector",)
"""Keys in which the request of the latency pass differs from that of the profiled one."""


def left_overs(folder: RunFolder) -> Iterator[Finding]:
    """Parts of measurements that were killed."""
    for path in sorted(folder.path.glob(".unfinished-*")):
        what = "is left of a measurement that was killed, or one is going on"
        yield Finding(f"{folder.place}/{path.name}", what, KEPT_UNTIL)


def check_files(run: RecordedRun) -> Iterator[Finding]:
    """Find files beside a record that are missing or damaged."""
    folder = run.folder
    yield from _profile(folder)
    for name in MADE_OF_PROFILE:
        table = folder.path / name
        if not table.is_file():
            yield Finding(folder.place, f"holds no {name}: it is not attributed", ATTRIBUTE)
        elif (fault := _parquet_fault(table)) is not None:
            yield Finding(f"{folder.place}/{name}", fault, REATTRIBUTE)
    if (folder.path / "latency.json").is_file():
        yield from _latency(run)


def check_latency(runs: Sequence[RecordedRun]) -> Iterator[Finding]:
    """Runs without times free of a profiler, on a device whose other runs have them."""
    devices = {run.key.device for run in runs if _has_latency(run)}
    for run in runs:
        measured = run.record.status == "ok"
        if measured and run.key.device in devices and not _has_latency(run):
            what = "holds no latency.json, other runs of this device do"
            yield Finding(run.folder.place, what, "start the study again")


def _has_latency(run: RecordedRun) -> bool:
    return (run.folder.path / "latency.json").is_file()


def _profile(folder: RunFolder) -> Iterator[Finding]:
    profile = folder.path / "profile.sqlite"
    if profile.is_file():
        fault = damage(profile)
        if fault is not None:
            yield Finding(f"{folder.place}/{profile.name}", fault, COPY_OR_RUN)
    elif (folder.path / "profile.nsys-rep").is_file():
        what = "its profile.nsys-rep is not exported to profile.sqlite"
        yield Finding(folder.place, what, "start the study again")
    else:
        yield Finding(folder.place, "holds no profile.sqlite", COPY_OR_RUN)


def _parquet_fault(path: Path) -> str | None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        pq.read_metadata(path)
    except (pa.ArrowException, OSError) as error:
        return f"is no whole Parquet file ({error})"
    return None


def _latency(run: RecordedRun) -> Iterator[Finding]:
    where = f"{run.folder.place}/latency.json"
    path = run.folder.path / "latency.json"
    try:
        other = read_record(path, RunRecord, COPY_OR_RUN)
    except ResultsError as error:
        yield Finding(where, error.what, error.remedy)
        return
    differing = [
        field.name
        for field in fields(run.request)
        if field.name not in ONLY_IN_LATENCY
        and getattr(run.request, field.name) != getattr(other.request, field.name)
    ]
    if differing:
        what = f"is of another run than run.json beside it ({', '.join(differing)} differ)"
        yield Finding(where, what, COPY_OR_RUN)


GIB = 2**30
CURVE_KEYS = (
    "target", "settings", "seed", "threads", "images", "sampling", "collector", "execution",
    "lock_clocks", "container",
)  # fmt: skip
"""Keys that the requests of one curve must share."""

LABEL_KEYS = ("target", "settings")
"""Keys that a method's label stands for, on every device."""

_APART = "measure the smaller part again, or move it to a device with a name of its own"


def check_devices(runs: Sequence[RecordedRun]) -> Iterator[Finding]:
    """Devices whose runs were measured on different hardware or by different software.

    Several machines of one kind may be one device: which GPU, which node and which of its CPUs
    are not compared, kinds are.
    """
    for device, group in _grouped(runs, lambda run: run.key.device):
        for name, values in _differing(group, _fingerprint):
            yield Finding(f"device {device}", f"{name} is {values}", _APART)


def check_curves(runs: Sequence[RecordedRun]) -> Iterator[Finding]:
    """Curves whose runs were asked for in different ways."""
    remedy = "start the study again: what differs from the configuration is measured anew"
    for curve, group in _grouped(runs, lambda run: run.key.curve):
        for name, values in _differing(group, lambda run: _flat(run.request, CURVE_KEYS)):
            yield Finding("/".join(curve), f"{name} is {values}", remedy)


def check_labels(runs: Sequence[RecordedRun]) -> Iterator[Finding]:
    """Labels of methods that mean one thing on one device and another on another."""
    remedy = "give one of them another label, or measure it again"
    one_per_curve = list({run.key.curve: run for run in runs}.values())
    for method, group in _grouped(one_per_curve, lambda run: run.key.method):
        for name, values in _differing(group, lambda run: _flat(run.request, LABEL_KEYS)):
            yield Finding(f"method {method}", f"{name} is {values}", remedy)


def _fingerprint(run: RecordedRun) -> dict[str, object]:
    """Return the properties that machines of one kind share."""
    hardware = run.record.hardware
    found: dict[str, object] = {
        "cpu_model": hardware.cpu_model,
        "online_cpus": hardware.online_cpus,
        # the kernel keeps some of it, not always as much
        "main memory in GiB": round(hardware.memory_bytes / GIB),
        "device_type": run.request.device_type,
    }
    gpu = {} if hardware.gpu is None else asdict(hardware.gpu)
    software = asdict(run.record.software)
    return {
        **found,
        **{f"gpu.{key}": value for key, value in gpu.items() if key != "uuid"},
        **{f"software.{key}": value for key, value in software.items()},
    }


def _flat(request: RunRequest, keys: Sequence[str]) -> dict[str, object]:
    """The values of some keys, mappings taken apart: ``sampling.warmup_images``."""
    found: dict[str, object] = {}
    values = request.as_dict()
    for key in keys:
        value = values[key]
        if isinstance(value, Mapping):
            found.update({f"{key}.{inner}": part for inner, part in value.items()})
        else:
            found[key] = value
    return found


def _grouped(
    runs: Sequence[RecordedRun], key: Callable[[RecordedRun], Any]
) -> Iterator[tuple[Any, list[RecordedRun]]]:
    groups: defaultdict[Any, list[RecordedRun]] = defaultdict(list)
    for run in runs:
        groups[key(run)].append(run)
    yield from groups.items()


def _differing(
    runs: Sequence[RecordedRun], values: Callable[[RecordedRun], Mapping[str, object]]
) -> Iterator[tuple[str, str]]:
    """Names of which the runs have several values, and these, with an example of each."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    example: dict[tuple[str, str], str] = {}
    of_runs = [(run, values(run)) for run in runs]
    names = dict.fromkeys(name for _, found in of_runs for name in found)
    for run, found in of_runs:
        for name in names:
            text = json.dumps(found[name], sort_keys=True) if name in found else "absent"
            counts[name][text] += 1
            example.setdefault((name, text), run.folder.place)
    for name, texts in counts.items():
        if len(texts) > 1:
            parts = (
                f"{text} in {count} of {len(runs)} runs (as {example[name, text]})"
                for text, count in texts.most_common()
            )
            yield name, ", ".join(parts)


MEASURE = "start the study that measures it again, or copy its folder"


def check_expected(folders: Sequence[RunFolder], expected: Iterable[str]) -> Iterator[Finding]:
    """Runs that a study has and the results have not.

    Args:
        folders: of the results.
        expected: device/method/variant/resolution of each run, /process-N of its further ones.
    """
    there = {folder.place for folder in folders}
    for place in expected:
        if place not in there:
            yield Finding(place, "is in the study and not in the results", MEASURE)


def check_gaps(keys: Sequence[RunKey]) -> Iterator[Finding]:
    """Curves that lack a resolution that another curve of their method has, or processes.

    Devices of different memory do not end at different resolutions: a run that exceeds memory is
    recorded as well.
    """
    sides: defaultdict[tuple[str, str, str], set[Resolution]] = defaultdict(set)
    of_method: defaultdict[str, set[Resolution]] = defaultdict(set)
    processes: defaultdict[tuple[str, str, str, Resolution], set[int]] = defaultdict(set)
    most: defaultdict[tuple[str, str, str], int] = defaultdict(int)
    for key in keys:
        sides[key.curve].add(key.resolution)
        of_method[key.method].add(key.resolution)
        processes[(*key.curve, key.resolution)].add(key.process)
        most[key.curve] = max(most[key.curve], key.process)
    for curve, found in sides.items():
        missing = sorted(of_method[curve[1]] - found)
        if missing:
            at = ", ".join(map(str, missing))
            what = f"lacks {at} px, at which this method is measured elsewhere"
            yield Finding("/".join(curve), what, MEASURE)
    for (device, method, variant, resolution), numbers in processes.items():
        absent = sorted(set(range(1, most[device, method, variant] + 1)) - numbers)
        if absent:
            what = f"lacks process {', '.join(map(str, absent))}, which other resolutions have"
            yield Finding(f"{device}/{method}/{variant}/{resolution}", what, MEASURE)


@dataclass(frozen=True)
class Verification:
    """The number of records and devices that were checked, and the findings.

    Attributes:
        runs: records that could be read; each process of a run has one.
        devices: how many devices they are of.
        findings: the faults.
    """

    runs: int
    devices: int
    findings: tuple[Finding, ...]


def verify(
    results: Path,
    expected: Iterable[str] | None = None,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Verification:
    """Check the run folders of a folder of results.

    Args:
        results: the folder that holds a folder per device.
        expected: device/method/variant/resolution of the runs that there should be; None: what
            one curve has, the others of its method should have.
        on_progress: is told how many folders were read, and of how many.

    Raises:
        ResultsError: there is no such folder.
    """
    folders = run_folders(results)
    findings: list[Finding] = []
    if not folders:
        remedy = "name the folder that holds a folder per device"
        findings.append(Finding(str(results), "holds no folder of a run", remedy))
    runs: list[RecordedRun] = []
    for number, folder in enumerate(folders, 1):
        findings += [*foreign_place(folder), *left_overs(folder)]
        record = read_folder(folder)
        if isinstance(record, Finding):
            findings.append(record)
        else:
            runs.append(record)
            findings += [*check_place(record), *check_files(record)]
        on_progress(number, len(folders))
    findings += [*check_duplicates(runs), *check_latency(runs)]
    if expected is None:
        findings += check_gaps([folder.key for folder in folders if folder.key is not None])
    else:
        findings += check_expected(folders, expected)
    findings += [*check_devices(runs), *check_curves(runs), *check_labels(runs)]
    return Verification(len(runs), len({run.key.device for run in runs}), tuple(findings))
