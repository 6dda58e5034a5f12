"""`memory_measured.csv`: what runs took in memory, measured, with the count beside it.

One row per run × submodule, and one per run. What was not or could not be measured is null, never
zero. Columns, in this order:

- `device`, `device_type`, `hardware`, `method`, `variant`, `resolution_px`, `pixels`, `submodule`,
  `status`: as in `runtime.csv`. `role`: `submodule`, or `run` for the row of the whole run, whose
  `submodule` is `run`.
- `measured_bytes`: what compares with the count; `measured_as` says what it is. `allocator`: the
  peak of torch's allocator on the GPU. `allocator and libraries`: and `moved_outside_bytes`, where
  the method has libraries that take memory of their own. `growth of the process`: on a CPU device,
  the peak of the whole process less what it had before the method was built; of the run only.
- `counted_bytes`: what the device must hold at least: all parameters and buffers, the image, the
  peak of the submodule (of the run: the largest), and what libraries take. Null where the count is
  of another type of device.
- `measured_to_counted`: the ratio; null where the run or the count is not complete.
- `begin_allocated_bytes`, `peak_allocated_bytes`, `peak_reserved_bytes`: of torch's allocator, when
  a submodule begins, and the largest while it runs. On a GPU only, in an image of its own.
- `built_allocated_bytes`, `cublas_workspace_bytes`, `moved_outside_bytes`, `context_bytes`,
  `process_bytes`, `outside_allocator_bytes`, `process_source`: of the run on a GPU; and
  `host_resident_before_build_bytes`, `host_peak_before_build_bytes`, `host_peak_bytes`: of the run,
  on the host. `run.schema.json` defines them.
- `incomplete`: up to where a method of the user's was counted, and why not further.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from adscale.memory_record import MemoryCount
from adscale.run_record import GpuMemory, SubmoduleMemory

from .memory_counts import read_counts
from .runs.record import Run, read_run
from .tables import RUN_COLUMNS, Schema, make_table

MEASURED_MEMORY_COLUMNS: Schema = {
    **RUN_COLUMNS,
    "status": "string",
    "measured_as": "string",
    "measured_bytes": "Int64",
    "counted_bytes": "Int64",
    "measured_to_counted": "Float64",
    "begin_allocated_bytes": "Int64",
    "peak_allocated_bytes": "Int64",
    "peak_reserved_bytes": "Int64",
    "built_allocated_bytes": "Int64",
    "cublas_workspace_bytes": "Int64",
    "moved_outside_bytes": "Int64",
    "context_bytes": "Int64",
    "process_bytes": "Int64",
    "outside_allocator_bytes": "Int64",
    "process_source": "string",
    "host_resident_before_build_bytes": "Int64",
    "host_peak_before_build_bytes": "Int64",
    "host_peak_bytes": "Int64",
    "incomplete": "string",
}
"""Columns of `memory_measured.csv`."""

RUN = "run"
"""The row of a whole run."""

Key = tuple[str, str, str, int]
"""Method, variant, type of the device, side in px."""
Counts = Mapping[Key, MemoryCount]
"""Entries of `memory.json` files."""

_PEAKS = ("begin_allocated_bytes", "peak_allocated_bytes", "peak_reserved_bytes")


def measured_memory_table(folders: Sequence[Path], counts: Sequence[Path]) -> pd.DataFrame:
    """Sets measured memory beside counted.

    Args:
        folders: folders of runs, each with `run.json`.
        counts: `memory.json` files.

    Returns:
        Rows of `MEASURED_MEMORY_COLUMNS`: runs sorted by device, method, variant and resolution,
        the submodules of each in the order of inference, then the run.

    Raises:
        ResultsError: a file is missing or violates its schema.
    """
    counted = _read_counts(counts)
    runs = [read_run(folder / "run.json") for folder in folders]
    runs.sort(key=lambda run: run.key)
    rows = [
        {**dict.fromkeys(MEASURED_MEMORY_COLUMNS), **row}
        for run in runs
        for row in _run_rows(run, counted)
    ]
    return make_table(rows, MEASURED_MEMORY_COLUMNS)


def _read_counts(paths: Sequence[Path]) -> Counts:
    return {
        (count.method, count.variant, count.device_type, count.resolution_px): count.content
        for path in paths
        for count in read_counts([path])
    }


def _run_rows(run: Run, counts: Counts) -> Iterator[dict[str, Any]]:
    counted = counts.get((run.method, run.variant, run.device_type, run.resolution_px))
    gpu = run.memory.gpu
    measured = {row.submodule: row for row in (gpu and gpu.submodules) or ()}
    for submodule in run.submodules:
        peaks = measured.get(submodule)
        yield {
            **_about(run, submodule, "submodule"),
            **{name: getattr(peaks, name, None) for name in _PEAKS},
            **_compared(run, peaks, counted, _counted_bytes(counted, submodule)),
        }
    yield _whole_run(run, counted)


def _whole_run(run: Run, counted: MemoryCount | None) -> dict[str, Any]:
    gpu, host = run.memory.gpu, run.memory.host
    row = {**_about(run, RUN, RUN), **{f"host_{name}": size for name, size in asdict(host).items()}}
    if gpu is not None:
        row.update({name: value for name, value in asdict(gpu).items() if name != "submodules"})
        needed_bytes = None if counted is None else counted.needed_bytes
        return {**row, **_compared(run, gpu, counted, needed_bytes)}
    grown_bytes = None
    if host.peak_bytes is not None and host.resident_before_build_bytes is not None:
        grown_bytes = host.peak_bytes - host.resident_before_build_bytes
    # the run's own prediction is a count for its own type of device
    return {
        **row,
        "measured_as": None if grown_bytes is None else "growth of the process",
        **_ratio(run, grown_bytes, run.predicted_needed_bytes, run.predicted_incomplete),
    }


def _about(run: Run, submodule: str, role: str) -> dict[str, Any]:
    return {
        "device": run.device,
        "device_type": run.device_type,
        "hardware": run.hardware,
        "method": run.method,
        "variant": run.variant,
        "resolution_px": run.resolution_px,
        "pixels": run.resolution_px**2,
        "submodule": submodule,
        "role": role,
        "status": run.status,
    }


def _counted_bytes(counted: MemoryCount | None, submodule: str) -> int | None:
    """What the device must hold while a submodule runs; None where it is not counted."""
    parts = () if counted is None else counted.submodules
    peaks = [part.peak.bytes for part in parts if part.submodule == submodule]
    if counted is None or not peaks:
        return None
    held_bytes = sum(part.parameters_bytes + part.buffers_bytes for part in parts)
    return held_bytes + counted.image_bytes + peaks[0] + _library_bytes(counted)


def _library_bytes(counted: MemoryCount | None) -> int:
    """What libraries that torch does not see take on the device."""
    return 0 if counted is None else sum(part.library_bytes for part in counted.submodules)


def _compared(
    run: Run,
    peaks: SubmoduleMemory | GpuMemory | None,
    counted: MemoryCount | None,
    counted_bytes: int | None,
) -> dict[str, Any]:
    """Measured and counted bytes of a submodule, or of the run, on a GPU.

    Args:
        run: the run.
        peaks: what the allocator says of it.
        counted: the count of the method at this resolution.
        counted_bytes: what compares with it.
    """
    measured_bytes = None if peaks is None else peaks.peak_allocated_bytes
    measured_as = "allocator"
    if measured_bytes is not None and _library_bytes(counted):
        outside_bytes = None if run.memory.gpu is None else run.memory.gpu.moved_outside_bytes
        measured_bytes = None if outside_bytes is None else measured_bytes + outside_bytes
        measured_as = "allocator and libraries"
    incomplete = None if counted is None else counted.incomplete
    return {
        "measured_as": None if measured_bytes is None else measured_as,
        **_ratio(run, measured_bytes, counted_bytes, incomplete),
    }


def _ratio(
    run: Run, measured_bytes: int | None, counted_bytes: int | None, incomplete: str | None
) -> dict[str, Any]:
    whole = run.status == "ok" and incomplete is None
    ratio = measured_bytes / counted_bytes if whole and measured_bytes and counted_bytes else None
    return {
        "measured_bytes": measured_bytes,
        "counted_bytes": counted_bytes,
        "measured_to_counted": ratio,
        "incomplete": incomplete,
    }
