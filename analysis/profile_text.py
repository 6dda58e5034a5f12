"""The table of a profile's ranges as text."""

from __future__ import annotations

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from analysis.profile_table import ProfileCoverage

_TITLES = {
    "path": "range",
    "calls": "calls",
    "host_ms": "host ms",
    "kernels": "kernels",
    "kernel_sum_ms": "kernel sum ms",
    "exclusive_ms": "exclusive ms",
    "busy_ms": "busy ms",
    "span_ms": "span ms",
}


def print_profile(table: pd.DataFrame, coverage: ProfileCoverage) -> None:
    """Print the table and what it leaves out; in full width where the output is no terminal."""
    console = Console(width=None if Console().is_terminal else 160, soft_wrap=False)
    text = Table(box=None, pad_edge=False)
    for column, title in _TITLES.items():
        is_path = column == "path"
        text.add_column(
            title, justify="left" if is_path else "right", overflow="fold", no_wrap=not is_path
        )
    for row in table.itertuples(index=False):
        values = (_shown(getattr(row, column)) for column in _TITLES)
        text.add_row(*(Text(value) for value in values))  # names may hold rich's markup
    console.print(text)
    for note in coverage.notes():
        console.print(Text(note))


def _shown(value: object) -> str:
    if value is pd.NA:
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
