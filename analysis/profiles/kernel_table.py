"""Which kernels took the time of each path: the columns are defined in docs/attribution.md."""

from __future__ import annotations

import numpy as np
import pandas as pd

from adscale.names import IMAGE

from ..attribution.attribute import Attribution
from ..attribution.kernel_names import kernel_statistics
from ..attribution.range_tree import PathTree
from ..nsys.records import Int64s, Profile, Ranges
from ..runs.record import Run
from ..tables import Schema
from .layout import Places
from .work import NS_PER_MS, NS_PER_US, SEPARATOR, ProfileWork

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
"""Columns of the table."""


def kernel_table(work: ProfileWork, most: int | None) -> pd.DataFrame:
    """The kernels of each path by name, those with the largest sums first.

    Args:
        work: of the profile.
        most: names per path; None for all.

    Returns:
        Rows of `KERNEL_COLUMNS`, the paths in the order in which they first occur.
    """
    profile = work.profile
    found = kernel_statistics(work.kinds["kernels"], profile.calls, profile.kernels, work.paths)
    ids = profile.kernels.name_id.distinct.tolist()
    names = np.array([profile.kernel_names[name_id] for name_id in ids], dtype=object)
    texts = np.array(work.paths.texts(SEPARATOR), dtype=object)
    table = pd.DataFrame(
        {
            "rank": _first_ranks(work)[found.path],
            "path": texts[found.path],
            "kernel": names[found.name],
            "kernels": found.kernels,
            "kernel_sum_ms": found.total_ns / NS_PER_MS,
            "share": 0.0,
            "mean_us": found.total_ns / found.kernels / NS_PER_US,
            "median_us": found.median_ns / NS_PER_US,
            "min_us": found.min_ns / NS_PER_US,
            "max_us": found.max_ns / NS_PER_US,
        }
    )
    whole = table.groupby("rank")["kernel_sum_ms"].transform("sum")
    table["share"] = (table["kernel_sum_ms"] / whole).where(whole > 0)
    table = table.sort_values(
        ["rank", "kernel_sum_ms", "kernel"], ascending=[True, False, True], kind="stable"
    )
    if most is not None:
        table = table.groupby("rank", sort=False).head(most)
    return table[list(KERNEL_COLUMNS)].reset_index(drop=True).astype(dict(KERNEL_COLUMNS))


def _first_ranks(work: ProfileWork) -> Int64s:
    """Rank of the first range of each path."""
    ranks = np.full(len(work.paths.parent), len(work.paths.code), np.int64)
    np.minimum.at(ranks, work.paths.code, work.nesting.rank[:-1])
    return ranks


RUN_KERNEL_COLUMNS: Schema = {
    "submodule": "string",
    "kernel": "string",
    "launches": "Int64",
    "total_ms": "Float64",
    "mean_us": "Float64",
    "max_us": "Float64",
}
"""Columns of `kernels.parquet`."""


def run_kernels(
    run: Run, profile: Profile, ranges: Ranges, places: Places, attribution: Attribution
) -> pd.DataFrame:
    """The kernels of each submodule by their names.

    Args:
        run: what was measured.
        profile: its profile.
        ranges: its ranges in our domain.
        places: where they stand.
        attribution: of the profile's kernels to these ranges.

    Returns:
        Rows of `RUN_KERNEL_COLUMNS`.
    """
    if run.clock == "host":
        return pd.DataFrame(columns=list(RUN_KERNEL_COLUMNS)).astype(dict(RUN_KERNEL_COLUMNS))
    code = _submodule_codes(run, ranges, places)
    paths = PathTree(code, np.empty(0, np.int64), np.empty(0, object))
    found = kernel_statistics(attribution, profile.calls, profile.kernels, paths)
    names = np.array(
        [profile.kernel_names[name] for name in profile.kernels.name_id.distinct.tolist()], object
    )
    table = pd.DataFrame(
        {
            "place": found.path,
            "kernel": names[found.name],
            "launches": found.kernels,
            "total_ms": found.total_ns / NS_PER_MS,
            "mean_us": found.total_ns / found.kernels / NS_PER_US,
            "max_us": found.max_ns / NS_PER_US,
        }
    )
    table = table[table["place"] < len(run.submodules)]
    table["submodule"] = np.array(run.submodules, object)[table["place"]]
    table = table.sort_values(["place", "total_ms", "kernel"], ascending=[True, False, True])
    columns = table[list(RUN_KERNEL_COLUMNS)].reset_index(drop=True)
    return columns.astype(dict(RUN_KERNEL_COLUMNS))


def _submodule_codes(run: Run, ranges: Ranges, places: Places) -> Int64s:
    """Of ranges that are a submodule in a completed measured image its place, else one more."""
    phase = np.append(ranges.name, "")[places.phase]
    measured = (phase == "measure") & (places.depth == 1) & (places.image < run.measured_images)
    code = np.full(len(ranges), len(run.submodules), np.int64)
    for place, submodule in enumerate(run.submodules):
        code[measured & (places.path == f"{IMAGE}/{submodule}")] = place
    return code
