"""The tables of a profile as text: for people, as CSV and as JSON."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from itertools import zip_longest
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from adscale.tables import text_table

from ..arrow import reals, rows_at, with_columns
from ..json_output import document_text, rows_text
from ..nsys.records import Capture, CudaTrace
from ..numbers import percent, unsigned_zero
from .coverage import ProfileCoverage
from .cross_thread import null_reasons as cross_reasons
from .energy_table import ENERGY_COLUMNS, FEWEST_SAMPLES
from .order import main_time
from .paths import path_names
from .range_table import KERNEL_FIGURES

_RANGES = {
    "path": "range",
    "profile": "profile",
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
    "copy_bytes": "copied",
    "memset_sum_ms": "memset ms",
    "graph_sum_ms": "graph ms",
    "energy_j": "energy J",
    "mean_power_w": "power W",
}
_ONLY_WHERE_USED = (
    "copy_sum_ms", "copy_bytes", "memset_sum_ms", "graph_sum_ms", "inferred_copy_sum_ms",
    "inferred_memset_sum_ms", "inferred_graph_sum_ms",
)  # fmt: skip
_KERNELS = {
    "path": "range",
    "profile": "profile",
    "kernel": "kernel",
    "kernels": "kernels",
    "kernel_sum_ms": "sum ms",
    "share": "share",
    "mean_us": "mean µs",
    "median_us": "median µs",
    "min_us": "min µs",
    "max_us": "max µs",
}
_COPIES = {
    "path": "range",
    "profile": "profile",
    "direction": "direction",
    "copies": "copies",
    "copy_sum_ms": "sum ms",
    "copy_bytes": "bytes",
    "gb_per_s": "GB/s",
}
_CROSS = {
    "path": "range",
    "profile": "profile",
    "kind": "kind",
    "thread": "thread",
    "end_thread": "ended by",
    "calls": "calls",
    "host_ms": "host ms",
    "inferred_kernels": "inferred kernels",
    "inferred_kernel_sum_ms": "inferred sum ms",
    "inferred_busy_ms": "inferred busy ms",
    "inferred_copy_sum_ms": "inferred copy ms",
    "inferred_memset_sum_ms": "inferred memset ms",
    "inferred_graph_sum_ms": "inferred graph ms",
}
_TITLES = {"ranges": _RANGES, "kernels": _KERNELS, "copies": _COPIES, "cross_thread": _CROSS}
_TIMES = {"kernels": "kernel_sum_ms", "copies": "copy_sum_ms", "cross_thread": "host_ms"}
_TEXTS = frozenset(
    {
        "path", "kernel", "thread", "device", "stream", "category", "direction", "kind",
        "end_thread", "profile", "slowest",
    }
)  # fmt: skip
_FOLDED = frozenset({"path", "kernel"})
_SHARES = frozenset({"launch_bound_share", "share", "imbalance"})
_BYTES = frozenset({"copy_bytes"})
_WIDTH = 200
_LONGEST = 1000
_LEAST_WIDTH = 24
MOST_ROWS = 200
"""Of a table for people, unless they ask for all."""
_GAP = 2


class Told(Protocol):
    """The coverage of a profile, or of several."""

    @property
    def question(self) -> dict[str, object]:
        """What was asked."""

    def as_dict(self) -> dict[str, Any]:
        """All counts, for JSON."""

    def notes(self) -> list[str]:
        """Notes to a reader of the tables."""


def json_text(
    tables: Mapping[str, pa.Table],
    coverage: Told,
    reasons: Mapping[str, str],
    more: Mapping[str, object] | None = None,
) -> str:
    """The tables and the coverage as one JSON object, a row in each line.

    A `path` is a list of names, the outermost first.

    Args:
        tables: `ranges`, and others that were asked for.
        coverage: what is in none of them.
        reasons: why a column is null, see `reasons_of`.
        more: what the object has besides.
    """
    parts = {
        "question": json.dumps(coverage.question),
        "coverage": json.dumps(coverage.as_dict()),
        **{name: json.dumps(value) for name, value in (more or {}).items()},
        **{name: rows_text(table, reasons, {"path": path_names}) for name, table in tables.items()},
    }
    return document_text("attribute", parts)


def reasons_of(coverage: ProfileCoverage) -> dict[str, str]:
    """Why a column of the tables of a profile is null, by its name."""
    reasons = null_reasons(coverage.capture)
    if coverage.power_problem:
        reasons |= dict.fromkeys(ENERGY_COLUMNS, coverage.power_problem)
    reasons |= cross_reasons(coverage.inferred)
    if not coverage.capture.knows_kernels and coverage.inferred:
        reasons |= {
            f"inferred_{name}": reasons[name] for name in ("kernels", "kernel_sum_ms", "busy_ms")
        }
    return reasons


def null_reasons(capture: Capture) -> dict[str, str]:
    """Why a column of a table of a profile is null, by its name."""
    return {
        "span_ms": "no kernel was launched inside",
        "launch_bound_share": "no call has kernels that took time",
        "projected_ms": "no kernel, copy or memset was launched inside",
        "copy_bytes": "a copy inside does not say how many bytes it moved",
        "memset_bytes": "a memory set inside does not say how many bytes it wrote",
        "gb_per_s": "the bytes of its copies are unknown, or they took no time",
        "share": "the kernels of the range took no time",
        **dict.fromkeys(ENERGY_COLUMNS, _NO_ENERGY),
        **(
            {}
            if capture.knows_kernels
            else dict.fromkeys(KERNEL_FIGURES, _NO_KERNELS[capture.cuda])
        ),
    }


_NO_ENERGY = (
    f"fewer than {FEWEST_SAMPLES} samples of power lie in the work of its calls, a call lies "
    "outside of the samples, or which GPU they are of is not known"
)
_NO_KERNELS: dict[CudaTrace, str] = {
    "lost": "launches of kernels were recorded, but no kernel",
    "no calls": "CUDA was traced, but none of its calls was recorded",
    "not traced": "CUDA was not traced",
    "unknown": "the profile holds no table of kernels",
}


def print_profile(
    tables: Mapping[str, pa.Table],
    coverage: Told,
    most: int | None = MOST_ROWS,
    sorted_by: str | None = None,
) -> None:
    """Print the tables and what they leave out; wider where the output is no terminal.

    Args:
        tables: `ranges`, and `kernels` or `copies` where they were asked for.
        coverage: what is in none of them.
        most: rows of a table that are shown; None: all.
        sorted_by: the column that their order follows; None: paths as they first occur, of which
            those with the most time are shown.
    """
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else _WIDTH
    for name, table in tables.items():
        by = main_time(table) if name == "ranges" else _TIMES[name]
        shown = table.slice(0, most) if sorted_by and most else _longest(table, by, most)
        if name != "ranges":
            print()
            # a path is printed once for rows that follow each other
            paths = shown["path"].to_pylist()
            once = ["" if at and path == paths[at - 1] else path for at, path in enumerate(paths)]
            shown = with_columns(shown, {"path": once}, {"path": "string"})
        print_table(shown, _TITLES[name], width)
        less = None if sorted_by else by
        _tell_of_others(len(table) - len(shown), name.replace("_", "-"), less)
    for note in coverage.notes():
        print(shortened(printable(note)))


def print_table(table: pa.Table, titles: Mapping[str, str], width: int = _WIDTH) -> None:
    """Print the columns that have a title."""
    print(_text(table, titles, width))


def _longest(table: pa.Table, time: str, most: int | None) -> pa.Table:
    """The rows with the most time, in the order in which they were."""
    if most is None or len(table) <= most:
        return table
    # null, which is NaN here, comes last
    return rows_at(table, np.sort(np.argsort(-reals(table, time), kind="stable")[:most]))


def _tell_of_others(left_out: int, what: str, time: str | None) -> None:
    if left_out > 0:
        less = f" with less {time.partition('_')[0]} time" if time else ""
        print(
            f"… and {left_out:,} more {what}{less}: --all prints every row, -o FILE.csv writes "
            "them."
        )


def _text(table: pa.Table, titles: Mapping[str, str], width: int) -> str:
    """The rows as aligned lines; long names go on in lines of their own.

    Ten thousand paths take about a second and a half; tables of rich would take half a minute.
    """
    shown = _columns(table, titles)
    head = [titles[column] for column in shown]
    columns = [[_shown(column, value) for value in table[column].to_pylist()] for column in shown]
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


def shown_cells(name: str, table: pa.Table) -> tuple[list[str], set[str], list[tuple[str, ...]]]:
    """A table as it is shown: titles of its columns, those of texts among them, and its rows.

    Args:
        name: `ranges`, `kernels` or `copies`.
        table: the rows.
    """
    titles = _TITLES[name]
    shown = _columns(table, titles)
    columns = [[_shown(column, value) for value in table[column].to_pylist()] for column in shown]
    left = {titles[column] for column in _TEXTS & set(shown)}
    return [titles[column] for column in shown], left, list(zip(*columns, strict=True))


def _columns(table: pa.Table, titles: Mapping[str, str]) -> list[str]:
    """The columns that are shown."""
    shown = [column for column in titles if column in table.column_names]
    return [c for c in shown if c not in _ONLY_WHERE_USED or bool((reals(table, c) > 0).any())]


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
    if value is None:
        return "–"
    if column in _BYTES:
        return f"{value:,}"
    if not isinstance(value, float):
        return shortened(printable(str(value)))
    if column in _SHARES:
        return percent(value, 1)
    return unsigned_zero(f"{value:.1f}" if column == "kernels_per_call" else f"{value:.3f}")
