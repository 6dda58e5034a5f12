"""The tables of a profile as text: for people, as CSV and as JSON."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from itertools import zip_longest

import pandas as pd

from adscale.tables import text_table

from ..numbers import percent, unsigned_zero
from .coverage import ProfileCoverage
from .work import path_names

_RANGES = {
    "path": "range",
    "thread": "thread",
    "device": "device",
    "stream": "stream",
    "category": "category",
    "calls": "calls",
    "host_ms": "host ms",
    "kernels": "kernels",
    "kernels_per_call": "per call",
    "kernel_sum_ms": "kernel sum ms",
    "exclusive_ms": "exclusive ms",
    "busy_ms": "busy ms",
    "span_ms": "span ms",
    "launch_bound_share": "launch-bound",
    "call_busy_median_ms": "busy/call p50",
    "call_busy_p95_ms": "p95",
    "copy_sum_ms": "copy ms",
    "memset_sum_ms": "memset ms",
    "graph_sum_ms": "graph ms",
}
_ONLY_WHERE_USED = ("copy_sum_ms", "memset_sum_ms", "graph_sum_ms")
_KERNELS = {
    "path": "range",
    "kernel": "kernel",
    "kernels": "kernels",
    "kernel_sum_ms": "sum ms",
    "share": "share",
    "mean_us": "mean µs",
    "median_us": "median µs",
    "min_us": "min µs",
    "max_us": "max µs",
}
_TEXTS = frozenset({"path", "kernel", "thread", "device", "stream", "category"})
_FOLDED = frozenset({"path", "kernel"})
_SHARES = frozenset({"launch_bound_share", "share"})
_WIDTH = 200
_LONGEST = 1000
_LEAST_WIDTH = 24
MOST_ROWS = 200
"""Of a table for people, unless they ask for all."""
_GAP = 2


def json_text(ranges: pd.DataFrame, kernels: pd.DataFrame | None, coverage: ProfileCoverage) -> str:
    """The tables and the coverage as one JSON object, a row in each line.

    A `path` is a list of names, the outermost first.
    """
    parts = [f'"coverage": {json.dumps(coverage.as_dict())}', f'"ranges": {_json_rows(ranges)}']
    parts += [] if kernels is None else [f'"kernels": {_json_rows(kernels)}']
    return "{" + ",\n".join(parts) + "}"


def _json_rows(table: pd.DataFrame) -> str:
    if table.empty:
        return "[]"
    paths = {path: json.dumps(path_names(path)) for path in table["path"].unique().tolist()}
    lines = table.drop(columns="path").to_json(orient="records", lines=True, double_precision=15)
    rows = zip(table["path"].tolist(), lines.rstrip("\n").split("\n"), strict=True)
    return "[\n" + ",\n".join(f'{{"path":{paths[path]},{line[1:]}' for path, line in rows) + "\n]"


def print_profile(
    ranges: pd.DataFrame,
    kernels: pd.DataFrame | None,
    coverage: ProfileCoverage,
    most: int | None = MOST_ROWS,
) -> None:
    """Print the tables and what they leave out; wider where the output is no terminal.

    Args:
        ranges: of the profile.
        kernels: of its ranges; None: they were not asked for.
        coverage: what is in neither.
        most: rows of a table that are shown, those with the most time; None: all.
    """
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else _WIDTH
    time = "kernel_sum_ms" if (ranges["kernel_sum_ms"] > 0).any() else "host_ms"
    shown = _longest(ranges, time, most)
    print(_text(shown, _RANGES, width))
    _tell_of_others(len(ranges) - len(shown), "ranges", time)
    if kernels is not None:
        shown = _longest(kernels, "kernel_sum_ms", most)
        repeated = shown["path"].duplicated()
        print(f"\n{_text(shown.assign(path=shown['path'].mask(repeated, '')), _KERNELS, width)}")
        _tell_of_others(len(kernels) - len(shown), "kernels", "kernel_sum_ms")
    for note in coverage.notes():
        print(shortened(printable(note)))


def _longest(table: pd.DataFrame, time: str, most: int | None) -> pd.DataFrame:
    """The rows with the most time, in the order in which they were."""
    if most is None or len(table) <= most:
        return table
    return table.sort_values(time, ascending=False, kind="stable").head(most).sort_index()


def _tell_of_others(left_out: int, what: str, time: str) -> None:
    if left_out > 0:
        print(
            f"… and {left_out:,} more {what} with less {time.partition('_')[0]} time: --all "
            "prints every row, -o FILE.csv writes them."
        )


def _text(table: pd.DataFrame, titles: Mapping[str, str], width: int) -> str:
    """The rows as aligned lines; long names go on in lines of their own.

    Ten thousand paths take about a second and a half; tables of rich would take half a minute.
    """
    shown = [column for column in titles if column in table.columns]
    shown = [c for c in shown if c not in _ONLY_WHERE_USED or bool((table[c] > 0).any())]
    head = [titles[column] for column in shown]
    columns = [[_shown(column, value) for value in table[column]] for column in shown]
    widths = [max(map(len, [title, *cells])) for title, cells in zip(head, columns, strict=True)]
    folded = [at for at, column in enumerate(shown) if column in _FOLDED]
    taken = sum(widths) + _GAP * (len(widths) - 1) - sum(widths[at] for at in folded)
    for at in folded:
        widths[at] = min(widths[at], max((width - taken) // len(folded), _LEAST_WIDTH))
    rows = [
        line
        for row in zip(*columns, strict=True)
        for line in zip_longest(*map(_pieces, row, widths), fillvalue="")
    ]
    return text_table(head, rows, {titles[column] for column in _TEXTS & set(shown)})


def _pieces(text: str, width: int) -> list[str]:
    """A text cut into pieces of a width, at any character."""
    return [text[at : at + width] for at in range(0, len(text), width)] or [""]


def printable(text: str) -> str:
    """The text with a sign in place of what would move the cursor or colour the terminal."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "�" for c in text)


def shortened(text: str) -> str:
    """The text, or its beginning and its end where it is longer than `_LONGEST` characters."""
    left_out = len(text) - _LONGEST
    if left_out <= 0:
        return text
    half = _LONGEST // 2
    return f"{text[:half]} … ({left_out} characters) … {text[-half:]}"


def _shown(column: str, value: object) -> str:
    if value is pd.NA:
        return "–"
    if not isinstance(value, float):
        return shortened(printable(str(value)))
    if column in _SHARES:
        return percent(value, 1)
    return unsigned_zero(f"{value:.1f}" if column == "kernels_per_call" else f"{value:.3f}")
