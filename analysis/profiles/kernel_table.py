"""Which kernels took the time, by name: of a profile's paths, a run's submodules, a study's runs.

As everywhere, a kernel belongs to the ranges that were open when it was launched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from adscale.tables import Schema

from ..arrow import arrow_table
from ..attribution.kernel_names import KernelStatistics, kernel_statistics
from ..attribution.range_tree import PathTree
from ..nsys.records import Bools, Int64s, Strings
from .path_sums import Columns
from .paths import path_texts
from .work import NS_PER_MS, NS_PER_US, ProfileWork

if TYPE_CHECKING:  # importing pandas, or the models of a record, takes as long as a small profile
    import pandas as pd

    from .record import Run
    from .run_work import RunWork
    from .study_runs import StudyRun

KERNEL_COLUMNS: Schema = {
    "path": "string",
    "kernel": "string",
    "kernels": "Int64",
    "kernel_sum_ms": "Float64",
    "share": "Float64",
    "mean_us": "Float64",
    "median_us": "Float64",
    "min_us": "Float64",
    "max_us": "Float64",
}
"""Columns of the table of any profile: they are defined in docs/attribution.md."""

RUN_KERNEL_COLUMNS: Schema = {
    "submodule": "string",
    "kernel": "string",
    "launches": "Int64",
    "total_ms": "Float64",
    "mean_us": "Float64",
    "max_us": "Float64",
}
"""Columns of `kernels.parquet` of a run: `kernel` is a name, `launches` are those in all measured
images, `total_ms`, `mean_us` and `max_us` are of their durations."""

_US_PER_MS = 1e3


def kernel_table(work: ProfileWork, most: int | None, levels: int | None = None) -> pa.Table:
    """The kernels of each path by name, those with the largest sums first.

    Args:
        work: of the profile.
        most: names per path; None for all.
        levels: leave out paths of more names; None for none.

    Returns:
        Rows of `KERNEL_COLUMNS`, the paths in the order in which they first occur.
    """
    found, rank = shown_kernels(work)
    return kernel_rows(found, names_of(work), work.paths, rank, most, levels)


def shown_kernels(work: ProfileWork) -> tuple[KernelStatistics, Int64s]:
    """The kernels of each path that has a row by name, and the rank of each path."""
    profile = work.profile
    paths, rank = _shown_paths(work)
    return kernel_statistics(work.kinds["kernels"], profile.calls, profile.kernels, paths), rank


def kernel_rows(
    found: KernelStatistics,
    names: Strings,
    paths: PathTree,
    rank: Int64s,
    most: int | None,
    levels: int | None = None,
) -> pa.Table:
    """The same of statistics by path and name.

    Args:
        found: the statistics; those of a path that is none of the paths are left out.
        names: of the kernels.
        paths: of the ranges.
        rank: by which paths are ordered.
        most: names per path; None for all.
        levels: leave out paths of more names; None for none.
    """
    rows = _by_name(found, names, rank)
    rows = _longest_first(rows, rows["path"] < len(paths.parent))
    _, first, group = np.unique(rows["rank"], return_index=True, return_inverse=True)
    whole = np.bincount(group, rows["kernel_sum_ms"])[group]
    with np.errstate(invalid="ignore", divide="ignore"):
        rows["share"] = np.where(whole > 0, rows["kernel_sum_ms"] / whole, np.nan)
    keep = np.ones(len(group), np.bool_)
    if most is not None:
        keep &= np.arange(len(group)) - first[group] < most
    if levels is not None:
        keep &= paths.depths()[rows["path"]] < levels
    rows = {name: column[keep] for name, column in rows.items()}
    rows["path"] = path_texts(paths, levels)[rows["path"]]
    return arrow_table(rows, KERNEL_COLUMNS)


def run_kernels(of_run: RunWork) -> pd.DataFrame:
    """The kernels of each submodule by their names, those with the largest sums first.

    Returns:
        Rows of `RUN_KERNEL_COLUMNS`, the submodules in the order of inference. None on a CPU
        device.
    """
    import pandas as pd

    run = of_run.run
    if run.clock == "host":
        return pd.DataFrame(columns=list(RUN_KERNEL_COLUMNS)).astype(dict(RUN_KERNEL_COLUMNS))
    submodules = PathTree(_submodule_codes(of_run), np.empty(0, np.int64), np.empty(0, object))
    work = of_run.work
    kernels = work.profile.kernels
    found = kernel_statistics(work.kinds["kernels"], work.profile.calls, kernels, submodules)
    rows = _by_name(found, names_of(work), np.arange(len(run.submodules) + 1))
    rows = _longest_first(rows, rows["path"] < len(run.submodules))
    rows["submodule"] = np.array(run.submodules, object)[rows["path"]]
    rows |= {"launches": rows["kernels"], "total_ms": rows["kernel_sum_ms"]}
    columns = {name: rows[name] for name in RUN_KERNEL_COLUMNS}
    return pd.DataFrame(columns).astype(dict(RUN_KERNEL_COLUMNS))


def kernels_per_image(run: StudyRun) -> pd.DataFrame:
    """The kernels of each submodule of all processes of a run together.

    Args:
        run: on a GPU, with complete images; beside each `run.json` lies `kernels.parquet`.

    Returns:
        Columns `submodule`, `kernel`, `launches_per_image`, `ms_per_image`, `share` of the
        submodule's kernel time, `us_per_launch`, `max_us`; the submodules in the order of
        inference, of each the kernel with the most time first.

    Raises:
        ResultsError: a `kernels.parquet` is missing or damaged.
    """
    import pandas as pd

    processes = run.profiled.processes
    kernels = pd.concat([_of_process(process) for process in processes], ignore_index=True)
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
    sums["rank"] = sums["submodule"].map({name: at for at, name in enumerate(run.first.submodules)})
    by = ["rank", "ms_per_image", "kernel"]
    return sums.sort_values(by, ascending=[True, False, True], kind="stable")


def names_of(work: ProfileWork) -> Strings:
    """The name of each distinct kernel."""
    ids = work.profile.kernels.name_id.distinct.tolist()
    return np.array([work.profile.kernel_names[name_id] for name_id in ids], dtype=object)


def _by_name(found: KernelStatistics, names: Strings, rank: Int64s) -> Columns:
    """The kernels inside the ranges of each path by name, and the rank of the path."""
    return {
        "path": found.path,
        "rank": rank[found.path],
        "kernel": names[found.name],
        "kernels": found.kernels,
        "kernel_sum_ms": found.total_ns / NS_PER_MS,
        "mean_us": found.total_ns / found.kernels / NS_PER_US,
        "median_us": found.median_ns / NS_PER_US,
        "min_us": found.min_ns / NS_PER_US,
        "max_us": found.max_ns / NS_PER_US,
    }


def _longest_first(rows: Columns, keep: Bools) -> Columns:
    """Some of the rows: by the rank of the path, the largest sums first, then by name."""
    at = np.flatnonzero(keep)
    names = sorted(set(rows["kernel"][at].tolist()))
    position = {name: number for number, name in enumerate(names)}
    name = np.array([position[one] for one in rows["kernel"][at].tolist()], np.int64)
    at = at[np.lexsort((name, -rows["kernel_sum_ms"][at], rows["rank"][at]))]
    return {name: column[at] for name, column in rows.items()}


def _shown_paths(work: ProfileWork) -> tuple[PathTree, Int64s]:
    """The paths of ranges that have a row, of others one more; rank of the first of each."""
    paths, order = work.paths, work.nesting.order
    if work.selection is not None:
        code = np.where(work.shown, paths.code, paths.code.dtype.type(len(paths.parent)))
        paths = PathTree(code, np.empty(0, np.int64), np.empty(0, object))
    ranks = np.full(len(work.paths.parent) + 1, len(paths.code), np.int64)
    code = paths.code[order]
    ranks[code[::-1]] = np.arange(len(code))[::-1]  # of one path the first one is written last
    return paths, ranks


def _submodule_codes(of_run: RunWork) -> Int64s:
    """Number of the submodule that a range is in a complete measured image, else one more."""
    run = of_run.run
    measured = of_run.measured & (of_run.image < run.measured_images)
    code = np.full(len(of_run.ranges), len(run.submodules), np.int64)
    for number, submodule in enumerate(run.submodules):
        code[measured & (of_run.path == run.path_of(submodule))] = number
    return code


def _of_process(process: Run) -> pd.DataFrame:
    from ..tables import read_parquet

    file = process.path.with_name("kernels.parquet")
    remedy = "make it again with python -m analysis attribute … --kernel-table"
    table, _ = read_parquet(file, RUN_KERNEL_COLUMNS, remedy)
    images = process.measured_images * process.batch
    return table.assign(
        launches_per_image=table["launches"] / images, ms_per_image=table["total_ms"] / images
    )
