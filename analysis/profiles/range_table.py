"""The ranges of any profile, added up by their path; and each range of a run.

GPU times are null where the profile does not know the kernels or was recorded on a CPU device,
spans and shares where no kernel was launched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from adscale.names import IMAGE
from adscale.tables import Schema

from ..nsys.records import THREAD_BITS, Profile, Ranges, Strings
from .copy_table import range_bytes
from .coverage import RunCoverage, run_coverage
from .kernel_table import run_kernels
from .paths import path_texts
from .run_work import PHASES, RunWork, check_kernels, check_ranges, work_of_run
from .work import NS_PER_MS, By, Kind, ProfileWork, work_by

if TYPE_CHECKING:  # importing the models of a record takes as long as a small profile
    from .record import Run

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

_OTHER_KINDS: dict[Kind, str] = {"copies": "copy", "memsets": "memset", "graphs": "graph"}
_BYTES = ("copy_bytes", "memset_bytes")


class RunRanges(NamedTuple):
    """The ranges of a run, its kernels, and how much of their time the ranges account for.

    Attributes:
        table: rows of `RANGE_COLUMNS`, in the order of their starts.
        coverage: None on a CPU device.
        kernels: rows of `analysis.profiles.kernel_table.RUN_KERNEL_COLUMNS`.
    """

    table: pd.DataFrame
    coverage: RunCoverage | None
    kernels: pd.DataFrame


def profile_table(
    work: ProfileWork, by: By | None = None, levels: int | None = None
) -> pd.DataFrame:
    """Add up the ranges of a profile by their path.

    Args:
        work: of the profile; read with its streams for `by` device or stream.
        by: what to tell apart besides.
        levels: leave out paths of more names; None for none.

    Returns:
        Rows of `PROFILE_COLUMNS` in the order in which the paths first occur.
    """
    if by in ("device", "stream"):
        # a row only where there was work: no range is "on" a stream
        parts = [
            _each_path(part, only_worked=True).assign(**{by: label})
            for label, part in work_by(work, by).items()
        ]
        rows = pd.concat(parts) if parts else _each_path(work)[:0].assign(**{by: ""})
        rows = rows.sort_values("rank", kind="stable")
    else:
        rows = _each_path(work)
        if by:
            rows[by] = _labels(work.profile.ranges, by)[rows.index]
    if levels is not None:
        rows = rows[work.paths.depths()[rows["path"]] < levels]
    table = _in_ms(_added_up(rows, ["path", by] if by else ["path"]))
    table["path"] = path_texts(work.paths, levels)[table["path"]]
    worked = table["kernels"] + table["copies"] + table["memsets"]
    table.loc[worked == 0, "projected_ms"] = np.nan
    return _typed(table, profile_columns(by), work.profile.capture.knows_kernels)


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
    of_run = work_of_run(run, profile)
    check_ranges(of_run)
    table, kernels = _run_table(of_run), run_kernels(of_run)
    if run.clock == "host":
        return RunRanges(table, None, kernels)
    images = table[(table["phase"] == "measure") & (table["path"] == IMAGE)]
    check_kernels(of_run, int(images["kernels"].sum()))
    return RunRanges(table, run_coverage(of_run), kernels)


def _run_table(of_run: RunWork) -> pd.DataFrame:
    run = of_run.run
    completed = np.zeros(len(of_run.ranges), np.bool_)
    for name in PHASES:
        completed |= (of_run.phase == name) & (of_run.image < run.images[name])
    rows = _in_ms(_each_range(of_run.work)).assign(
        phase=of_run.phase,
        image_index=of_run.image,
        path=of_run.path,
        name=of_run.ranges.name,
        depth=of_run.depth,
        start_ns=of_run.ranges.start_ns,
    )
    at = np.flatnonzero(completed)
    table = rows.iloc[at[np.lexsort((of_run.depth[at], of_run.ranges.start_ns[at]))]]
    table = table.reset_index(drop=True)
    table["call"] = table.groupby(["phase", "image_index", "path"]).cumcount()
    return _typed(table, RANGE_COLUMNS, run.clock == "gpu")


def _each_range(work: ProfileWork) -> pd.DataFrame:
    """A row per range, in the order of the profile's; times in ns."""
    gpu = work.kinds["kernels"].inclusive
    return pd.DataFrame(
        {
            "host_ns": work.host_ns,
            "kernels": gpu.intervals,
            "kernel_sum_ns": gpu.total_ns,
            "busy_ns": gpu.busy_ns,
            "span_ns": gpu.span_ns,
        }
    )


def _each_path(work: ProfileWork, *, only_worked: bool = False) -> pd.DataFrame:
    """A row per range with its path and all kinds of work, outer before inner; times in ns."""
    rows = _each_range(work)
    rows["path"], rows["rank"] = work.paths.code, work.nesting.rank[:-1]
    rows["exclusive_ns"] = work.kinds["kernels"].exclusive.total_ns
    busy_ns, span_ns = rows["busy_ns"].to_numpy(), rows["span_ns"].to_numpy()
    share = np.full(len(rows), np.nan)
    has_span = (rows["kernels"].to_numpy() > 0) & (span_ns > 0)
    share[has_span] = 1 - busy_ns[has_span] / span_ns[has_span]
    rows["launch_bound_share"] = share
    for kind, word in _OTHER_KINDS.items():
        found = work.kinds[kind].inclusive
        rows[kind], rows[f"{word}_sum_ns"] = found.intervals, found.total_ns
    for kind in ("copies", "memsets"):
        moved, is_known = range_bytes(work, kind)
        name = f"{_OTHER_KINDS[kind]}_bytes"
        rows[name], rows[f"{name}_unknown"] = moved, ~is_known
    rows["projected_ns"] = work.projected().span_ns
    at = work.nesting.order[work.shown[work.nesting.order]]
    if only_worked:
        at = at[(rows[["kernels", *_OTHER_KINDS]] > 0).any(axis=1).to_numpy()[at]]
    return rows.iloc[at]


def _added_up(rows: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    groups = rows.groupby(keys, sort=False)
    left_out = {"rank", "launch_bound_share", *keys}
    table = groups[[column for column in rows if column not in left_out]].sum()
    for name in _BYTES:
        table[name] = table[name].where(table.pop(f"{name}_unknown") == 0)
    table["calls"] = groups.size()
    table["launch_bound_share"] = groups["launch_bound_share"].mean()
    table["kernels_per_call"] = table["kernels"] / table["calls"]
    busy_ns = groups["busy_ns"]
    table["call_busy_median_ns"] = busy_ns.median()
    table["call_busy_p95_ns"] = busy_ns.quantile(0.95)
    table["call_busy_max_ns"] = busy_ns.max()
    return table.reset_index()


def _labels(ranges: Ranges, by: By) -> Strings:
    if by == "category":
        return ranges.category
    pid, tid = ranges.thread >> THREAD_BITS & 0xFFFFFF, ranges.thread & 0xFFFFFF
    return np.char.add(np.char.add(pid.astype(str), "/"), tid.astype(str)).astype(object)


def _in_ms(table: pd.DataFrame) -> pd.DataFrame:
    """The same with columns in ms in place of those in ns."""
    names = [str(name) for name in table if str(name).endswith("_ns")]
    in_ms = {f"{name.removesuffix('_ns')}_ms": table[name] / NS_PER_MS for name in names}
    return table.drop(columns=names).assign(**in_ms)


def _typed(table: pd.DataFrame, schema: Schema, has_kernels: bool) -> pd.DataFrame:
    """The columns of a schema; null is the span without kernels, and all of it if unknown."""
    table.loc[table["kernels"] == 0, "span_ms"] = np.nan
    table = table[list(schema)].astype(dict(schema))
    if not has_kernels:
        table[[column for column in KERNEL_FIGURES if column in schema]] = pd.NA
        table = table.astype(dict(schema))
    return table
