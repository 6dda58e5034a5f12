"""Which kernels took the time of each path: the columns are defined in docs/attribution.md."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..attribution.kernel_names import kernel_statistics
from ..nsys.records import Int64s
from ..tables import Schema
from .profile_work import ProfileWork
from .range_table import NS_PER_MS, SEPARATOR

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

_NS_PER_US = 1e3


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
            "mean_us": found.total_ns / found.kernels / _NS_PER_US,
            "median_us": found.median_ns / _NS_PER_US,
            "min_us": found.min_ns / _NS_PER_US,
            "max_us": found.max_ns / _NS_PER_US,
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
