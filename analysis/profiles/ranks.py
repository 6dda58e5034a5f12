"""Several profiles at once, such as those of the ranks of a program: one table, and the spread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from adscale.tables import Schema

from ..arrow import arrow_table, reals, rows_at, with_columns
from .coverage import ProfileCoverage
from .order import column_named, in_order_of, main_time
from .text import print_profile, print_table, reasons_of

Tables = dict[str, pa.Table]

SPREAD_FIGURES = (
    "calls", "host_ms", "kernels", "kernel_sum_ms", "exclusive_ms", "busy_ms", "span_ms", "copies",
    "copy_sum_ms", "copy_bytes", "memsets", "memset_sum_ms", "graphs", "graph_sum_ms",
    "projected_ms",
)  # fmt: skip
"""Columns of a table of ranges whose spread over the profiles is told."""

SPREAD_COLUMNS: Schema = {
    "path": "string",
    "figure": "string",
    "profiles": "Int64",
    "mean": "Float64",
    "min": "Float64",
    "max": "Float64",
    "imbalance": "Float64",
    "slowest": "string",
}
"""Columns of the spread, a row per range and figure, defined in docs/attribution.md."""

_SPREAD_REASONS = {
    **dict.fromkeys(("mean", "min", "max", "slowest"), "no profile that has the range knows it"),
    "imbalance": "the mean is zero or unknown",
}


class Answer(NamedTuple):
    """What was asked of one of several profiles.

    Attributes:
        name: of the profile.
        tables: `ranges`, and others that were asked for.
        coverage: what is in none of them.
    """

    name: str
    tables: Tables
    coverage: ProfileCoverage


def merged(answers: Sequence[Answer], by: str | None = None) -> Tables:
    """The tables of several profiles as one, with a column `profile` behind `path`; and the spread.

    The rows of a path stand side by side, in the order in which paths first occur, of a path those
    of the first profile first.

    Args:
        answers: of the profiles.
        by: what tells rows of a path apart besides.
    """
    found: Tables = {}
    for name in dict.fromkeys(name for answer in answers for name in answer.tables):
        parts = [
            one.tables[name].add_column(1, "profile", _profile(one.name, len(one.tables[name])))
            for one in answers
            if name in one.tables
        ]
        rows = pa.concat_tables(parts, promote_options="default")
        first = {path: at for at, path in enumerate(dict.fromkeys(rows["path"].to_pylist()))}
        ranks = np.array([first[path] for path in rows["path"].to_pylist()], np.int64)
        found[name] = rows_at(rows, np.argsort(ranks, kind="stable"))
    ranges = found.pop("ranges")
    return {"ranges": ranges, "spread": spread(ranges, by), **found}


def _profile(name: str, rows: int) -> pa.Array:
    return arrow_table({"profile": [name] * rows}, {"profile": "string"})["profile"]


def spread(ranges: pa.Table, by: str | None = None) -> pa.Table:
    """Mean, extremes and the slowest profile of each figure of each range.

    Args:
        ranges: rows of several profiles, `profile` among the columns.
        by: a column that tells rows of a path apart besides.

    Returns:
        Rows of `SPREAD_COLUMNS`, with `by` behind `path`. Profiles without the range do not count.
    """
    keys = [ranges[name].to_pylist() for name in ("path", *([by] if by else []))]
    groups: dict[tuple[str, ...], list[int]] = {}
    for row, key in enumerate(zip(*keys, strict=True)):
        groups.setdefault(key, []).append(row)
    profiles = ranges["profile"].to_pylist()
    values = {figure: reals(ranges, figure) for figure in SPREAD_FIGURES}
    rows: dict[str, list[Any]] = {name: [] for name in (*SPREAD_COLUMNS, *([by] if by else []))}
    for key, at in groups.items():
        for figure in SPREAD_FIGURES:
            known = [one for one in at if not np.isnan(values[figure][one])]
            own = values[figure][known]
            mean = float(own.mean()) if len(own) else np.nan
            rows["path"].append(key[0])
            if by:
                rows[by].append(key[1])
            rows["figure"].append(figure)
            rows["profiles"].append(len(at))
            rows["mean"].append(mean)
            rows["min"].append(own.min() if len(own) else np.nan)
            rows["max"].append(own.max() if len(own) else np.nan)
            rows["imbalance"].append(own.max() / mean - 1 if len(own) and mean > 0 else np.nan)
            rows["slowest"].append(profiles[known[int(own.argmax())]] if len(own) else None)
    columns = dict(SPREAD_COLUMNS)
    kinds: Schema = {"path": columns.pop("path"), **({by: "string"} if by else {}), **columns}
    return arrow_table(rows, kinds)


def ordered_ranks(tables: Tables, sort: str | None, top: int | None) -> tuple[Tables, str | None]:
    """The tables by the mean of a column over the profiles, the largest first, and the first paths.

    Args:
        tables: of `merged`.
        sort: a column of the ranges; None with `top` is the time of kernels, or of the host.
        top: paths that are kept; None: all.

    Returns:
        The tables, and the column that they are ordered by; None: as the paths first occur.

    Raises:
        ArgumentError: the ranges have no such column.
    """
    if sort is None and top is None:
        return tables, None
    ranges = tables["ranges"]
    numeric = [field.name for field in ranges.schema if not pa.types.is_string(field.type)]
    column = main_time(ranges) if sort is None else column_named(sort, numeric, "--sort")
    values: dict[str, list[float]] = {}
    for path, value in zip(ranges["path"].to_pylist(), reals(ranges, column), strict=True):
        values.setdefault(path, []).extend([] if np.isnan(value) else [float(value)])
    mean = {path: sum(own) / len(own) if own else -np.inf for path, own in values.items()}
    paths = sorted(mean, key=lambda path: -mean[path])[:top]
    rank = {path: at for at, path in enumerate(paths)}
    return {name: in_order_of(table, rank) for name, table in tables.items()}, column


class RanksCoverage:
    """The coverage of several profiles: sums, and what is said of each.

    Args:
        answers: of the profiles.
    """

    def __init__(self, answers: Sequence[Answer]) -> None:
        self.of = {answer.name: answer.coverage for answer in answers}
        self._all = list(self.of.values())
        self.question = self._all[0].question

    def reasons(self) -> dict[str, str]:
        """Why a column is null, in any of the profiles."""
        reasons: dict[str, dict[str, None]] = {}
        for one in self._all:
            for name, reason in reasons_of(one).items():
                reasons.setdefault(name, {})[reason] = None
        joined = {name: ", or ".join(parts) for name, parts in reasons.items()}
        return {**joined, **_SPREAD_REASONS}

    def as_dict(self) -> dict[str, Any]:
        """Sums over the profiles, for JSON."""
        sums = {
            name: sum(getattr(one.coverage, name) for one in self._all)
            for name in self._all[0].coverage._fields
        }
        stray_ns = sums["without_launch_ns"] + sums["outside_ns"]
        states = dict.fromkeys(one.capture.cuda for one in self._all)
        return {
            **sums,
            "share": 1.0 - stray_ns / sums["kernel_ns"] if sums["kernel_ns"] else None,
            "cuda": ", ".join(states),
            "warnings": self.warnings(),
        }

    def each(self) -> list[dict[str, Any]]:
        """The coverage of each profile, for JSON."""
        return [{"profile": name, "coverage": one.as_dict()} for name, one in self.of.items()]

    def warnings(self) -> list[str]:
        """What was not recorded as it happened, of each profile."""
        return [f"{name}: {text}" for name, one in self.of.items() for text in one.warnings()]

    def notes(self) -> list[str]:
        """Return notes to a reader of the tables, of each profile."""
        return [f"{name}: {text}" for name, one in self.of.items() for text in one.notes()]


_MOST_SIDE_BY_SIDE = 8
"""Profiles up to which the text shows the figure of each."""


def print_ranks(
    tables: Tables, coverage: RanksCoverage, most: int | None, sorted_by: str | None
) -> None:
    """Print the ranges of several profiles side by side, a table per figure, and what is left out.

    Args:
        tables: of `merged`.
        coverage: of the profiles.
        most: paths that are shown; None: all.
        sorted_by: the column that their order follows; None: paths as they first occur, of which
            those with the most time are shown.
    """
    names = {name: f"[{at}]" for at, name in enumerate(coverage.of)}
    for name, short in names.items():
        print(f"{short} {name}")
    ranges, spreads = tables["ranges"], tables["spread"]
    figures = ["host_ms", *(["busy_ms"] if main_time(ranges) == "kernel_sum_ms" else [])]
    if sorted_by in SPREAD_FIGURES and sorted_by not in figures:
        figures.append(sorted_by)
    for figure in figures:
        print(f"\n{figure}")
        own = np.array([one == figure for one in spreads["figure"].to_pylist()], np.bool_)
        rows = rows_at(spreads, np.flatnonzero(own))
        shown = rows.slice(0, most) if sorted_by and most else _largest(rows, most)
        print_table(*_side_by_side(shown, ranges, figure, names))
        if len(rows) > len(shown):
            print(f"… and {len(rows) - len(shown):,} more ranges: --all prints every row")
    others = {
        name: with_columns(
            rows, {"profile": [names[one] for one in rows["profile"].to_pylist()]}, _TEXT
        )
        for name, rows in tables.items()
        if name not in ("ranges", "spread")
    }
    print_profile(others, coverage, most, sorted_by)


_SPREAD_SHOWN = ("mean", "min", "max", "imbalance", "slowest")
_TEXT: Schema = {"profile": "string", "slowest": "string"}


def _side_by_side(
    shown: pa.Table, ranges: pa.Table, figure: str, names: Mapping[str, str]
) -> tuple[pa.Table, dict[str, str]]:
    """Rows of the spread with the figure of each profile, and titles of the columns."""
    keys = [name for name in shown.column_names if name not in SPREAD_COLUMNS or name == "path"]
    titles = {key: "range" if key == "path" else key for key in keys}
    if len(names) <= _MOST_SIDE_BY_SIDE:
        of = zip(*(ranges[key].to_pylist() for key in (*keys, "profile")), strict=True)
        value = dict(zip(of, reals(ranges, figure).tolist(), strict=True))
        rows = list(zip(*(shown[key].to_pylist() for key in keys), strict=True))
        for name, short in names.items():
            column = [value.get((*row, name), np.nan) for row in rows]
            shown = with_columns(shown, {short: column}, {short: "Float64"})
            titles[short] = short
    if any(number < len(names) for number in shown["profiles"].to_pylist()):
        titles["profiles"] = "profiles"
    slowest = [one and names[one] for one in shown["slowest"].to_pylist()]
    shown = with_columns(shown, {"slowest": slowest}, _TEXT)
    return shown, {**titles, **{name: name for name in _SPREAD_SHOWN}}


def _largest(rows: pa.Table, most: int | None) -> pa.Table:
    if most is None or len(rows) <= most:
        return rows
    return rows_at(rows, np.sort(np.argsort(-reals(rows, "mean"), kind="stable")[:most]))
