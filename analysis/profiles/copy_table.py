"""Memory copies in the ranges of a profile by their direction, with bytes and rates."""

from __future__ import annotations

import numpy as np
import pandas as pd

from adscale.tables import Schema

from ..attribution.sums import inside_sums
from ..nsys.records import Int64s, Operations
from .path_sums import sizes_of, summed
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


def copy_table(work: ProfileWork, levels: int | None = None) -> pd.DataFrame:
    """The copies inside the ranges of each path by their direction, most bytes first.

    Args:
        work: of the profile.
        levels: leave out paths of more names; None for none.

    Returns:
        Rows of `COPY_COLUMNS`, the paths in the order in which they first occur. The rate is that
        of the copies themselves: their bytes over the sum of their durations.
    """
    parts = [
        _of_direction(work, at).assign(direction=direction)
        for direction, at in _by_direction(work.kinds["copies"].operations)
    ]
    rows = pd.concat(parts) if parts else _of_direction(work, np.empty(0, np.int64))
    rows = rows.assign(direction=rows.get("direction", ""))
    rows = rows[rows["copies"] > 0]
    if levels is not None:
        rows = rows[work.paths.depths()[rows["path"]] < levels]
    by = ["rank", "copy_bytes", "copy_sum_ns", "direction"]
    rows = rows.sort_values(by, ascending=[True, False, False, True], kind="stable")
    known = rows["unknown"] == 0
    return (
        pd.DataFrame(
            {
                "path": path_texts(work.paths, levels)[rows["path"]],
                "direction": rows["direction"],
                "copies": rows["copies"],
                "copy_sum_ms": rows["copy_sum_ns"] / NS_PER_MS,
                "copy_bytes": rows["copy_bytes"].where(known),
                # bytes per nanosecond are gigabytes per second
                "gb_per_s": (rows["copy_bytes"] / rows["copy_sum_ns"]).where(
                    known & (rows["copy_sum_ns"] > 0)
                ),
            }
        )
        .reset_index(drop=True)
        .astype(dict(COPY_COLUMNS))
    )


def _by_direction(copies: Operations) -> list[tuple[str, Int64s]]:
    """Directions that occur, and the positions of their copies."""
    if copies.copy_kind is None:
        return [(UNKNOWN_DIRECTION, np.arange(len(copies)))]
    kinds = copies.copy_kind[:]
    named = [(name, np.flatnonzero(kinds == kind)) for kind, name in DIRECTIONS.items()]
    named.append((UNKNOWN_DIRECTION, np.flatnonzero(~np.isin(kinds, list(DIRECTIONS)))))
    return [(name, at) for name, at in named if len(at)]


def _of_direction(work: ProfileWork, at: Int64s) -> pd.DataFrame:
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
    return pd.DataFrame({**sums, "path": np.arange(paths), "rank": rank[:-1]})
