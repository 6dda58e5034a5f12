"""The same submodule by several clocks over the resolution: launching, running, waiting."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from .canvas import Drawing, columns_that_fit, log_numbers, new_figure
from .captions import measured_on, out_of_memory, sample_size
from .intervals import half_widths
from .marks import cross_unsteady, settings_words, unsteady_words
from .side_panels import (
    PANEL_FROM_MM,
    WHOLE_IMAGE,
    panels,
    part_colour,
    part_name,
    row_count,
    side_ticks,
)
from .style import Style

PANEL_MM = 38
LEGEND_MM = 8
TICKS = 3

LOOKS: dict[str, dict[str, Any]] = {
    "host": {"marker": "o", "markerfacecolor": "white", "linestyle": "--"},
    "span": {"marker": "s", "linestyle": "-"},
    "latency": {"marker": "^", "markerfacecolor": "white", "linestyle": ":"},
}
"""Clocks shown, and how."""

NAMES = {
    "cpu": {"host": "host range", "latency": "latency without a profiler"},
    "cuda": {
        "host": "host range (launching)",
        "span": "GPU span (running)",
        "latency": "latency without a profiler",
    },
}

HYPOTHESIS = (
    " Work on a GPU is launched and not waited for, so a host range lasts as long as its launches, "
    "whatever the kernels take. Hypothesis: the study's nearly constant runtimes up to 1,024 px "
    "are such host ranges. It would hold if the host range stayed flat where the span rises, and "
    "rose where copies wait for the GPU, as those of PatchCore's reference do."
)


def clocks(runtime: pd.DataFrame, style: Style) -> Drawing:
    """Host range, GPU span and latency of the parts of one device × method × variant.

    Args:
        runtime: the rows of ``runtime.csv`` of that device, method and variant.
        style: sizes and fonts.
    """
    first = runtime.iloc[0]
    inside = runtime[runtime["role"].isin(["submodule", "image"])]
    measured = inside[inside["clock"].isin(LOOKS) & inside["mean_ms"].notna()]
    parts = list(dict.fromkeys(inside["submodule"]))
    named = {key: text for key, text in NAMES[first["device_type"]].items()
             if key in set(measured["clock"])}  # fmt: skip
    rows = row_count(len(parts), style, PANEL_FROM_MM)
    figure = new_figure(style, PANEL_MM * rows + LEGEND_MM, _caption(inside, measured))
    grid = panels(figure, len(parts), style, PANEL_FROM_MM)
    for axes, part in zip(grid, parts, strict=True):
        _draw_part(axes, part, measured[measured["submodule"] == part])
        side_ticks(axes, runtime["resolution_px"], TICKS)
    figure.supylabel("time per image in ms", fontsize=style.font_pt)
    _add_legend(figure, named, style)
    name = f"clocks_{first['device']}_{first['method']}_{first['variant']}"
    return Drawing(name, figure, measured.assign(basis="measured"))


def _draw_part(axes: Axes, part: str, rows: pd.DataFrame) -> None:
    colour = part_colour(part)
    axes.set_title(part_name(part), loc="left")
    axes.grid(visible=True, axis="both")
    if rows.empty:
        axes.set_yticks([])
        axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center", va="center")
        return
    for clock, look in LOOKS.items():
        of_clock = rows[rows["clock"] == clock]
        if not of_clock.empty:
            axes.errorbar(
                of_clock["resolution_px"], of_clock["mean_ms"], half_widths(of_clock),
                color=colour, capsize=1.5, elinewidth=0.7, markersize=3.5, linewidth=1, **look,
            )  # fmt: skip
            cross_unsteady(axes, of_clock, of_clock["mean_ms"])
    axes.set_yscale("log")
    axes.set_ylim(rows["mean_ms"].min() / 2, rows["mean_ms"].max() * 2)
    log_numbers(axes.yaxis)


def _add_legend(figure: Figure, named: dict[str, str], style: Style) -> None:
    handles = [
        Line2D([], [], color="#444444", markersize=3.5, linewidth=1, label=text, **LOOKS[clock])
        for clock, text in named.items()
    ]
    if handles:
        columns = columns_that_fit(list(named.values()), style, most=3)
        figure.legend(handles=handles, loc="outside upper center", ncols=columns)


def _caption(inside: pd.DataFrame, measured: pd.DataFrame) -> str:
    first = inside.iloc[0]
    profiled = measured[measured["clock"] != "latency"]
    unprofiled = measured[measured["clock"] == "latency"]
    said = f"{first['method']}, {first['variant']}: "
    said += f"{measured_on(inside if profiled.empty else profiled)}."
    if not unprofiled.empty:
        said += (
            " Latency: from the start of an image until the device is done, in a pass of its own "
            f"without a profiler, {sample_size(unprofiled)}."
        )
    if first["device_type"] == "cuda":
        said += HYPOTHESIS
    marked = f"{settings_words(measured)}{unsteady_words(measured, 'crossed out')}"
    return f"{said}{_growth(measured)}{out_of_memory(inside)}{marked}"


def _growth(measured: pd.DataFrame) -> str:
    """By how much the whole image grows by each clock, or nothing with one resolution."""
    whole = measured[measured["submodule"] == WHOLE_IMAGE]
    low_px, high_px = whole["resolution_px"].min(), whole["resolution_px"].max()
    if whole.empty or low_px == high_px:
        return ""
    grown = []
    for clock in LOOKS:
        at = whole[whole["clock"] == clock].set_index("resolution_px")["mean_ms"]
        if low_px in at.index and high_px in at.index:
            grown.append(f"{clock} ×{at[high_px] / at[low_px]:.3g}")
    pixels = (high_px / low_px) ** 2
    return (
        f" The whole image from {low_px:,} to {high_px:,} px, ×{pixels:.3g} in pixels: "
        f"{', '.join(grown)}."
    )
