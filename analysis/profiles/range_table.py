"""The ranges of any profile, added up by their path: what `attribute` shows.

The columns are defined in docs/attribution.md. GPU times are null where the profile holds no table
of kernels, spans and shares where no kernel was launched.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ..attribution.attribute import Attribution, attribute
from ..nsys.records import THREAD_BITS, Bools, Profile, Ranges
from ..runs.record import Run
from ..tables import Schema
from .coverage import RunCoverage, run_coverage
from .kernel_table import run_kernels
from .layout import PHASES, Places, check_kernels, check_ranges, own_ranges, place_ranges
from .work import KERNEL_TABLE, NS_PER_MS, SEPARATOR, By, ProfileWork, work_by

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
    "memsets": "Int64",
    "memset_sum_ms": "Float64",
    "graphs": "Int64",
    "graph_sum_ms": "Float64",
    "projected_ms": "Float64",
}
"""Columns of the table; with `by`, that column stands behind `path`."""

_KERNEL_COLUMNS = (
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
_MS_COLUMNS = tuple(name for name in PROFILE_COLUMNS if name.endswith("_ms"))
_OTHER_KINDS = {"copies": "copy", "memsets": "memset", "graphs": "graph"}


class _Each(NamedTuple):
    """A table with a row per range, and what its rows are to be grouped by."""

    rows: pd.DataFrame
    keys: list[str]


def profile_table(work: ProfileWork, by: By | None = None) -> pd.DataFrame:
    """Add up the ranges of a profile by their path.

    Args:
        work: of the profile; read with its streams for `by` device or stream.
        by: what to tell apart besides.

    Returns:
        Rows of `PROFILE_COLUMNS` in the order in which the paths first occur.
    """
    if by in {"device", "stream"}:
        # a row only where there was work: no range is "on" a stream
        parts = [_each(part, by, label, only_worked=True) for label, part in _parts(work, by)]
        rows = pd.concat([part.rows for part in parts]) if parts else _each(work, by, "").rows[:0]
        each = _Each(rows.sort_values("rank", kind="stable"), ["path", by])
    else:
        each = _each(work, by, _labels(work.profile.ranges, by))
    table = _added_up(each, work)
    schema = profile_columns(by)
    for column in PROFILE_COLUMNS:
        if column in _MS_COLUMNS:
            table[column] = table[column] / NS_PER_MS
    table.loc[table["kernels"] == 0, "span_ms"] = np.nan
    worked = table["kernels"] + table["copies"] + table["memsets"]
    table.loc[worked == 0, "projected_ms"] = np.nan
    table = table[list(schema)].astype(dict(schema))
    if KERNEL_TABLE not in work.profile.tables:
        table[list(_KERNEL_COLUMNS)] = pd.NA
        table = table.astype(dict(schema))
    return table


def profile_columns(by: By | None) -> Schema:
    """The columns of a table whose paths are told apart by something."""
    columns = dict(PROFILE_COLUMNS)
    return {"path": columns.pop("path"), **({by: "string"} if by else {}), **columns}


def _parts(work: ProfileWork, by: By | None) -> list[tuple[str, ProfileWork]]:
    return list(work_by(work, "device" if by == "device" else "stream").items())


def _labels(ranges: Ranges, by: By | None) -> object:
    if by == "thread":
        pid, tid = ranges.thread >> THREAD_BITS & 0xFFFFFF, ranges.thread & 0xFFFFFF
        return np.char.add(np.char.add(pid.astype(str), "/"), tid.astype(str))
    return ranges.category if by == "category" else ""


def _each(work: ProfileWork, by: By | None, label: object, *, only_worked: bool = False) -> _Each:
    """A row per range, times in ns; columns in ms are still in ns."""
    ranges, nesting = work.profile.ranges, work.nesting
    kernels = work.kinds["kernels"]
    gpu, projected = kernels.inclusive, work.projected()
    some = gpu.intervals > 0
    share = np.full(len(ranges), np.nan)
    has_span = some & (gpu.span_ns > 0)
    share[has_span] = 1 - gpu.busy_ns[has_span] / gpu.span_ns[has_span]
    columns: dict[str, Any] = {
        "path": work.paths.code,
        "rank": nesting.rank[:-1],
        "host_ms": ranges.end_ns - ranges.start_ns,
        "kernels": gpu.intervals,
        "kernel_sum_ms": gpu.total_ns,
        "exclusive_ms": kernels.exclusive.total_ns,
        "busy_ms": gpu.busy_ns,
        "span_ms": gpu.span_ns,
        "launch_bound_share": share,
        "projected_ms": projected.span_ns,
    }
    if by:
        columns[by] = label
    worked: Bools = some.copy()
    for kind, word in _OTHER_KINDS.items():
        found = work.kinds[kind].inclusive  # type: ignore[index]
        columns[kind] = found.intervals
        columns[f"{word}_sum_ms"] = found.total_ns
        worked |= found.intervals > 0
    rows = pd.DataFrame(columns).iloc[nesting.order]
    if only_worked:
        rows = rows[worked[nesting.order]]
    return _Each(rows, ["path", by] if by else ["path"])


def _added_up(each: _Each, work: ProfileWork) -> pd.DataFrame:
    groups = each.rows.groupby(each.keys, sort=False)
    sums = [
        c for c in PROFILE_COLUMNS if c in each.rows and c not in {"path", "launch_bound_share"}
    ]
    table = groups[sums].sum()
    table["calls"] = groups.size()
    table["launch_bound_share"] = groups["launch_bound_share"].mean()
    table["kernels_per_call"] = table["kernels"] / table["calls"]
    busy = groups["busy_ms"]
    quantiles: dict[str, Callable[[], pd.Series[float]]] = {
        "call_busy_median_ms": busy.median,
        "call_busy_p95_ms": lambda: busy.quantile(0.95),
        "call_busy_max_ms": busy.max,
    }
    for column, quantile in quantiles.items():
        table[column] = quantile()
    table = table.reset_index()
    texts = np.array(work.paths.texts(SEPARATOR), dtype=object)
    table["path"] = texts[table["path"].to_numpy(np.int64)]
    return table


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
"""Columns of `ranges.parquet`."""

_GPU_COLUMNS = ("kernels", "kernel_sum_ms", "busy_ms", "span_ms")


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


def run_ranges(run: Run, profile: Profile) -> RunRanges:
    """The ranges of a run's complete images.

    Images beyond those that `run.json` counts as completed are left out: the one during which
    memory ran out is not complete.

    Raises:
        ProfileError: the profile of an `ok` run does not hold what was measured.
    """
    ranges = own_ranges(profile.ranges)
    attribution = attribute(ranges, profile.calls, profile.kernels)
    places = place_ranges(run, ranges, attribution.nesting)
    check_ranges(run, profile, ranges, places)
    table = _run_table(run, ranges, places, attribution)
    kernels = run_kernels(run, profile, ranges, places, attribution)
    if run.clock == "host":
        table[list(_GPU_COLUMNS)] = pd.NA
        return RunRanges(table.astype(dict(RANGE_COLUMNS)), None, kernels)
    images = table[(table["phase"] == "measure") & (table["path"] == "image")]
    check_kernels(run, profile, int(images["kernels"].sum()))
    return RunRanges(table, run_coverage(profile, ranges, places, attribution), kernels)


def _run_table(run: Run, ranges: Ranges, places: Places, attribution: Attribution) -> pd.DataFrame:
    phase = np.append(ranges.name, "")[places.phase]
    completed = np.zeros(len(ranges), np.bool_)
    for name in PHASES:
        completed |= (phase == name) & (places.image < run.images[name])
    at = np.flatnonzero(completed & (places.depth >= 0))
    at = at[np.lexsort((places.depth[at], ranges.start_ns[at]))]
    gpu = attribution.inclusive
    table = pd.DataFrame(
        {
            "phase": phase[at],
            "image_index": places.image[at],
            "path": places.path[at],
            "name": ranges.name[at],
            "depth": places.depth[at],
            "start_ns": ranges.start_ns[at],
            "host_ms": (ranges.end_ns - ranges.start_ns)[at] / NS_PER_MS,
            "kernels": gpu.intervals[at],
            "kernel_sum_ms": gpu.total_ns[at] / NS_PER_MS,
            "busy_ms": gpu.busy_ns[at] / NS_PER_MS,
            "span_ms": gpu.span_ns[at] / NS_PER_MS,
        }
    )
    table["call"] = table.groupby(["phase", "image_index", "path"]).cumcount()
    table = table[list(RANGE_COLUMNS)].astype(dict(RANGE_COLUMNS))
    table.loc[table["kernels"] == 0, "span_ms"] = pd.NA
    return table
