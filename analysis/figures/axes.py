"""Axes over the side of the image: small panels, curves, and the extrapolated region."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeAlias

from adscale.resolution import Resolution

from ..columns import images_in
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
        axes.set_xlabel(SIDE)
    return found[:count]


def row_count(count: int, style: Style, least_mm: float) -> int:
    """Rows that `panels` makes."""
    return math.ceil(count / _columns(count, style, least_mm))


def _columns(count: int, style: Style, least_mm: float) -> int:
    room = max(1, min(3, int(style.width_mm / least_mm)))
    return min(room, 2 if count == 4 else count)  # four in three columns would leave two places


def size_ticks(axes: Axes, rows: pd.DataFrame, most: int) -> None:
    """Measured resolutions as ticks: the outermost, and those between that leave room for others.

    Args:
        axes: linear to the right, over the square root of the pixels.
        rows: measured, with the columns of a size, in any order, also repeatedly.
        most: how many sides there is room for. Of a width and a height there is for half as many.
    """
    sizes = images_in(rows)
    if any(not size.is_square for size in sizes):
        most = max(most // 2, 1)
        axes.set_xlabel(axes.get_xlabel() and WIDTH_HEIGHT)
    shown = [sizes[0], sizes[-1]]
    apart = (sizes[-1].side_px - sizes[0].side_px) / most
    for size in sizes[1:-1]:
        if min(abs(size.side_px - other.side_px) for other in shown) >= apart:
            shown.append(size)
    ticks = {size.side_px: size.words for size in sorted(set(shown))}
    axes.set_xticks(list(ticks), list(ticks.values()))
    axes.xaxis.minorticks_off()


SIDE = "side of the image in px"
WIDTH_HEIGHT = "width × height of the image in px"
"""Label of an axis with resolutions as ticks, where not all images are squares."""

SIDE_OF_PIXELS = "square root of the pixels (of a square its side) in px"
"""Label of an axis over the side, where not all images are squares."""

FEW = 6
"""So many widths and heights have room beside each other."""


def name_sizes(axes: Axes, resolutions: Iterable[str], style: Style) -> None:
    """Names columns or bars, which stand at 0, 1, 2, …, by their resolutions."""
    sizes = [Resolution.of(one) for one in resolutions]
    squares = all(size.is_square for size in sizes)
    axes.set_xlabel(SIDE if squares else WIDTH_HEIGHT)
    axes.set_xticks(range(len(sizes)), [size.words for size in sizes])
    if not squares and len(sizes) > FEW:
        axes.xaxis.set_tick_params(labelsize=style.font_pt - 3, rotation=30)


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


def paper_model(rows: pd.DataFrame) -> str:
    """What the paper's model is, in words; of images that are no squares its side is √pixels."""
    squares = all(size.is_square for size in images_in(rows))
    over = "the side length" if squares else "the square root of the pixels"
    return f"second-degree least-squares fit over {over} (the paper's model)"


def scaling_axes(figure: Figure, label: str, rows: pd.DataFrame, *, with_pixels: bool) -> Axes:
    """Logarithmic axes over the side, with the pixels above where nothing else is written there.

    Args:
        figure: empty.
        label: upwards.
        rows: what was measured or counted, with the columns of a size.
        with_pixels: whether the axis above is added.
    """
    from matplotlib.ticker import MaxNLocator

    axes: Axes = figure.subplots()
    axes.set_yscale("log")
    log_numbers(axes.yaxis)
    axes.xaxis.set_major_formatter(plain_number)
    axes.set_ylabel(label)
    squares = all(size.is_square for size in images_in(rows))
    axes.set_xlabel(SIDE if squares else SIDE_OF_PIXELS)
    axes.grid(visible=True, axis="both")
    if not with_pixels:
        return axes
    top = axes.secondary_xaxis("top", functions=(_megapixels, _side_px))
    top.xaxis.set_major_locator(MaxNLocator(6, prune="lower"))
    top.xaxis.set_major_formatter(plain_number)
    top.set_xlabel("pixels in millions")
    return axes


def _megapixels(side_px: npt.ArrayLike) -> Floats:
    """Return the megapixels of a side; odd, so monotonic below zero, where an axis may begin."""
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
        _reals(shown, "side_px"), low, _reals(shown, "band_high"),
        color=colour, alpha=0.2, linewidth=0,
    )  # fmt: skip
    _solid_then_dashed(axes, shown, "predicted", 1.0, colour)


def draw_paper_model(axes: Axes, curve: pd.DataFrame, number: int, scale: float = 1.0) -> None:
    """The paper's model as the line; what is at or below zero cannot be drawn and is left out."""
    _solid_then_dashed(axes, curve, "study_predicted", scale, method_look(number)["color"])


def draw_paper_model_beside(axes: Axes, curve: pd.DataFrame, number: int) -> None:
    """The paper's model beside the law chosen: thin and dotted."""
    axes.plot(
        _reals(curve, "side_px"), _above_zero(curve, "study_predicted"), ":",
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
        start = float(measured.groupby("method")["side_px"].max().min())
        end = float(drawn["side_px"].max())
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
        axes.plot(_reals(part, "side_px"), _above_zero(part, column) * scale, line, color=colour)


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
