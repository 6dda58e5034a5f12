"""`kernels.csv`: which kernels take the time of each submodule of each run on a GPU.

One row per device × method × variant × resolution × submodule × kernel name, of all processes of
the run together. The columns are defined in docs/definitions.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from adscale.tables import Table, join, real, text

from .columns import COLLECTOR, PART, SAMPLE

if TYPE_CHECKING:
    import pandas as pd

    from .profiles.study_runs import StudyRun

KERNELS = Table(
    name="kernels",
    row="a kernel of a submodule, on a GPU",
    columns=join(
        PART,
        text("kernel", means="its name, with the types of its template"),
        COLLECTOR,
        SAMPLE,
        real("launches_per_image", means="launches over the images; of several processes the "
             "mean", unit=""),
        real("ms_per_image", means="sum of their durations over the images; of several processes "
             "the mean", unit="ms"),
        real("share", means="of the submodule's kernel sum"),
        real("us_per_launch", "max_us", means="mean duration of a launch, and the longest, over "
             "all launches of all processes", unit="µs"),
    ),
    category="Runtime",
    contents="kernels of the submodules",
    caption="""The kernels of each submodule on a GPU, with launches and time per image. Empty for
a CPU.

Measured, by the clock ``kernel_sum``.""",
    in_report=True,
)  # fmt: skip


def kernels_table(runs: Sequence[StudyRun]) -> pd.DataFrame:
    """The kernels of runs on a GPU whose images are complete.

    Args:
        runs: as `analysis.profiles.study_runs.read_study_runs` gives them; beside each `run.json`
            of a GPU lies `kernels.parquet`.

    Returns:
        Rows of `KERNELS`: the runs in the given order, their submodules in the order of
        inference, of each the kernel with the most time first. None for runs on a CPU device.

    Raises:
        ResultsError: a `kernels.parquet` is missing or damaged.
    """
    import pandas as pd

    from .tables import make_table

    found = [_run_kernels(run) for run in runs if run.profiled.times and run.first.clock == "gpu"]
    return pd.concat([make_table([], KERNELS.schema), *found], ignore_index=True)


def _run_kernels(run: StudyRun) -> pd.DataFrame:
    from .profiles.kernel_table import kernels_per_image

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
    return rows[list(KERNELS.schema)].astype(dict(KERNELS.schema))
