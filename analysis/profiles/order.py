"""The rows of a profile's tables in another order, or only the first of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pandas as pd

from adscale.errors import ArgumentError

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
    tables: Mapping[str, pd.DataFrame], sort: str | None, top: int | None
) -> tuple[dict[str, pd.DataFrame], str | None]:
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
    time = "kernel_sum_ms" if (ranges["kernel_sum_ms"] > 0).any() else "host_ms"
    every = [column for table in tables.values() for column in table.columns]
    by = time if sort is None else column_named(sort, every, "--sort")
    if by not in ranges.columns:
        return {
            name: _sorted(table, by, top) if by in table.columns else table
            for name, table in tables.items()
        }, by
    first = _sorted(ranges, by, top)
    rank = {path: at for at, path in reversed(list(enumerate(first["path"].tolist())))}
    found = {"ranges": first}
    for name, table in tables.items():
        if name != "ranges":
            kept = table[table["path"].isin(rank)]
            order = kept["path"].map(rank).astype("int64").sort_values(kind="stable").index
            found[name] = kept.loc[order].reset_index(drop=True)
    return found, by


def _sorted(table: pd.DataFrame, by: str, top: int | None) -> pd.DataFrame:
    """The rows by a column: numbers from the largest, texts from A; nulls last."""
    is_text = not pd.api.types.is_numeric_dtype(table[by])
    rows = table.sort_values(by, ascending=is_text, kind="stable", na_position="last")
    return (rows if top is None else rows.head(top)).reset_index(drop=True)
