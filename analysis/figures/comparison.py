"""How many times as long B takes as A, over the resolution, a panel for each submodule."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from ..comparison.sides import LABELS
from .axes import panels, part_colour, part_name, row_count, size_ticks
from .canvas import Drawing, Style, new_figure, plain_number, rc_parameters, save
from .captions import CLOCK_WORDS

PANEL_MM = 34
LEGEND_MM = 12
"""Height of the legend and of the labels beneath the lowest panels, together."""

PANEL_FROM_MM = 40
TICKS = 3
AIR = 0.08
"""Beyond the outermost interval, as a share of the axis."""

WIDEST = 3.0
"""The axis reaches no further beyond the ratios than this factor; a whisker may leave it."""

ONE_SCALE_UP_TO = 2
"""From end to end of all ratios; beyond, a scale for all panels would hide their intervals."""

OWN_SCALES = " The panels have scales of their own."

LOG_TICKS_FROM = 6
"""From end to end of the axis, from which its numbers are 1, 2, 5, 10; below, even steps."""

_MARKERS = {"slower": "^", "faster": "v", "same": "s", "unclear": "o"}
_UNCLEAR = "unclear"


def draw_comparison(table: pd.DataFrame, folder: Path, style: Style) -> list[Path]:
    """Draw and store all figures of a comparison.

    Args:
        table: `comparison.csv`.
        folder: where to.
        style: sizes and fonts.

    Returns:
        The files.

    Raises:
        OutputError: the folder cannot be written.
    """
    import matplotlib as mpl

    names = [f"{side}_{label}" for label in LABELS for side in "ab"]
    paths: list[Path] = []
    with mpl.rc_context(rc_parameters(style)):  # type: ignore[arg-type]
        for _, rows in table.groupby(names, sort=False):
            paths += save(comparison_ratios(rows, style), folder, style)
    return paths


def comparison_ratios(rows: pd.DataFrame, style: Style) -> Drawing:
    """Ratios of one method × variant × device of A over one of B.

    Args:
        rows: their rows of `comparison.csv`. Those by the main clock of the device and by `latency`
            are drawn; all rows where there is neither.
        style: sizes and fonts.
    """
    shown = rows[rows["is_main_clock"].fillna(False) | (rows["clock"] == "latency")]
    shown = rows if shown.empty else shown
    parts = list(shown.groupby(["submodule", "clock"], sort=False))
    height_mm = LEGEND_MM + PANEL_MM * row_count(len(parts), style, PANEL_FROM_MM)
    limits = _limits(shown)
    apart = limits[1] / limits[0] > ONE_SCALE_UP_TO
    figure = new_figure(style, height_mm, _caption(shown) + (OWN_SCALES if apart else ""))
    grid = panels(figure, len(parts), style, PANEL_FROM_MM)
    for axes, ((part, clock), of_part) in zip(grid, parts, strict=True):
        _draw(axes, of_part, part_colour(str(part)))
        axes.set_title(f"{part_name(str(part)).replace('_', ' ')}, {clock}", loc="left")
        _ratio_axis(axes, _limits(of_part) if apart else limits)
        size_ticks(axes, shown, TICKS)
        edge = 0.06 * (shown["side_px"].max() - shown["side_px"].min() or 1)
        axes.set_xlim(shown["side_px"].min() - edge, shown["side_px"].max() + edge)
    _legend(figure, set(shown["verdict"]))
    return Drawing(_name(rows), figure, shown.assign(basis="measured"))


def _draw(axes: Axes, rows: pd.DataFrame, colour: str) -> None:
    margin = float(rows["margin"].iloc[0])
    axes.axhspan(1 / (1 + margin), 1 + margin, color="#E4E4E4", linewidth=0, zorder=0)
    axes.axhline(1, color="#555555", linewidth=0.8, zorder=1)
    measured = rows[rows["ratio"].notna()]
    axes.plot(measured["side_px"], measured["ratio"], color=colour, linewidth=0.6, alpha=0.5)
    for verdict, found in measured.groupby("verdict", sort=False):
        ratio = found["ratio"]
        ends = (ratio - found["ratio_ci95_low"], found["ratio_ci95_high"] - ratio)
        axes.errorbar(
            found["side_px"], ratio,
            np.array([end.to_numpy("float64", na_value=np.nan) for end in ends]),
            color=colour, linestyle="", capsize=2, elinewidth=0.8, markersize=4,
            marker=_MARKERS[str(verdict)],
            markerfacecolor="white" if verdict == _UNCLEAR else colour,
        )  # fmt: skip


def _limits(rows: pd.DataFrame) -> tuple[float, float]:
    """Return the limits of the axis of these rows, on which the margin is always seen."""
    margin = float(rows["margin"].iloc[0])
    ratios = rows["ratio"].dropna().tolist() or [1.0]
    lows, highs = rows["ratio_ci95_low"].dropna(), rows["ratio_ci95_high"].dropna()
    low = max(min([*ratios, *lows]), min(ratios) / WIDEST)
    high = min(max([*ratios, *highs]), max(ratios) * WIDEST)
    low, high = min(low, (1 + margin) ** -2), max(high, (1 + margin) ** 2)
    air = (high / low) ** AIR
    return low / air, high * air


def _ratio_axis(axes: Axes, limits: tuple[float, float]) -> None:
    """Logarithmic, so that twice and half are as far from 1; with plain numbers."""
    axes.set_yscale("log")
    axes.set_ylim(*limits)
    place = axes.get_subplotspec()
    if place is not None and place.is_first_col():
        axes.set_ylabel("time, B / A")
    wide = limits[1] / limits[0] > 4
    axes.yaxis.set_major_locator(
        LogLocator(subs=(1, 2, 5)) if wide else MaxNLocator(5, steps=[1, 2, 5, 10])
    )
    axes.yaxis.set_major_formatter(plain_number)
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_minor_locator(LogLocator(subs=()))


def _legend(figure: Figure, verdicts: set[str]) -> None:
    handles = [
        Line2D(
            [], [], linestyle="", color="#333333", marker=marker, markersize=4, label=verdict,
            markerfacecolor="white" if verdict == _UNCLEAR else "#333333",
        )
        for verdict, marker in _MARKERS.items()
        if verdict in verdicts
    ]  # fmt: skip
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))


def _caption(rows: pd.DataFrame) -> str:
    first, margin = rows.iloc[0], rows["margin"].iloc[0] * 100
    clocks = "; ".join(f"{name}, {CLOCK_WORDS[name]}" for name in rows["clock"].unique())
    interval = ", with the 95 % confidence interval" if rows["ratio_ci95_low"].notna().any() else ""
    lost = rows.loc[rows["ratio"].isna(), "resolution"].drop_duplicates()
    without = f" No time on one side: {', '.join(f'{px} px' for px in lost)}." if len(lost) else ""
    return (
        f"Mean time of B over that of A{interval}; above 1 B is slower. A: {_side(first, 'a')}, "
        f"{_sizes(rows, 'a')}. B: {_side(first, 'b')}, {_sizes(rows, 'b')}. Clocks: {clocks}. "
        f"Batch 1. Grey: ±{margin:g} %, in which both count as the same. Verdicts allow for the "
        "number of comparisons (Benjamini and Hochberg). A and B were not measured in turns: a "
        f"drift of the machine is not in the intervals.{without}"
    )


def _side(row: pd.Series, side: str) -> str:
    """`M, reference-fp32, on GPU X (device “lab”)`."""
    named = [row[f"{side}_{column}"] for column in ("method", "variant", "hardware", "device")]
    return "{}, {}, measured on {} (device “{}”)".format(*named)


def _sizes(rows: pd.DataFrame, side: str) -> str:
    images, processes = (
        _span(rows.loc[rows[f"{side}_images"] > 0, f"{side}_{name}"])
        for name in ("images", "processes")
    )
    return f"n = {images} images in {processes} process{'' if processes == '1' else 'es'}"


def _span(numbers: pd.Series) -> str:
    if numbers.empty:
        return "0"
    low, high = int(numbers.min()), int(numbers.max())
    return f"{low}" if low == high else f"{low}–{high}"


def _name(rows: pd.DataFrame) -> str:
    first = rows.iloc[0]
    labels = [list(dict.fromkeys(first[f"{side}_{label}"] for side in "ab")) for label in LABELS]
    return "_".join(["comparison", *("-over-".join(reversed(pair)) for pair in labels)])
