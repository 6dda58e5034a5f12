"""`kernels.csv`: which kernels take the time of each submodule of each run on a GPU.

One row per device × method × variant × resolution × submodule × kernel name, of all processes of
the run together. The columns are defined in docs/definitions.md.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from .profiles.kernel_table import RUN_KERNEL_COLUMNS
from .profiles.study_runs import StudyRun
from .runs.record import Run
from .tables import RUN_COLUMNS, Schema, make_table, read_parquet

KERNELS_COLUMNS: Schema = {
    **RUN_COLUMNS,
    "kernel": "string",
    "collector": "string",
    "collector_version": "string",
    "processes": "Int64",
    "images": "Int64",
    "launches_per_image": "Float64",
    "ms_per_image": "Float64",
    "share": "Float64",
    "us_per_launch": "Float64",
    "max_us": "Float64",
}
"""Columns of `kernels.csv`."""

_US_PER_MS = 1e3


def kernels_table(runs: Sequence[StudyRun]) -> pd.DataFrame:
    """The kernels of runs on a GPU whose images are complete.

    Args:
        runs: as `analysis.profiles.study_runs.read_study_runs` gives them; beside each `run.json`
            of a GPU lies `kernels.parquet`.

    Returns:
        Rows of `KERNELS_COLUMNS`: the runs in the given order, their submodules in the order of
        inference, of each the kernel with the most time first. None for runs on a CPU device.

    Raises:
        ResultsError: a `kernels.parquet` is missing or damaged.
    """
    found = [_run_kernels(run) for run in runs if run.profiled.times and run.first.clock == "gpu"]
    return pd.concat([make_table([], KERNELS_COLUMNS), *found], ignore_index=True)


def _run_kernels(run: StudyRun) -> pd.DataFrame:
    processes = run.profiled.processes
    kernels = pd.concat([_per_image(process) for process in processes], ignore_index=True)
    sums = kernels.groupby(["submodule", "kernel"], as_index=False, sort=False).agg(
        launches=("launches", "sum"),
        total_ms=("total_ms", "sum"),
        max_us=("max_us", "max"),
        launches_per_image=("launches_per_image", "sum"),
        ms_per_image=("ms_per_image", "sum"),
    )
    # a kernel that a process never launched counts there with 0
    sums[["launches_per_image", "ms_per_image"]] /= len(processes)
    sums["us_per_launch"] = sums["total_ms"] / sums["launches"] * _US_PER_MS
    whole_ms = sums.groupby("submodule")["ms_per_image"].transform("sum")
    sums["share"] = (sums["ms_per_image"] / whole_ms).where(whole_ms > 0)
    order = {submodule: place for place, submodule in enumerate(run.first.submodules)}
    sums["place"] = sums["submodule"].map(order)
    sums = sums.sort_values(["place", "ms_per_image", "kernel"], ascending=[True, False, True])
    about = {
        **run.first.columns,
        "role": "submodule",
        "collector": run.first.collector,
        "collector_version": run.first.collector_version,
        "processes": len(processes),
        "images": sum(process.measured_images for process in processes),
    }
    return sums.assign(**about)[list(KERNELS_COLUMNS)].astype(dict(KERNELS_COLUMNS))


def _per_image(process: Run) -> pd.DataFrame:
    file = process.path.with_name("kernels.parquet")
    remedy = "make it again with python -m analysis attribute … --kernel-table"
    table, _ = read_parquet(file, RUN_KERNEL_COLUMNS, remedy)
    images = process.measured_images
    return table.assign(
        launches_per_image=table["launches"] / images, ms_per_image=table["total_ms"] / images
    )
