"""Small panels over the side of the image, one for each submodule or method."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .style import Style, darker, submodule_colour

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
    """As it stands in a figure."""
    return "whole image" if submodule == WHOLE_IMAGE else submodule
