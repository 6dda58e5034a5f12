"""Are the files of a run all there, and whole? Copies break off, and measurements do, too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path

from adscale.errors import ResultsError
from adscale.files import read_record
from adscale.run_record import RunRecord

from .finding import Finding
from .folders import RecordedRun, RunFolder

SQLITE_HEADER = b"SQLite format 3\0"
COPY_OR_RUN = "copy it again, or remove the folder and start the study again"
ATTRIBUTED = ("ranges.parquet", "kernels.parquet")
"""What attribution makes of a profile."""

ATTRIBUTE = "start the study again"
ONLY_IN_LATENCY = ("collector",)
"""What the request of the latency pass does not share with that of the profiled one."""


def left_overs(folder: RunFolder) -> Iterator[Finding]:
    """Parts of measurements that were killed."""
    for path in sorted(folder.path.glob(".unfinished-*")):
        what = "is left of a measurement that was killed, or one is going on"
        yield Finding(f"{folder.place}/{path.name}", what, "remove it once nothing measures there")


def check_files(run: RecordedRun) -> Iterator[Finding]:
    """What is missing or damaged beside a record."""
    folder = run.folder
    yield from _profile(folder)
    for name in ATTRIBUTED:
        table = folder.path / name
        if not table.is_file():
            yield Finding(folder.place, f"holds no {name}: it is not attributed", ATTRIBUTE)
        elif (fault := _parquet_fault(table)) is not None:
            yield Finding(f"{folder.place}/{name}", fault, f"remove it and {ATTRIBUTE}")
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
        fault = _sqlite_fault(profile)
        if fault is not None:
            yield Finding(f"{folder.place}/{profile.name}", fault, COPY_OR_RUN)
    elif (folder.path / "profile.nsys-rep").is_file():
        what = "its profile.nsys-rep is not exported to profile.sqlite"
        yield Finding(folder.place, what, "start the study again")
    else:
        yield Finding(folder.place, "holds no profile.sqlite", COPY_OR_RUN)


def _sqlite_fault(path: Path) -> str | None:
    """By the header, which says how long the file is (https://sqlite.org/fileformat2.html)."""
    with path.open("rb") as file:
        header = file.read(100)
    if len(header) < 100 or not header.startswith(SQLITE_HEADER):
        return "is no SQLite database"
    page_bytes = int.from_bytes(header[16:18], "big")
    page_bytes = 65536 if page_bytes == 1 else page_bytes
    expected = page_bytes * int.from_bytes(header[28:32], "big")
    size = path.stat().st_size
    return None if size >= expected else f"is cut off: {size} of {expected} bytes"


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
