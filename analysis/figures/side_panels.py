"""Small panels over the side of the image, one for each submodule or method."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.style import Style, submodule_colour

WHOLE_IMAGE = "image"
"""Submodule under which the whole inference stands in tables."""

MOST_TICKS = 5
TWO_COLUMNS_FROM_MM = 80
THREE_COLUMNS_FROM_MM = 120


def panels(figure: Figure, count: int, style: Style) -> list[Axes]:
    """So many axes over one side, in as many columns as the figure has room for."""
    columns = _columns(count, style)
    grid = figure.subplots(row_count(count, style), columns, sharex=True, squeeze=False)
    found: list[Axes] = list(grid.flat)
    for axes in found[count:]:
        axes.set_visible(False)
    for axes in found[max(count - columns, 0) : count]:
        axes.xaxis.set_tick_params(labelbottom=True)
        axes.set_xlabel("side of the image in px")
    return found[:count]


def row_count(count: int, style: Style) -> int:
    """Rows that `panels` makes."""
    return math.ceil(count / _columns(count, style))


def _columns(count: int, style: Style) -> int:
    wide = style.width_mm
    room = 3 if wide >= THREE_COLUMNS_FROM_MM else 2 if wide >= TWO_COLUMNS_FROM_MM else 1
    return min(room, 2 if count == 4 else count)  # four in three columns would leave two places


def side_ticks(axes: Axes, sides_px: Iterable[int]) -> None:
    """Some of the measured sides as ticks, so far apart that their numbers do not touch."""
    sides = sorted(set(sides_px))
    if len(sides) > MOST_TICKS:
        wanted = np.linspace(sides[0], sides[-1], MOST_TICKS)
        sides = sorted({sides[int(np.argmin(np.abs(np.array(sides) - at)))] for at in wanted})
    axes.set_xticks(sides, [f"{side:,}" for side in sides])
    axes.xaxis.minorticks_off()


def part_colour(submodule: str) -> str:
    """That of the submodule in all figures; black for the whole image."""
    return "#000000" if submodule == WHOLE_IMAGE else submodule_colour(submodule)


def part_name(submodule: str) -> str:
    """As it stands in a figure."""
    return "whole image" if submodule == WHOLE_IMAGE else submodule
