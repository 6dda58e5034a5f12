"""What figures over the side of the image have in common: axes, curves, the extrapolated region."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.canvas import add_legend, log_numbers, plain_number
from analysis.figures.style import Style, method_look

HEIGHT_MM = 85
MODEL = "second-degree least-squares fit over the side length (the study's model)"


def scaling_axes(figure: Figure, label: str, *, with_pixels: bool) -> Axes:
    """Logarithmic axes over the side, with the pixels above where nothing else is written there."""
    axes: Axes = figure.subplots()
    axes.set_yscale("log")
    log_numbers(axes.yaxis)
    axes.xaxis.set_major_formatter(plain_number)
    axes.set_ylabel(label)
    axes.set_xlabel("side of the image in px")
    axes.grid(visible=True, axis="both")
    if not with_pixels:
        return axes
    top = axes.secondary_xaxis("top", functions=(lambda s: s, lambda s: s))
    ticks_mp = [0.25, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 16, 20]
    top.set_xticks([1000 * mp**0.5 for mp in ticks_mp], [f"{mp:g}" for mp in ticks_mp])
    top.set_xlabel("pixels in millions")
    return axes


def fit_of(curves: pd.DataFrame, method: str) -> pd.DataFrame:
    """The row of a method among fits, if it was not refused."""
    found: pd.DataFrame = curves[curves["b0"].notna() & (curves["method"] == method)]
    return found


def draw_curve(axes: Axes, fit: pd.DataFrame, number: int, scale: float) -> None:
    """The fitted polynomial; the part at or below zero cannot be drawn and is left out."""
    if fit.empty:
        return
    row = fit.iloc[0]
    colour = method_look(number)["color"]
    limits = [row["min_resolution_px"], row["max_resolution_px"], row["extrapolate_to_px"]]
    for start, end, line in ((limits[0], limits[1], "-"), (limits[1], limits[2], "--")):
        side = np.linspace(start, max(start, end), 200)
        value = (row["b0"] + row["b1"] * side + row["b2"] * side**2) * scale
        axes.plot(side, np.where(value > 0, value, np.nan), line, color=colour)


def finish(figure: Figure, axes: Axes, curves: pd.DataFrame, style: Style) -> None:
    """Hatches the extrapolated region and says how far it reaches."""
    fitted = curves[curves["b0"].notna()]
    if not fitted.empty:
        start = float(fitted["max_resolution_px"].min())
        end = float(fitted["extrapolate_to_px"].max())
        factor = fitted["extrapolation_factor_pixels"].max()
        if end > start:
            axes.axvspan(start, end, facecolor="none", edgecolor="#CCCCCC", hatch="///", zorder=0)
            axes.text(
                (start + end) / 2, 0.03, f"extrapolated: up to ×{factor:.1f} in pixels",
                transform=axes.get_xaxis_transform(), ha="center",
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
            )  # fmt: skip
    add_legend(figure, axes, style, most_columns=4)
