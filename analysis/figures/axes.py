"""Axes over the side of the image: small panels, curves, and the extrapolated region."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeAlias

from .canvas import (
    Style,
    add_legend,
    darker,
    log_numbers,
    method_look,
    plain_number,
    submodule_colour,
)

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WHOLE_IMAGE = "image"
"""Submodule under which the whole inference stands in tables."""

PANEL_FROM_MM = 40
"""Least width of a panel that has nothing written beside it."""


def panels(figure: Figure, count: int, style: Style, least_mm: float) -> list[Axes]:
    """So many axes over one side, in as many columns as the figure has room for.

    Args:
        figure: empty.
        count: of panels.
        style: width.
        least_mm: width of a panel with all that is written beside it.
    """
    columns = _columns(count, style, least_mm)
    rows = row_count(count, style, least_mm)
    grid = figure.subplots(rows, columns, sharex=True, squeeze=False)
    found: list[Axes] = list(grid.flat)
    for axes in found[count:]:
        axes.set_visible(False)
    for axes in found[max(count - columns, 0) : count]:
        axes.xaxis.set_tick_params(labelbottom=True)
        axes.set_xlabel("side of the image in px")
    return found[:count]


def row_count(count: int, style: Style, least_mm: float) -> int:
    """Rows that `panels` makes."""
    return math.ceil(count / _columns(count, style, least_mm))


def _columns(count: int, style: Style, least_mm: float) -> int:
    room = max(1, min(3, int(style.width_mm / least_mm)))
    return min(room, 2 if count == 4 else count)  # four in three columns would leave two places


def side_ticks(axes: Axes, sides_px: Iterable[int], most: int) -> None:
    """Measured sides as ticks: the outermost, and those between that leave room for the numbers.

    Args:
        axes: linear to the right.
        sides_px: measured, in any order, also repeatedly.
        most: how many numbers there is room for.
    """
    import pandas as pd

    sides = sorted({int(side) for side in sides_px if not pd.isna(side)})
    shown = [sides[0], sides[-1]]
    apart = (sides[-1] - sides[0]) / most
    for side in sides[1:-1]:
        if min(abs(side - other) for other in shown) >= apart:
            shown.append(side)
    axes.set_xticks(sorted(set(shown)), [f"{side:,}" for side in sorted(set(shown))])
    axes.xaxis.minorticks_off()


def part_colour(submodule: str) -> str:
    """Ink of lines and points: that of the submodule in all figures; black for the whole image."""
    return "#000000" if submodule == WHOLE_IMAGE else darker(submodule_colour(submodule))


def part_name(submodule: str) -> str:
    """Return the name as figures show it."""
    return "whole image" if submodule == WHOLE_IMAGE else submodule


Floats: TypeAlias = "npt.NDArray[np.float64]"

HEIGHT_MM = 85
LOWEST = 1e-12
"""Stands for 0, below every edge of a logarithmic axis."""
PAPER_MODEL = "second-degree least-squares fit over the side length (the paper's model)"


def scaling_axes(figure: Figure, label: str, *, with_pixels: bool) -> Axes:
    """Logarithmic axes over the side, with the pixels above where nothing else is written there."""
    from matplotlib.ticker import MaxNLocator

    axes: Axes = figure.subplots()
    axes.set_yscale("log")
    log_numbers(axes.yaxis)
    axes.xaxis.set_major_formatter(plain_number)
    axes.set_ylabel(label)
    axes.set_xlabel("side of the image in px")
    axes.grid(visible=True, axis="both")
    if not with_pixels:
        return axes
    top = axes.secondary_xaxis("top", functions=(_megapixels, _side_px))
    top.xaxis.set_major_locator(MaxNLocator(6, prune="lower"))
    top.xaxis.set_major_formatter(plain_number)
    top.set_xlabel("pixels in millions")
    return axes


def _megapixels(side_px: npt.ArrayLike) -> Floats:
    """Return the megapixels of a square; odd, so monotonic below zero, where an axis may begin."""
    import numpy as np

    side = np.asarray(side_px, np.float64)
    return np.asarray(np.sign(side) * (side / 1000) ** 2)


def _side_px(megapixels: npt.ArrayLike) -> Floats:
    import numpy as np

    pixels = np.asarray(megapixels, np.float64)
    return np.asarray(np.sign(pixels) * 1000 * np.sqrt(np.abs(pixels)))


def draw_law(axes: Axes, curve: pd.DataFrame, number: int) -> None:
    """The law chosen with its band; solid where it was fitted, dashed where extrapolated.

    Args:
        axes: logarithmic upwards.
        curve: rows of ``fit_curves.csv`` of one series; without a law nothing is drawn.
        number: place of the method.
    """
    import numpy as np

    colour = method_look(number)["color"]
    shown = curve[curve["band_low"].notna()]
    low = np.maximum(_reals(shown, "band_low"), LOWEST)
    axes.fill_between(
        _reals(shown, "resolution_px"), low, _reals(shown, "band_high"),
        color=colour, alpha=0.2, linewidth=0,
    )  # fmt: skip
    _solid_then_dashed(axes, shown, "predicted", 1.0, colour)


def draw_paper_model(axes: Axes, curve: pd.DataFrame, number: int, scale: float = 1.0) -> None:
    """The paper's model as the line; what is at or below zero cannot be drawn and is left out."""
    _solid_then_dashed(axes, curve, "study_predicted", scale, method_look(number)["color"])


def draw_paper_model_beside(axes: Axes, curve: pd.DataFrame, number: int) -> None:
    """The paper's model beside the law chosen: thin and dotted."""
    axes.plot(
        _reals(curve, "resolution_px"), _above_zero(curve, "study_predicted"), ":",
        color=method_look(number)["color"], linewidth=0.9,
    )  # fmt: skip


def finish(figure: Figure, axes: Axes, curves: pd.DataFrame, style: Style) -> None:
    """Hatches the region in which curves are extrapolated and says how far it reaches.

    Args:
        figure: whose legend is added, too.
        axes: of the curves.
        curves: rows of ``fit_curves.csv`` that are drawn.
        style: fonts.
    """
    drawn = curves[curves["study_predicted"].notna() & (curves["basis"] == "extrapolated")]
    if not drawn.empty:
        measured = curves[curves["observed"].notna() & curves["method"].isin(drawn["method"])]
        start = float(measured.groupby("method")["resolution_px"].max().min())
        end = float(drawn["resolution_px"].max())
        factor = drawn["extrapolation_factor_pixels"].max()
        axes.axvspan(start, end, facecolor="none", edgecolor="#CCCCCC", hatch="///", zorder=0)
        axes.text(
            (start + end) / 2, 0.03, f"extrapolated: up to ×{factor:.1f} in pixels",
            transform=axes.get_xaxis_transform(), ha="center",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
        )  # fmt: skip
    add_legend(figure, axes, style, most_columns=4)


def _solid_then_dashed(
    axes: Axes, curve: pd.DataFrame, column: str, scale: float, colour: str
) -> None:
    import pandas as pd

    is_fitted = curve["basis"] == "fitted"
    # the dashed part begins where the solid one ends
    parts = (
        (curve[is_fitted], "-"),
        (pd.concat([curve[is_fitted].tail(1), curve[~is_fitted]]), "--"),
    )
    for part, line in parts:
        axes.plot(
            _reals(part, "resolution_px"), _above_zero(part, column) * scale, line, color=colour
        )


def _reals(rows: pd.DataFrame, column: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    import numpy as np

    values: np.ndarray[tuple[int], np.dtype[np.float64]] = rows[column].to_numpy(
        "float64", na_value=np.nan
    )
    return values


def _above_zero(rows: pd.DataFrame, column: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Values that a logarithmic axis has a place for; nan for others."""
    import numpy as np

    values = _reals(rows, column)
    return np.where(values > 0, values, np.nan)
