"""The ranges of any profile, added up by their path; and each range of a run.

GPU times are null where the profile does not know the kernels or was recorded on a CPU device,
spans and shares where no kernel was launched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import pyarrow as pa

from adscale.names import IMAGE
from adscale.tables import Schema

from ..arrow import arrow_table, nulls
from ..attribution.range_tree import PathTree
from ..nsys.records import Integers, Profile, Strings, factorized, strings
from .path_sums import Columns, shown_sums
from .paths import path_texts
from .work import NS_PER_MS, By, ProfileWork, thread_labels, work_by

if TYPE_CHECKING:  # importing the models of a record, or pandas, takes as long as a small profile
    import pandas as pd

    from .record import Run
    from .run_coverage import RunCoverage
    from .run_work import RunWork

PROFILE_COLUMNS: Schema = {
    "path": "string",
    "calls": "Int64",
    "host_ms": "Float64",
    "kernels": "Int64",
    "kernels_per_call": "Float64",
    "kernel_sum_ms": "Float64",
    "exclusive_ms": "Float64",
    "busy_ms": "Float64",
    "span_ms": "Float64",
    "launch_bound_share": "Float64",
    "call_busy_median_ms": "Float64",
    "call_busy_p95_ms": "Float64",
    "call_busy_max_ms": "Float64",
    "copies": "Int64",
    "copy_sum_ms": "Float64",
    "copy_bytes": "Int64",
    "memsets": "Int64",
    "memset_sum_ms": "Float64",
    "memset_bytes": "Int64",
    "graphs": "Int64",
    "graph_sum_ms": "Float64",
    "projected_ms": "Float64",
}
"""Columns of the table of any profile, defined in docs/attribution.md; with `by`, that column
stands behind `path`."""

RANGE_COLUMNS: Schema = {
    "phase": "string",
    "image_index": "Int64",
    "path": "string",
    "name": "string",
    "depth": "Int64",
    "call": "Int64",
    "start_ns": "Int64",
    "host_ms": "Float64",
    "kernels": "Int64",
    "kernel_sum_ms": "Float64",
    "busy_ms": "Float64",
    "span_ms": "Float64",
}
"""Columns of `ranges.parquet`, one row per range of a run below its phases: `phase` (warmup or
measure), `image_index` (number of the image in its phase, from 0), `path` (`image/teacher`),
`name`, `depth` (0 directly under the phase), `call` (number of the call of that path in that image,
from 0), `start_ns` (profile's clock), `host_ms` (duration on the CPU thread), and of the kernels
launched inside: `kernels` (their number), `kernel_sum_ms` (sum of durations), `busy_ms` (length of
the union), `span_ms` (last end minus first start; null without kernels). The four are null on a CPU
device."""

KERNEL_FIGURES = (
    "kernels",
    "kernels_per_call",
    "kernel_sum_ms",
    "exclusive_ms",
    "busy_ms",
    "span_ms",
    "launch_bound_share",
    "call_busy_median_ms",
    "call_busy_p95_ms",
    "call_busy_max_ms",
)
"""Columns that are null where the profile does not know its kernels."""


class RunRanges(NamedTuple):
    """The ranges of a run, its kernels, and how much of their time the ranges account for.

    Attributes:
        table: rows of `RANGE_COLUMNS`, in the order of their starts.
        coverage: None on a CPU device.
        kernels: rows of `analysis.profiles.kernel_table.RUNKERNEL_FIGURES`.
    """

    table: pd.DataFrame
    coverage: RunCoverage | None
    kernels: pd.DataFrame


def profile_table(work: ProfileWork, by: By | None = None, levels: int | None = None) -> pa.Table:
    """Add up the ranges of a profile by their path.

    Args:
        work: of the profile; read with its streams for `by` device or stream.
        by: what to tell apart besides.
        levels: leave out paths of more names; None for none.

    Returns:
        Rows of `PROFILE_COLUMNS` in the order in which the paths first occur.
    """
    table = arrow_table(_rows(work, by, levels), profile_columns(by))
    return table if work.profile.capture.knows_kernels else nulls(table, KERNEL_FIGURES)


def table_of(
    columns: Columns, paths: PathTree, levels: int | None, *, knows_kernels: bool
) -> pa.Table:
    """The same of figures by path.

    Args:
        columns: of `analysis.profiles.path_sums.path_sums`, a row per path.
        paths: of the ranges.
        levels: leave out paths of more names; None for none.
        knows_kernels: whether no kernel means zero.
    """
    rows = _rows_of({**columns, "path": np.arange(len(paths.parent))}, paths, levels)
    table = arrow_table(rows, profile_columns(None))
    return table if knows_kernels else nulls(table, KERNEL_FIGURES)


def _rows(work: ProfileWork, by: By | None, levels: int | None) -> Columns:
    """The columns as arrays, in which NaN is null; GPU times may be unknown all the same."""
    if by in ("device", "stream"):
        # a row only where there was work: no range is "on" a stream
        columns, values = _by_stream(work, by)
    elif by:
        columns, values = _by_value(work, by)
    else:
        columns, values = path_columns(work), None
        columns["path"] = np.arange(len(work.paths.parent))
    return _rows_of(columns, work.paths, levels, by, values)


def _rows_of(
    columns: Columns,
    paths: PathTree,
    levels: int | None,
    by: By | None = None,
    values: Strings | None = None,
) -> Columns:
    """The rows with calls in the order of their first ranges, with all columns.

    Args:
        columns: sums, and the number of the path of each row.
        paths: of the ranges.
        levels: leave out paths of more names; None for none.
        by: what tells rows of a path apart besides.
        values: of that, a row each.
    """
    keep = columns["calls"] > 0
    if levels is not None:
        keep &= paths.depths()[columns["path"]] < levels
    at = np.flatnonzero(keep)
    at = at[np.argsort(columns["first"][at], kind="stable")]
    rows = _in_ms({name: column[at] for name, column in columns.items()})
    rows["kernels_per_call"] = rows["kernels"] / rows["calls"]
    rows["path"] = path_texts(paths, levels)[rows["path"]]
    if by and values is not None:
        rows[by] = values[at]
    rows["span_ms"] = np.where(rows["kernels"] == 0, np.nan, rows["span_ms"])
    worked = rows["kernels"] + rows["copies"] + rows["memsets"]
    rows["projected_ms"] = np.where(worked == 0, np.nan, rows["projected_ms"])
    return {name: rows[name] for name in profile_columns(by)}


def path_columns(work: ProfileWork) -> Columns:
    """The sums of each path, of the ranges that have a row."""
    return shown_sums(work, _path_codes(work), len(work.paths.parent))


def _path_codes(work: ProfileWork) -> Integers:
    """Path of the range at each place."""
    codes: Integers = work.paths.code[work.nesting.order]
    return codes


def _by_value(work: ProfileWork, by: By) -> tuple[Columns, Strings]:
    """Rows by path and a property of the ranges, and that property."""
    ranges = work.profile.ranges
    labels = ranges.category
    if by == "thread":
        labels = ranges.thread.mapped(thread_labels(ranges.thread.distinct))
    label = labels.select(work.nesting.order)
    number = max(len(label.distinct), 1)
    group, found = factorized(_path_codes(work).astype(np.int64) * number + label.code)
    columns = shown_sums(work, group, len(found))
    columns["path"] = found // number
    return columns, label.distinct[found % number]


def _by_stream(work: ProfileWork, by: Literal["device", "stream"]) -> tuple[Columns, Strings]:
    """Rows by path and device or stream, and the name of that."""
    path, paths = _path_codes(work), len(work.paths.parent)
    parts, names = [], []
    for name, part in work_by(work, by).items():
        columns = shown_sums(part, path, paths, only_worked=True)
        columns["path"] = np.arange(paths)
        at = np.flatnonzero(columns["calls"])
        parts.append({name: column[at] for name, column in columns.items()})
        names += [name] * len(at)
    if not parts:
        columns = shown_sums(work, path, paths, only_worked=True)
        columns["path"] = np.arange(paths)
        return {name: column[:0] for name, column in columns.items()}, strings([])
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}, strings(
        names
    )


def profile_columns(by: By | None) -> Schema:
    """The columns of a table whose paths are told apart by something."""
    columns = dict(PROFILE_COLUMNS)
    return {"path": columns.pop("path"), **({by: "string"} if by else {}), **columns}


def run_ranges(run: Run, profile: Profile) -> RunRanges:
    """The ranges of a run's complete images.

    Images beyond those that `run.json` counts as completed are left out: the one during which
    memory ran out is not complete.

    Raises:
        ProfileError: the profile of an `ok` run does not hold what was measured.
    """
    from .kernel_table import run_kernels
    from .run_coverage import run_coverage
    from .run_work import check_kernels, check_ranges, work_of_run

    of_run = work_of_run(run, profile)
    check_ranges(of_run)
    table, kernels = _run_table(of_run), run_kernels(of_run)
    if run.clock == "host":
        return RunRanges(table, None, kernels)
    images = table[(table["phase"] == "measure") & (table["path"] == IMAGE)]
    check_kernels(of_run, int(images["kernels"].sum()))
    return RunRanges(table, run_coverage(of_run), kernels)


def _run_table(of_run: RunWork) -> pd.DataFrame:
    from .run_work import PHASES

    run = of_run.run
    completed = np.zeros(len(of_run.ranges), np.bool_)
    for name in PHASES:
        completed |= (of_run.phase == name) & (of_run.image < run.images[name])
    rows = _each_range(of_run.work).assign(
        phase=of_run.phase,
        image_index=of_run.image,
        path=of_run.path,
        name=of_run.ranges.name[:],
        depth=of_run.depth,
        start_ns=of_run.ranges.start_ns,
    )
    at = np.flatnonzero(completed)
    table = rows.iloc[at[np.lexsort((of_run.depth[at], of_run.ranges.start_ns[at]))]]
    table = table.reset_index(drop=True)
    table["call"] = table.groupby(["phase", "image_index", "path"]).cumcount()
    return _typed(table, RANGE_COLUMNS, run.clock == "gpu")


def _each_range(work: ProfileWork) -> pd.DataFrame:
    """A row per range, in the order of the profile's."""
    import pandas as pd

    ranges, gpu = work.profile.ranges, work.kinds["kernels"].inclusive
    columns = {
        "host_ns": ranges.end_ns - ranges.start_ns,
        "kernels": gpu.intervals,
        "kernel_sum_ns": gpu.total_ns,
        "busy_ns": gpu.busy_ns,
        "span_ns": gpu.span_ns,
    }
    return pd.DataFrame(_in_ms(columns))


def _in_ms(columns: Columns) -> Columns:
    """The same with columns in ms in place of those in ns."""
    found = {}
    for name, column in columns.items():
        in_ms = name.endswith("_ns")
        found[f"{name.removesuffix('_ns')}_ms" if in_ms else name] = (
            column / NS_PER_MS if in_ms else column
        )
    return found


def _typed(table: pd.DataFrame, schema: Schema, has_kernels: bool) -> pd.DataFrame:
    """The columns of a schema; null is the span without kernels, and all of it if unknown."""
    import pandas as pd

    table.loc[table["kernels"] == 0, "span_ms"] = np.nan
    table = table[list(schema)].astype(dict(schema))
    if not has_kernels:
        table[[column for column in KERNEL_FIGURES if column in schema]] = pd.NA
        table = table.astype(dict(schema))
    return table
