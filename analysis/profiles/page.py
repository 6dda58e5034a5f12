"""A profile as an HTML page of one file: its ranges as a flame graph, and its tables.

The flame graph is drawn by plotly (its icicle, the outermost range on top), which is in the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from adscale.mean_error import Floats

from ..arrow import reals
from ..html import STYLE, UNPACK, json_text, packed
from .coverage import ProfileCoverage
from .paths import path_names, path_numbers
from .text import MOST_ROWS, shown_cells
from .work import ProfileWork

MOST_RANGES = 500
"""Of the flame graph, those with the most time; time of others stays in the range around them."""

_DRAW = """
async function draw() {
  const flame = JSON.parse(await unpacked('flame-data'));
  await unpackScript('plotly');
  await Plotly.newPlot('flame', [{
    type: 'icicle', branchvalues: 'remainder', sort: true,
    ids: flame.ids, parents: flame.parents, labels: flame.labels, values: flame.values,
    text: flame.texts, hovertemplate: '%{label}<br>%{text}<extra></extra>', textinfo: 'label',
    tiling: {orientation: 'v'}, root: {color: 'rgba(0,0,0,0)'},
  }], {margin: {t: 30, l: 0, r: 0, b: 0}, height: 600, paper_bgcolor: 'rgba(0,0,0,0)'},
  {responsive: true, displaylogo: false});
  document.documentElement.dataset.ready = true;
}
draw();
"""


class Flame(NamedTuple):
    """The boxes of a flame graph.

    Attributes:
        ids: number of each path, as text.
        parents: that of the path around it; empty for none.
        labels: the last name of each.
        values: time of each in ms, without that of the boxes inside it.
        texts: what is said of each.
        clock: what the times are.
        left_out: paths that have no box of their own.
    """

    ids: list[str]
    parents: list[str]
    labels: list[str]
    values: list[float]
    texts: list[str]
    clock: str
    left_out: int


def flame_graph(work: ProfileWork, ranges: pa.Table, levels: int | None = None) -> Flame:
    """The ranges with the most time, each as wide as its kernels took, or where none did, itself.

    Args:
        work: of the profile.
        ranges: a row per path, see `analysis.profiles.range_table.profile_table`.
        levels: the most names that a path of the table has; None: any number.
    """
    number = path_numbers(work.paths, levels)
    at = np.array([number[path] for path in ranges["path"].to_pylist()], np.int64)
    parent = work.paths.parent
    own_ms = np.zeros(len(parent))
    exclusive_ms = np.nan_to_num(reals(ranges, "exclusive_ms"))
    has_kernels = bool((exclusive_ms > 0).any())
    if has_kernels:
        own_ms[at] = exclusive_ms
    else:
        own_ms[at] = reals(ranges, "host_ms")
        inner_ms = np.bincount(parent[at] + 1, own_ms[at], len(parent) + 1)[1:]
        own_ms = np.maximum(own_ms - inner_ms, 0.0)  # ranges that overlap have it in common
    whole_ms = _with_inner(own_ms, parent)
    most = at[np.argsort(-whole_ms[at], kind="stable")][:MOST_RANGES]
    kept = np.sort(most[whole_ms[most] > 0])
    is_kept = np.zeros(len(parent) + 1, np.bool_)
    is_kept[kept] = True
    inside_ms = np.bincount(parent[kept] + 1, whole_ms[kept], len(parent) + 1)[1:]
    names = [path_names(path)[-1] for path in ranges["path"].to_pylist()]
    row = dict(zip(at.tolist(), range(len(at)), strict=True))
    calls = ranges["calls"].to_pylist()
    return Flame(
        ids=[str(one) for one in kept.tolist()],
        parents=[str(up) if is_kept[up] else "" for up in parent[kept].tolist()],
        labels=[escape(names[row[one]], quote=False) or "(no name)" for one in kept.tolist()],
        values=np.maximum(whole_ms[kept] - inside_ms[kept], 0.0).tolist(),
        texts=[f"{whole_ms[one]:,.3f} ms, {calls[row[one]]:,} calls" for one in kept.tolist()],
        clock="kernels" if has_kernels else "host",
        left_out=len(at) - len(kept),
    )


def _with_inner(own: Floats, parent: Any) -> Floats:
    """Sums with those of all inner paths; parents come before their children."""
    whole = own.tolist()
    for number in range(len(whole) - 1, -1, -1):
        if parent[number] >= 0:
            whole[parent[number]] += whole[number]
    return np.array(whole)


_CLOCKS = {
    "kernels": "A box is as wide as the kernels took that were launched in its ranges (sum of "
    "their durations on the GPU; what was launched in the range itself is the part of its box "
    "that no other box is under).",
    "host": "No kernel was recorded: a box is as wide as its ranges took on the host.",
}


def profile_page(
    work: ProfileWork,
    tables: Mapping[str, pa.Table],
    coverage: ProfileCoverage,
    levels: int | None = None,
) -> str:
    """The page.

    Args:
        work: of the profile.
        tables: `ranges`, a row per path, and others.
        coverage: what is in none of them.
        levels: the most names that a path of the tables has; None: any number.
    """
    from plotly.offline import get_plotlyjs

    flame = flame_graph(work, tables["ranges"], levels)
    data = {name: getattr(flame, name) for name in ("ids", "parents", "labels", "values", "texts")}
    title = f"Ranges of {work.profile.path.name}"
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>",
            f"<h1>{escape(title)}</h1>",
            f"<p>{_CLOCKS[flame.clock]} {_left_out(flame)}</p>",
            '<div id="flame"></div>',
            *_tables(tables),
            *(f"<p>{escape(note)}</p>" for note in coverage.notes()),
            f'<script type="text/plain" id="flame-data">{packed(json_text(data))}</script>',
            f'<script type="text/plain" id="plotly">{packed(get_plotlyjs())}</script>',
            f"<script>{UNPACK}{_DRAW}</script>",
            "</body></html>\n",
        ]
    )


def _left_out(flame: Flame) -> str:
    if not flame.left_out:
        return ""
    return f"{flame.left_out:,} paths with less time, or none, are part of the box around them."


def _tables(tables: Mapping[str, pa.Table]) -> Iterator[str]:
    for name, table in tables.items():
        head, left, rows = shown_cells(name, table.slice(0, MOST_ROWS))
        titles = "".join(f"<th{_class(title, left)}>{escape(title)}" for title in head)
        yield f"<details open><summary>{name}, {len(table):,} rows</summary>"
        yield f"<table><tr>{titles}</tr>"
        for row in rows:
            cells = zip(head, row, strict=True)
            yield (
                "<tr>"
                + "".join(f"<td{_class(title, left)}>{escape(cell)}" for title, cell in cells)
                + "</tr>"
            )
        yield "</table>"
        if len(table) > MOST_ROWS:
            yield f"<p>{len(table) - MOST_ROWS:,} more rows; CSV and JSON have them.</p>"
        yield "</details>"


def _class(title: str, left: set[str]) -> str:
    return ' class="name"' if title in left else ""
