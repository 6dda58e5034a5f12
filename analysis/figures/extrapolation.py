"""The study's extrapolation of memory against exact counts, per method and submodule."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ..fits.series import WHOLE_METHOD
from .canvas import CHARACTER_WIDTH, Drawing, log_numbers, new_figure
from .captions import incomplete, on_device
from .edge_labels import EdgeLabel, EdgeLabels, add_edge_labels, settle
from .style import Style, darker, submodule_colour

PANEL_MM = {2: 40, 1: 28}
"""Height of a panel, by the number of columns."""

TWO_COLUMNS_FROM_MM = 120
"""A figure less wide than this has its panels below each other."""

TITLE_SHARE = 0.6
"""Of the width of a column, room for the title of a panel."""
GIB = 2**30
PANELS = {"peak": "peak_bytes", "activations": "activations_bytes"}
"""Quantity of `memory_extrapolation.csv`, and the column of `memory.csv` that it is fitted to."""

TICKS_PX = (256, 512, 1024, 2048)

LONGEST_NAME = 20
"""Characters of a submodule's name; the rest is cut off."""


def memory_extrapolation(memory: pd.DataFrame, judged: pd.DataFrame, style: Style) -> Drawing:
    """All methods of one variant, a row of panels each.

    Args:
        memory: the rows of ``memory.csv`` of that variant.
        judged: its rows of ``memory_extrapolation.csv``.
        style: sizes and fonts.
    """
    variant = memory["variant"].iloc[0]
    parts = judged[judged["submodule"] != WHOLE_METHOD]
    last = parts.groupby(["quantity", "method", "submodule"], sort=False).tail(1)
    caption = (
        f"{variant}: memory on {on_device(memory)} at batch 1 in 32-bit floats. Peak: the largest "
        "sum of tensors alive at once; activations: outputs of all layers that own parameters "
        "(study, equation 3). Points: counted exactly, no image is run. Lines: second-degree "
        "least-squares fit over the side length (the study's model) through the filled points, "
        "dashed where extrapolated. Percentages: error of the extrapolation at the last point, "
        f"{_sides(last['at_px'])}. Submodules of which nothing is counted have no curve."
        f"{incomplete(memory)}"
    )
    methods = list(dict.fromkeys(memory["method"]))
    columns = len(PANELS) if style.width_mm >= TWO_COLUMNS_FROM_MM else 1
    rows = len(methods) * len(PANELS) // columns
    figure = new_figure(style, PANEL_MM[columns] * rows, caption)
    grid = figure.subplots(rows, columns, sharex=True, squeeze=False)
    panels = grid.reshape(len(methods), len(PANELS))
    labels: list[EdgeLabels] = []
    for row, method in zip(panels, methods, strict=True):
        counts, fits = memory[memory["method"] == method], last[last["method"] == method]
        labels.extend(_draw_method(row, counts, fits, style))
    for axes in panels.flat:
        _set_title(axes, style, columns)
    for axes in grid[:, 0]:
        axes.set_ylabel("memory in GiB")
    grid[0][0].set_xticks(TICKS_PX, [f"{side:,}" for side in TICKS_PX])
    grid[0][0].xaxis.minorticks_off()
    figure.align_ylabels(grid[:, 0])
    for axes in grid[-1]:
        axes.set_xlabel("side of the image in px")
    settle(figure, labels)
    names = ["method", "variant", "submodule", "resolution_px", "activations_bytes", "peak_bytes"]
    data = pd.concat([memory[[*names, "basis"]], last], ignore_index=True)
    return Drawing(f"memory_extrapolation_{variant}", figure, data)


def _draw_method(
    row: np.ndarray[tuple[int], np.dtype[np.object_]],
    counts: pd.DataFrame,
    fits: pd.DataFrame,
    style: Style,
) -> Iterator[EdgeLabels]:
    named: set[str] = set()
    for axes, (quantity, column) in zip(row, PANELS.items(), strict=True):
        axes.set_xscale("log")
        axes.set_yscale("log")
        ends = []
        for _, fit in fits[fits["quantity"] == quantity].iterrows():
            submodule = str(fit["submodule"])
            points = counts[(counts["submodule"] == submodule) & (counts[column] > 0)]
            if points.empty:  # a logarithmic axis has no place for it
                continue
            _draw_submodule(axes, points, column, fit)
            # a name stands at the first curve of its colour
            name = "" if submodule in named else _shortened(submodule)
            named.add(submodule)
            end_gib = points[column].iloc[-1] / GIB
            text = " ".join(filter(None, [name, _percent(fit["relative_error"])]))
            ends.append(EdgeLabel(end_gib, text, darker(submodule_colour(submodule))))
        log_numbers(axes.yaxis)
        axes.grid(visible=True, axis="both")
        axes.set_title(f"{counts['method'].iloc[0]}: {quantity}", loc="left")
        yield add_edge_labels(axes, "right", ends, style.font_pt - 1.5)


def _draw_submodule(axes: Axes, points: pd.DataFrame, column: str, fit: pd.Series) -> None:
    """Points and parabola of a submodule."""
    colour = submodule_colour(fit["submodule"])
    fitted_px = [int(side) for side in str(fit["fitted_at_px"]).split()]
    points = points[points["resolution_px"] >= min(fitted_px, default=0)]
    is_fitted = points["resolution_px"].isin(fitted_px)
    for part, face in ((points[is_fitted], colour), (points[~is_fitted], "white")):
        axes.plot(
            part["resolution_px"], part[column] / GIB, "o", color=colour, markersize=3,
            markerfacecolor=face, zorder=3,
        )  # fmt: skip
    if pd.isna(fit["b0"]):
        return
    limits = (fit["fitted_from_px"], fit["fitted_to_px"], fit["at_px"])
    for start, end, line in ((limits[0], limits[1], "-"), (limits[1], limits[2], "--")):
        side = np.linspace(start, end, 100)
        size = (fit["b0"] + fit["b1"] * side + fit["b2"] * side**2) / GIB
        axes.plot(side, np.where(size > 0, size, np.nan), line, color=colour, linewidth=1)


def _set_title(axes: Axes, style: Style, columns: int) -> None:
    """Breaks the title of a panel where it would reach into the next, or over the edge."""
    size_pt = style.font_pt - 1
    room_pt = style.width_in * 72 / columns * TITLE_SHARE
    lines = textwrap.wrap(axes.get_title("left"), int(room_pt / (size_pt * CHARACTER_WIDTH)))
    axes.set_title("\n".join(lines), loc="left", fontsize=size_pt)


def _sides(at_px: pd.Series) -> str:
    """Such as `3,000 px` or `3,000 to 3,008 px`."""
    low, high = at_px.min(), at_px.max()
    return f"{low:,} px" if low == high else f"{low:,} to {high:,} px"


def _percent(error: Any) -> str:
    """Such as −77 %, +3 %, 0 %; nothing where the error is unknown."""
    if pd.isna(error):
        return ""
    rounded = round(error * 100)
    sign = "" if rounded == 0 else "+" if rounded > 0 else "\u2212"
    return f"{sign}{abs(rounded):,}\u00a0%"


def _shortened(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}\u2026"
