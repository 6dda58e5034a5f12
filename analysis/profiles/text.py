"""The tables of a profile as text."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from analysis.profiles.coverage import ProfileCoverage

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
_SHARES = frozenset({"launch_bound_share", "share"})
_WIDTH = 200


def print_profile(
    ranges: pd.DataFrame, kernels: pd.DataFrame | None, coverage: ProfileCoverage
) -> None:
    """Print the tables and what they leave out; in full width where the output is no terminal."""
    console = Console(width=None if Console().is_terminal else _WIDTH, soft_wrap=False)
    console.print(_table(ranges, _RANGES))
    if kernels is not None:
        console.print()
        repeated = kernels["path"].duplicated()
        console.print(_table(kernels.assign(path=kernels["path"].mask(repeated, "")), _KERNELS))
    for note in coverage.notes():
        console.print(Text(note))


def _table(table: pd.DataFrame, titles: Mapping[str, str]) -> Table:
    text = Table(box=None, pad_edge=False)
    shown = [column for column in titles if column in table.columns]
    shown = [c for c in shown if c not in _ONLY_WHERE_USED or bool((table[c] > 0).any())]
    for column in shown:
        is_text = column in _TEXTS
        text.add_column(
            titles[column],
            justify="left" if is_text else "right",
            overflow="fold",
            no_wrap=not is_text,
        )
    for row in table[shown].itertuples(index=False):
        values = zip(shown, row, strict=True)
        # names may hold rich's markup
        text.add_row(*(Text(_shown(column, value)) for column, value in values))
    return text


def _shown(column: str, value: object) -> str:
    if value is pd.NA:
        return "–"
    if not isinstance(value, float):
        return str(value)
    if column in _SHARES:
        return f"{value:.1%}"
    return f"{value:.1f}" if column == "kernels_per_call" else f"{value:.3f}"
