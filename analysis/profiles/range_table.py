"""The ranges of any profile, added up by their path: what `attribute` shows.

The columns are defined in docs/attribution.md. GPU times are null where the profile holds no table
of kernels, spans and shares where no kernel was launched.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ..nsys.records import THREAD_BITS, Bools, Ranges
from ..tables import Schema
from .profile_work import By, ProfileWork, work_by

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

SEPARATOR = " > "
NS_PER_MS = 1e6
KERNEL_TABLE = "CUPTI_ACTIVITY_KIND_KERNEL"

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
