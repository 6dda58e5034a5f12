"""Time of the optimized implementation over that of the reference, over the resolution."""

from __future__ import annotations

import numpy as np
import pandas as pd

from .canvas import Drawing, log_numbers, new_figure
from .captions import CLOCK_WORDS
from .edge_labels import EdgeLabel, add_edge_labels, settle
from .marks import cross_unsteady
from .side_panels import part_colour, part_name, side_ticks
from .style import Style

HEIGHT_MM = 70
TICKS = 6


def implementation_ratios(implementations: pd.DataFrame, style: Style) -> Drawing:
    """Ratio of the times per submodule, of one device × method × precision.

    Args:
        implementations: its rows of ``implementations.csv``.
        style: sizes and fonts.
    """
    first = implementations.iloc[0]
    images = implementations[["reference_images", "optimized_images"]]
    has_interval = bool(implementations["time_ratio_ci95_low"].notna().any())
    caption = (
        f"{first['method']}, {first['precision']}: time of the optimized implementation over that "
        f"of the reference{', with the 95 % confidence interval' if has_interval else ''}. Below 1 "
        f"it is faster. {CLOCK_WORDS[first['clock']]}, measured on {first['hardware']} (device "
        f"“{first['device']}”), batch 1, n = {_range(images)} images. The "
        "two were measured one after the other: a drift of the machine is not in the interval."
        f"{_unsteady_words(implementations)}"
    )
    figure = new_figure(style, HEIGHT_MM, caption)
    axes = figure.subplots()
    axes.axhline(1, color="#555555", linewidth=0.8, zorder=1)
    ends = []
    measured = implementations[implementations["time_ratio"].notna()]
    for part, rows in measured.groupby("submodule", sort=False):
        colour, ratio = part_colour(str(part)), rows["time_ratio"]
        ends_of = (ratio - rows["time_ratio_ci95_low"], rows["time_ratio_ci95_high"] - ratio)
        axes.errorbar(
            rows["resolution_px"], ratio,
            np.array([end.to_numpy("float64", na_value=np.nan) for end in ends_of]),
            color=colour, marker="o", markersize=3, capsize=2, elinewidth=0.7,
        )  # fmt: skip
        cross_unsteady(axes, rows.assign(verdict=_worse(rows)), ratio)
        ends.append(EdgeLabel(float(ratio.iloc[-1]), part_name(str(part)), colour))
    axes.set_yscale("log")
    ratios = [1.0, *measured["time_ratio"]]
    axes.set_ylim(min(ratios) / 1.5, max(ratios) * 1.5)
    log_numbers(axes.yaxis)
    axes.set_ylabel("time, optimized / reference")
    axes.set_xlabel("side of the image in px")
    side_ticks(axes, implementations["resolution_px"], TICKS)
    settle(figure, [add_edge_labels(axes, "right", ends, style.font_pt - 1.5)])
    name = f"implementations_{first['device']}_{first['method']}_{first['precision']}"
    return Drawing(name, figure, implementations.assign(basis="measured"))


def _worse(rows: pd.DataFrame) -> pd.Series:
    """The verdict of the implementation that was not steady; that of the reference if both."""
    optimized = rows["optimized_verdict"]
    return rows["reference_verdict"].where(rows["reference_verdict"] != "steady", optimized)


def _unsteady_words(implementations: pd.DataFrame) -> str:
    """A sentence on the runs that were not steady, or nothing."""
    named = []
    for side in ("reference", "optimized"):
        runs = implementations[["resolution_px", f"{side}_verdict"]].dropna().drop_duplicates()
        for verdict, of_one in runs.groupby(f"{side}_verdict", sort=False):
            if verdict != "steady":
                at = ", ".join(f"{side_px:,}" for side_px in of_one["resolution_px"])
                named.append(f"{side} at {at} px ({verdict})")
    return f" Not steady (crossed out): {'; '.join(named)}." if named else ""


def _range(images: pd.DataFrame) -> str:
    low, high = images.min().min(), images.max().max()
    return f"{low}" if low == high else f"{low}–{high}"
