"""Runtime and memory of all methods over the resolution, extrapolated (the study's 8 and 9)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.canvas import Drawing, add_legend, new_figure
from analysis.figures.captions import incomplete, measured_on, out_of_memory, uncertainty
from analysis.figures.style import METHOD_MARKERS, OKABE_ITO, Style
from analysis.fits.quadratic import fit_quadratic
from analysis.runtime_table import MAIN_CLOCK

HEIGHT_MM = 85
GIB = 2**30
MODEL = "second-degree least-squares fit over the side length (the study's model)"


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
    )
    figure = new_figure(style, HEIGHT_MM, caption)
    axes = _axes(figure, "runtime per image in ms")
    measured = points[points["status"] == "ok"]
    for number, (key, group) in enumerate(measured.groupby("method", sort=False)):
        mean_ms = group["mean_ms"]
        errors = np.array(
            [
                (mean_ms - group["ci95_low_ms"]).to_numpy("float64", na_value=np.nan),
                (group["ci95_high_ms"] - mean_ms).to_numpy("float64", na_value=np.nan),
            ]
        )
        axes.errorbar(
            group["resolution_px"], mean_ms, errors,
            linestyle="", capsize=2, **_look(number), label=str(key),
        )  # fmt: skip
        _curve(axes, _of(curves, str(key)), number, scale=1.0)
        _band(axes, _of(curves, str(key)), group, number)
    if not measured.empty:  # a wide interval reaches below zero, which has no place on this axis
        axes.set_ylim(bottom=measured["mean_ms"].min() / 3)
    _finish(figure, axes, curves, style)
    data = pd.concat([points.assign(basis="measured"), curves], ignore_index=True)
    return Drawing(f"scaling_runtime_{device}_{variant}", figure, data)


def scaling_memory(memory: pd.DataFrame, fits: pd.DataFrame, style: Style) -> Drawing:
    """Memory of all methods in one variant: exact counts, and the study's extrapolation.

    Args:
        memory: the rows of ``memory.csv`` of that variant.
        fits: ``fits.csv``.
        style: sizes and fonts.
    """
    variant = memory["variant"].iloc[0]
    keys = ["method", "variant", "resolution_px", "pixels"]
    points = memory.groupby(keys, sort=False, as_index=False)["total_bytes"].sum()
    curves = fits[
        (fits["quantity"] == "total_memory")
        & (fits["variant"] == variant)
        & (fits["submodule"] == "method")
    ]
    caption = (
        f"{variant}: memory at batch 1 in 32-bit floats: parameters, buffers and the outputs of "
        "all layers that own parameters (study, equations 1 to 3; an upper bound). Points: "
        f"counted exactly at every resolution shown, no image is run. Lines: {MODEL} through the "
        "filled points, the studied resolutions; dashed where extrapolated. Hollow points: counted "
        f"there too, and not fitted.{incomplete(memory)}"
    )
    figure = new_figure(style, HEIGHT_MM, caption)
    axes = _axes(figure, "memory in GiB")
    for number, (key, group) in enumerate(points.groupby("method", sort=False)):
        fit = _of(curves, str(key))
        fitted_to_px = fit["max_resolution_px"].iloc[0] if len(fit) else 0
        is_fitted = group["resolution_px"] <= fitted_to_px
        for part, face in ((group[is_fitted], None), (group[~is_fitted], "white")):
            axes.plot(
                part["resolution_px"], part["total_bytes"] / GIB, linestyle="", **_look(number),
                markerfacecolor=face, zorder=3, label=None if face else str(key),
            )  # fmt: skip
        _curve(axes, fit, number, scale=1 / GIB)
    _finish(figure, axes, curves, style)
    data = pd.concat([points.assign(basis="counted"), curves], ignore_index=True)
    return Drawing(f"scaling_memory_{variant}", figure, data)


def _axes(figure: Figure, label: str) -> Axes:
    axes = figure.subplots()
    axes.set_yscale("log")
    # plain numbers: the usual 10^n needs a markup that would misread users' labels
    axes.yaxis.set_major_formatter(
        lambda value, _position: f"{value:,g}" if value < 1e6 else f"{value:,.0f}"
    )
    axes.set_ylabel(label)
    axes.set_xlabel("side of the image in px")
    axes.grid(visible=True, axis="both")
    top = axes.secondary_xaxis("top", functions=(lambda s: s, lambda s: s))
    ticks_mp = [0.25, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 16, 20]
    top.set_xticks([1000 * mp**0.5 for mp in ticks_mp], [f"{mp:g}" for mp in ticks_mp])
    top.set_xlabel("pixels in millions")
    return axes


def _look(number: int) -> dict[str, Any]:
    return {
        "color": OKABE_ITO[number % len(OKABE_ITO)],
        "marker": METHOD_MARKERS[number % len(METHOD_MARKERS)],
    }


def _of(curves: pd.DataFrame, method: str) -> pd.DataFrame:
    found: pd.DataFrame = curves[curves["b0"].notna() & (curves["method"] == method)]
    return found


def _curve(axes: Axes, fit: pd.DataFrame, number: int, scale: float) -> None:
    """The fitted polynomial; the part at or below zero cannot be drawn and is left out."""
    if fit.empty:
        return
    row = fit.iloc[0]
    colour = OKABE_ITO[number % len(OKABE_ITO)]
    limits = [row["min_resolution_px"], row["max_resolution_px"], row["extrapolate_to_px"]]
    for start, end, line in ((limits[0], limits[1], "-"), (limits[1], limits[2], "--")):
        side = np.linspace(start, max(start, end), 200)
        value = (row["b0"] + row["b1"] * side + row["b2"] * side**2) * scale
        axes.plot(side, np.where(value > 0, value, np.nan), line, color=colour)


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
        color=_look(number)["color"], alpha=0.2, linewidth=0,
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


def _finish(figure: Figure, axes: Axes, curves: pd.DataFrame, style: Style) -> None:
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
    add_legend(figure, axes, style, most_columns=2)
