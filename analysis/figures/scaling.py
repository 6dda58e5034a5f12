"""Runtime of all methods over the resolution, extrapolated (the study's figure 9)."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.figures.canvas import Drawing, new_figure
from analysis.figures.captions import measured_on, out_of_memory, slowed_down, uncertainty
from analysis.figures.marks import draw_points, settings_words, unsteady_words
from analysis.figures.scaling_axes import (
    HEIGHT_MM,
    MODEL,
    draw_curve,
    finish,
    fit_of,
    scaling_axes,
)
from analysis.figures.style import Style, method_look
from analysis.fits.quadratic import fit_quadratic
from analysis.runtime_table import MAIN_CLOCK


def scaling_runtime(runtime: pd.DataFrame, fits: pd.DataFrame, style: Style) -> Drawing:
    """Runtime of whole images on one device, of all methods in one variant.

    Args:
        runtime: the rows of ``runtime.csv`` of that device and variant.
        fits: ``fits.csv``.
        style: sizes and fonts.
    """
    device, variant = runtime["device"].iloc[0], runtime["variant"].iloc[0]
    clocks = runtime["device_type"].map(MAIN_CLOCK)
    points = runtime[(runtime["role"] == "image") & (runtime["clock"] == clocks)]
    curves = fits[
        (fits["quantity"] == "runtime")
        & (fits["device"] == device)
        & (fits["variant"] == variant)
        & (fits["submodule"] == "image")
        & (fits["clock"].isin(points["clock"].unique()))
    ]
    caption = (
        f"{variant}: {measured_on(points)}{uncertainty(points)}. Lines: {MODEL}; dashed where "
        f"extrapolated.{_interval_words(curves)}{_problem_words(curves)}{out_of_memory(points)}"
        f"{settings_words(points)}{unsteady_words(points)}{slowed_down(runtime)}"
    )
    figure = new_figure(style, HEIGHT_MM, caption)
    axes = scaling_axes(figure, "runtime per image in ms", with_pixels=True)
    measured = points[points["status"] == "ok"]
    for number, (key, group) in enumerate(measured.groupby("method", sort=False)):
        draw_points(axes, group, number, str(key))
        draw_curve(axes, fit_of(curves, str(key)), number, scale=1.0)
        _band(axes, fit_of(curves, str(key)), group, number)
    if not measured.empty:  # a wide interval reaches below zero, which has no place on this axis
        axes.set_ylim(bottom=measured["mean_ms"].min() / 3)
    finish(figure, axes, curves, style)
    data = pd.concat([points.assign(basis="measured"), curves], ignore_index=True)
    return Drawing(f"scaling_runtime_{device}_{variant}", figure, data)


def _band(axes: Axes, fit: pd.DataFrame, measured: pd.DataFrame, number: int) -> None:
    """The model's 95 % prediction interval beyond the measured resolutions, unless refused."""
    if fit.empty or pd.isna(fit.iloc[0]["predicted_low"]):
        return
    row = fit.iloc[0]
    parabola = fit_quadratic(measured["resolution_px"], measured["mean_ms"])
    side = np.linspace(row["max_resolution_px"], row["extrapolate_to_px"], 200)
    low, high = parabola.prediction_interval(side)
    lowest_shown = measured["mean_ms"].min() / 10  # below zero there is no logarithm
    axes.fill_between(
        side.astype(float), np.maximum(low, lowest_shown), np.maximum(high, lowest_shown),
        color=method_look(number)["color"], alpha=0.2, linewidth=0,
    )  # fmt: skip


def _interval_words(curves: pd.DataFrame) -> str:
    given = curves["predicted_low"].notna()
    if given.any():
        return " Bands: 95 % prediction interval of that model, if it holds."
    reasons = [reason for reason in curves["interval_refused"].dropna().unique() if reason]
    return f" No prediction interval: {'; '.join(reasons)}." if reasons else ""


def _problem_words(curves: pd.DataFrame) -> str:
    """A sentence on curves that end at or below zero, which no time can, or nothing."""
    wrong = curves[curves["predicted_problem"].fillna("") != ""]
    if wrong.empty:
        return ""
    return f" Falls to zero or below, and so predicts nothing: {', '.join(wrong['method'])}."
