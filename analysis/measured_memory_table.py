"""`memory_measured.csv`: what runs took in memory, measured, with the count beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from adscale.failure import read_failure
from adscale.tables import Argument, Output, Table, TableJob, integer, join, pick, real, text

from .columns import INCOMPLETE, PART, RUN, STATUS, size_values

if TYPE_CHECKING:
    import pandas as pd

    from adscale.memory_record import MemoryCount
    from adscale.resolution import Resolution
    from adscale.run_record import GpuMemory, SubmoduleMemory

    from .profiles.record import Run

MEASURED_MEMORY = Table(
    name="memory_measured",
    row="measured memory of a submodule or of a run, with the count beside it",
    columns=join(
        RUN,
        pick(PART, "submodule"),
        text("role", means="`submodule`, or `run` for the row of the whole run"),
        STATUS,
        text("measured_as", means="what `measured_bytes` is: `allocator`, `allocator and "
             "libraries` or `growth of the process`"),
        integer("measured_bytes", means="what compares with the count. On a GPU "
                "`peak_allocated_bytes`, with `moved_outside_bytes` where libraries are counted; "
                "on a CPU, of the run only, `host_peak_bytes` less "
                "`host_resident_before_build_bytes`, with everything that the process took "
                "meanwhile"),
        integer("counted_bytes", means="all parameters and buffers, image, the submodule's peak "
                "(of the run the largest), libraries; null where the count is for another type of "
                "device"),
        real("measured_to_counted", means="their ratio, for whole runs and whole counts"),
        integer("begin_allocated_bytes", means="live tensors when the submodule begins: "
                "parameters, buffers, image, what earlier ones left"),
        integer("peak_allocated_bytes", "peak_reserved_bytes", means="the largest sum of live "
                "tensors while it runs, and the most that the allocator held of the driver, with "
                "what it keeps from before. On the row of the run: of the whole run"),
        integer("built_allocated_bytes", means="tensors once the method was on the GPU"),
        integer("cublas_workspace_bytes", means="what torch allocates for cuBLAS, inside its "
                "allocator; torch 2.6 does not tell. What cuDNN takes there nobody tells"),
        integer("moved_outside_bytes", means="by how much `outside_allocator_bytes` grew while "
                "the method was moved to the GPU: faiss' memory bank and temporary memory"),
        integer("context_bytes", means="what the process had on the GPU before anything was "
                "allocated: CUDA's context, and what records the run"),
        integer("process_bytes", means="what the process had there at the end, by the driver; "
                "null where it does not tell, as under WSL"),
        integer("outside_allocator_bytes", means="`process_bytes` less what the allocator had "
                "reserved then: context, code of kernels, libraries"),
        text("process_source", means="who told `process_bytes`: NVML, else nvidia-smi"),
        integer("host_resident_before_build_bytes", "host_peak_before_build_bytes",
                "host_peak_bytes", means="main memory of the whole measuring process, libraries "
                "included: before the method was built (VmRSS), the largest until then and until "
                "the end (VmHWM)"),
        INCOMPLETE,
    ),
    category="Memory",
    contents="measured memory, beside the count",
    caption="""What the first process of each run took, beside the count.

Measured on the device, and counted; columns tell them apart. No clock.""",
)  # fmt: skip

WHOLE = "run"
"""The row of a whole run."""

Key = tuple[str, str, str, "Resolution"]
"""Method, variant, type of the device, resolution."""
Counts: TypeAlias = "Mapping[Key, MemoryCount]"
"""Entries of `memory.json` files."""

_PEAKS = ("begin_allocated_bytes", "peak_allocated_bytes", "peak_reserved_bytes")


def measured_memory_table(runs: Sequence[Path], counts: Sequence[Path]) -> pd.DataFrame:
    """Sets measured memory beside counted.

    Args:
        runs: folders of runs, each with `run.json`.
        counts: `memory.json` files.

    Returns:
        Rows of `MEASURED_MEMORY`: runs sorted by device, method, variant and resolution,
        the submodules of each in the order of inference, then the run.

    Raises:
        ResultsError: a file is missing or violates its schema.
    """
    from .profiles.record import read_run
    from .tables import make_table

    counted = _read_counts(counts)
    there = [folder for folder in runs if read_failure(folder / "run.json") is None]
    all_runs = [read_run(folder / "run.json") for folder in there]
    all_runs.sort(key=lambda run: run.key)
    rows = [
        {**dict.fromkeys(MEASURED_MEMORY.schema), **row}
        for run in all_runs
        for row in _run_rows(run, counted)
    ]
    return make_table(rows, MEASURED_MEMORY.schema)


def _read_counts(paths: Sequence[Path]) -> Counts:
    from .memory_table import read_counts

    return {
        (count.method, count.variant, count.device_type, count.resolution): count.content
        for path in paths
        for count in read_counts([path])
    }


def _run_rows(run: Run, counts: Counts) -> Iterator[dict[str, Any]]:
    counted = counts.get((run.method, run.variant, run.device_type, run.resolution))
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
    row = {
        **_about(run, WHOLE, WHOLE),
        **{f"host_{name}": size for name, size in asdict(host).items()},
    }
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
        "batch": run.batch,
        **size_values(run.resolution),
        "submodule": submodule,
        "role": role,
        "status": run.status,
    }


def _counted_bytes(counted: MemoryCount | None, submodule: str) -> int | None:
    """Return what the device must hold while a submodule runs; None where it is not counted."""
    parts = () if counted is None else counted.submodules
    peaks = [part.peak.bytes for part in parts if part.submodule == submodule]
    if counted is None or not peaks:
        return None
    held_bytes = sum(part.parameters_bytes + part.buffers_bytes for part in parts)
    return held_bytes + counted.image_bytes + peaks[0] + _library_bytes(counted)


def _library_bytes(counted: MemoryCount | None) -> int:
    """Return what libraries unknown to torch take on the device."""
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


MEASURED_MEMORY_JOB = TableJob(
    command="measured-memory",
    rule="measured_memory_table",
    description="Measured bytes of each run's submodules and of the run, and what was counted.",
    arguments=(
        Argument(
            "runs",
            {"type": Path, "nargs": "+", "metavar": "RUN_DIR", "help": "folder with run.json"},
            "runs",
        ),
        Argument(
            "--counts",
            {"type": Path, "nargs": "+", "default": (), "metavar": "memory.json", "help": "counts"},
            "counts",
        ),
    ),
    outputs=(Output(MEASURED_MEMORY, measured_memory_table),),
)
