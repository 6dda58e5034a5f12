"""`kernels.csv`: which kernels take the time of each submodule of each run on a GPU.

One row per device × method × variant × resolution × submodule × kernel name, of all processes of
the run together. The columns are defined in docs/definitions.md.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from .profiles.kernel_table import kernels_per_image
from .profiles.study_runs import StudyRun
from .tables import RUN_COLUMNS, Schema, make_table

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
    about = {
        **run.first.columns,
        "role": "submodule",
        "collector": run.first.collector,
        "collector_version": run.first.collector_version,
        "processes": len(processes),
        "images": sum(process.measured_images for process in processes),
    }
    rows = kernels_per_image(run).assign(**about)
    return rows[list(KERNELS_COLUMNS)].astype(dict(KERNELS_COLUMNS))
