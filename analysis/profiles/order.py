"""The rows of a profile's tables in another order, or only the first of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pyarrow as pa

from adscale.errors import ArgumentError

from ..arrow import reals, rows_at
from .cross_thread import CROSS

_UNITS = ("_ms", "_us", "_bytes", "_j", "_w")


def column_named(text: str, columns: Iterable[str], option: str) -> str:
    """The column that a text means: its name, or its name without a unit where only one has it.

    Args:
        text: such as `busy_ms` or `busy`.
        columns: names to choose from.
        option: whose argument it is.

    Raises:
        ArgumentError: it means none of them, or several.
    """
    names = list(dict.fromkeys(columns))
    if text in names:
        return text
    found = [name for name in names if name in {f"{text}{unit}" for unit in _UNITS}]
    if len(found) != 1:
        what = f"{text!r} is {'more than one' if found else 'no'} column"
        raise ArgumentError(option, what, f"choose from: {', '.join(found or names)}")
    return found[0]


def ordered(
    tables: Mapping[str, pa.Table], sort: str | None, top: int | None
) -> tuple[dict[str, pa.Table], str | None]:
    """The tables in the order of a column, the largest first, and of these the first rows.

    A column of the ranges orders these, and the rows of another table follow their ranges. A column
    that only the other table has orders that table, and leaves the ranges as they are.

    Args:
        tables: `ranges`, and another one with a column `path` where it was asked for.
        sort: the column; None with `top` is the time of kernels, or of the host without kernels.
        top: rows that are kept; None: all.

    Returns:
        The tables, and the column that they are ordered by; None: as the paths first occur.

    Raises:
        ArgumentError: no table has such a column.
    """
    if sort is None and top is None:
        return dict(tables), None
    ranges = tables["ranges"]
    time = main_time(ranges)
    every = [column for table in tables.values() for column in table.column_names]
    by = time if sort is None else column_named(sort, every, "--sort")
    if by not in ranges.column_names:
        return {
            name: _sorted(table, by, top) if by in table.column_names else table
            for name, table in tables.items()
        }, by
    first = _sorted(ranges, by, top)
    rank = {path: at for at, path in reversed(list(enumerate(first["path"].to_pylist())))}
    found = {"ranges": first}
    for name, table in tables.items():
        if name != "ranges":
            found[name] = in_order_of(table, rank)
    return found, by


def in_order_of(table: pa.Table, rank: Mapping[str, int]) -> pa.Table:
    """The rows of some paths, in an order; behind them ranges that are in no path."""
    ranks = np.array([rank.get(path, -1) for path in table["path"].to_pylist()], np.int64)
    if "kind" in table.column_names:
        crosses = np.array([kind == CROSS for kind in table["kind"].to_pylist()], np.bool_)
        ranks[crosses] = len(rank)
    order = np.argsort(ranks, kind="stable")
    return rows_at(table, order[ranks[order] >= 0])


def main_time(ranges: pa.Table) -> str:
    """The column of the times that matter: of kernels, or of the host where there are none."""
    return "kernel_sum_ms" if (reals(ranges, "kernel_sum_ms") > 0).any() else "host_ms"


def _sorted(table: pa.Table, by: str, top: int | None) -> pa.Table:
    """The rows by a column: numbers from the largest, texts from A; nulls last."""
    order = "ascending" if pa.types.is_string(table.schema.field(by).type) else "descending"
    rows = table.sort_by([(by, order)])
    return rows if top is None else rows.slice(0, top)
