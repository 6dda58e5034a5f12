"""Runtime of all methods over the resolution, extrapolated (the study's figure 9)."""

from __future__ import annotations

import pandas as pd

from ..fits.series import WHOLE_METHOD
from ..profiles.times import MAIN_CLOCK
from .canvas import Drawing, new_figure
from .captions import measured_on, out_of_memory, slowed_down, uncertainty
from .edge_labels import settle
from .fit_words import band_words, refused_words, study_words
from .hardware import Hardware
from .hardware_lines import add_hardware_lines, hardware_words
from .marks import draw_points, settings_words, unsteady_words
from .scaling_axes import (
    HEIGHT_MM,
    STUDY_MODEL,
    draw_law,
    draw_study,
    draw_study_beside,
    finish,
    scaling_axes,
)
from .side_panels import WHOLE_IMAGE
from .style import Style

ROOM = 3.0
"""Between the outermost points and laws and the edges; a band may reach beyond them."""

UNCOVERED = 0.02
"""Share of an image's time in no submodule up to which the sum of the submodules stands for it."""


def scaling_runtime(
    runtime: pd.DataFrame,
    fits: pd.DataFrame,
    curves: pd.DataFrame,
    hardware: Hardware,
    style: Style,
) -> Drawing:
    """Runtime of whole images on one device, of all methods in one variant.

    Args:
        runtime: the rows of ``runtime.csv`` of that device and variant.
        fits: ``fits.csv``.
        curves: ``fit_curves.csv``.
        hardware: sensors to mark; GPUs say nothing of times.
        style: sizes and fonts.
    """
    device, variant = runtime["device"].iloc[0], runtime["variant"].iloc[0]
    clocks = runtime["device_type"].map(MAIN_CLOCK)
    points = runtime[(runtime["role"] == "image") & (runtime["clock"] == clocks)]
    summed = _summed(curves, points)
    shown, drawn = (_of_methods(table, points, summed) for table in (fits, curves))
    sensors = Hardware((), hardware.sensors)
    largest_px = _end_of_lines(drawn)
    has_band = bool(drawn["band_low"].notna().any())
    lines = (
        f"Lines: laws of growth (fits.csv), {_law_words(shown)}; dotted: {STUDY_MODEL}"
        if has_band
        else f"Lines: {STUDY_MODEL}"
    )
    caption = (
        f"{variant}: {measured_on(points)}{uncertainty(points)}. {lines}; dashed where "
        f"extrapolated.{band_words(shown)}{refused_words(shown)}{study_words(shown)}"
        f"{out_of_memory(points)}{hardware_words(sensors, largest_px)}"
        f"{settings_words(points)}{unsteady_words(points)}{slowed_down(runtime)}"
    )
    figure = new_figure(style, HEIGHT_MM, caption)
    axes = scaling_axes(figure, "runtime per image in ms", with_pixels=not sensors.sensors)
    measured = points[points["status"] == "ok"]
    for number, (key, group) in enumerate(measured.groupby("method", sort=False)):
        draw_points(axes, group, number, str(key))
        curve = drawn[drawn["method"] == key]
        if curve["band_low"].notna().any():
            draw_law(axes, curve, number)
            draw_study_beside(axes, curve, number)
        else:
            draw_study(axes, curve, number)
    if not measured.empty:  # what reaches below zero or very far has no place on this axis
        highest = max(measured["mean_ms"].max(), drawn["predicted"].fillna(0).max())
        axes.set_ylim(measured["mean_ms"].min() / ROOM, highest * ROOM)
    marks = add_hardware_lines(axes, sensors, largest_px, style)
    finish(figure, axes, drawn, style)
    settle(figure, marks)
    data = pd.concat([points.assign(basis="measured"), drawn], ignore_index=True)
    return Drawing(f"scaling_runtime_{device}_{variant}", figure, data)


def _summed(curves: pd.DataFrame, points: pd.DataFrame) -> set[str]:
    """Methods whose submodules are all of the image, so that their laws make up its law."""
    key = ["method", "device", "variant", "clock", "resolution_px"]
    sums = curves[(curves["submodule"] == WHOLE_METHOD) & curves["observed"].notna()]
    both = points[[*key, "mean_ms"]].dropna().merge(sums[[*key, "observed"]], on=key)
    apart = (both["observed"] / both["mean_ms"] - 1).abs()
    worst = apart.groupby(both["method"]).max()
    return set(worst[worst <= UNCOVERED].index)


def _of_methods(table: pd.DataFrame, points: pd.DataFrame, summed: set[str]) -> pd.DataFrame:
    """The rows of a table of fits that are of the same images by the same clock."""
    key = ["device", "variant", "clock"]
    wanted = points[key].drop_duplicates()
    found = table[table["quantity"] == "runtime"].merge(wanted, on=key)
    part = found["method"].isin(summed).map({True: WHOLE_METHOD, False: WHOLE_IMAGE})
    return found[found["submodule"] == part]


def _end_of_lines(curves: pd.DataFrame) -> int:
    """The largest side in px at which anything is drawn: beyond the limit nothing is; 0 without."""
    told = curves[["study_predicted", "predicted", "observed"]].notna().any(axis=1)
    return int(curves.loc[told, "resolution_px"].max()) if told.any() else 0


def _law_words(fits: pd.DataFrame) -> str:
    """Which laws the lines are: sums of the submodules' laws, or of whole images."""
    given = fits[fits["interval_refused"].fillna("") == ""]
    whole = given.loc[given["submodule"] == WHOLE_IMAGE, "method"]
    if whole.empty:
        return "summed over the submodules"
    if len(whole) == len(given):
        return "of whole images"
    return f"summed over the submodules, and of whole images of {', '.join(whole)}"
