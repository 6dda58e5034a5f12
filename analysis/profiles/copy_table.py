"""Memory copies in the ranges of a profile by their direction, with bytes and rates."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from adscale.tables import Schema

from ..arrow import arrow_table
from ..attribution.sums import inside_sums
from ..nsys.records import Int64s, Operations
from .path_sums import Columns, sizes_of, summed
from .paths import path_texts
from .work import NS_PER_MS, ProfileWork

COPY_COLUMNS: Schema = {
    "path": "string",
    "direction": "string",
    "copies": "Int64",
    "copy_sum_ms": "Float64",
    "copy_bytes": "Int64",
    "gb_per_s": "Float64",
}
"""Columns of the table of copies by their direction, defined in docs/attribution.md."""

DIRECTIONS = {
    1: "host to device",
    2: "device to host",
    3: "host to array",
    4: "array to host",
    5: "array to array",
    6: "array to device",
    7: "device to array",
    8: "device to device",
    9: "host to host",
    10: "device to other device",
}
"""By `copyKind` (CUpti_ActivityMemcpyKind); others are unknown."""

UNKNOWN_DIRECTION = "unknown"


def copy_table(work: ProfileWork, levels: int | None = None) -> pa.Table:
    """The copies inside the ranges of each path by their direction, most bytes first.

    Args:
        work: of the profile.
        levels: leave out paths of more names; None for none.

    Returns:
        Rows of `COPY_COLUMNS`, the paths in the order in which they first occur. The rate is that
        of the copies themselves: their bytes over the sum of their durations.
    """
    named = _by_direction(work.kinds["copies"].operations)
    parts = [
        {**_of_direction(work, at), "direction": np.full(len(work.paths.parent), name, object)}
        for name, at in named
    ]
    if not parts:
        return arrow_table({name: [] for name in COPY_COLUMNS}, COPY_COLUMNS)
    rows = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    keep = rows["copies"] > 0
    if levels is not None:
        keep &= work.paths.depths()[rows["path"]] < levels
    at = np.flatnonzero(keep)
    direction = np.unique(rows["direction"].astype(str), return_inverse=True)[1]
    keys = (direction, -rows["copy_sum_ns"], -rows["copy_bytes"], rows["rank"])
    at = at[np.lexsort(tuple(key[at] for key in keys))]
    rows = {name: column[at] for name, column in rows.items()}
    known = rows["unknown"] == 0
    with np.errstate(invalid="ignore", divide="ignore"):
        # bytes per nanosecond are gigabytes per second
        rate = np.where(rows["copy_sum_ns"] > 0, rows["copy_bytes"] / rows["copy_sum_ns"], np.nan)
    columns = {
        **rows,
        "path": path_texts(work.paths, levels)[rows["path"]],
        "copy_sum_ms": rows["copy_sum_ns"] / NS_PER_MS,
        "copy_bytes": np.where(known, rows["copy_bytes"], np.nan),
        "gb_per_s": np.where(known, rate, np.nan),
    }
    return arrow_table(columns, COPY_COLUMNS)


def _by_direction(copies: Operations) -> list[tuple[str, Int64s]]:
    """Directions that occur, and the positions of their copies."""
    if copies.copy_kind is None:
        return [(UNKNOWN_DIRECTION, np.arange(len(copies)))]
    kinds = copies.copy_kind[:]
    named = [(name, np.flatnonzero(kinds == kind)) for kind, name in DIRECTIONS.items()]
    named.append((UNKNOWN_DIRECTION, np.flatnonzero(~np.isin(kinds, list(DIRECTIONS)))))
    return [(name, at) for name, at in named if len(at)]


def _of_direction(work: ProfileWork, at: Int64s) -> Columns:
    """Sums over the shown ranges of each path of some copies, and the path's first place."""
    copies, launch = work.kinds["copies"].operations.select(at), work.kinds["copies"].launch[at]
    sizes, is_known = sizes_of(copies)
    numbers = {
        "copies": np.ones(len(at), np.int64),
        "copy_sum_ns": copies.end_ns - copies.start_ns,
        "copy_bytes": sizes,
        "unknown": (~is_known).astype(np.int64),
    }
    paths = len(work.paths.parent)
    order = work.nesting.order
    path = np.where(work.shown, work.paths.code, paths)[order]  # one more for those without a row
    rank = np.full(paths + 1, len(path), np.int64)
    rank[path[::-1]] = np.arange(len(path))[::-1]  # of one path the first one is written last
    sums = {}
    for name, values in numbers.items():
        place, found = inside_sums(work.nesting, work.profile.calls, launch, values)
        sums[name] = summed(path[place], found, paths + 1)[:-1]
    return {**sums, "path": np.arange(paths), "rank": rank[:-1]}
