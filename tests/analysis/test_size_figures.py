"""Figures of studies with images that are not square."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from adscale.resolution import Resolution
from analysis.columns import size_values
from analysis.figures.canvas import Drawing
from analysis.memory_table import Count
from tests.analysis.drawings import (
    VARIANT,
    caption,
    count_of,
    draw,
    latency_table,
    read,
    runtime_table,
)

SHAPES = {384: Resolution(512, 288), 640: Resolution(800, 512)}
"""Rectangles of as many pixels as the squares with these sides, two of five that are measured."""


def in_shapes(table: pd.DataFrame) -> pd.DataFrame:
    """A table whose images of these sides have these shapes."""
    found = table.copy()
    for side_px, shape in SHAPES.items():
        for column, value in size_values(shape).items():
            found.loc[table["side_px"] == side_px, column] = value
    return found


def counts() -> list[Count]:
    return [
        one
        if (shape := SHAPES.get(one.resolution.width_px)) is None
        else one._replace(resolution=shape, content=replace(one.content, resolution=shape))
        for one in read(count_of())
    ]


def drawn(name: str) -> Drawing:
    runtime = pd.concat([runtime_table(), latency_table()], ignore_index=True)
    return draw(f"{name}_{VARIANT}", in_shapes(runtime), counts())


@pytest.mark.parametrize("name", ["runtime_share_lab_M", "memory_peak_M", "latency_parts_lab_M"])
def test_columns_are_named_by_width_and_height(name: str) -> None:
    axes = drawn(name).figure.axes[-1]
    labels = [label.get_text() for label in axes.get_xticklabels()]
    # of eleven counts eight are shown
    assert labels[:3] == ["256", "512x288", "512"]
    assert ("800x512" in labels) == (name != "memory_peak_M")
    assert axes.get_xlabel() == "width × height of the image in px"


def test_ticks_are_resolutions_at_the_root_of_their_pixels() -> None:
    figure = drawn("clocks_lab_M").figure
    panels = [one for one in figure.axes if one.get_xlabel().startswith("width × height")]
    assert panels
    ticks = {
        label.get_text(): place
        for label, place in zip(panels[-1].get_xticklabels(), panels[-1].get_xticks(), strict=True)
    }
    assert ticks.keys() <= {"256", "512x288", "512", "800x512", "768"}
    assert all(place == Resolution.of(name).side_px for name, place in ticks.items())


@pytest.mark.parametrize("name", ["scaling_runtime_lab", "scaling_memory"])
def test_an_axis_over_the_side_says_that_it_is_the_root_of_the_pixels(name: str) -> None:
    drawing = drawn(name)
    said = drawing.figure.axes[0].get_xlabel()
    assert said == "square root of the pixels (of a square its side) in px"
    assert {"512x288", "800x512"} <= set(drawing.data["resolution"])
    assert "over the square root of the pixels (the paper's model)" in caption(drawing)


def test_what_is_not_steady_is_named_by_its_width_and_height() -> None:
    runtime = in_shapes(runtime_table())
    runtime.loc[runtime["resolution"] == "512x288", "verdict"] = "drifting"
    drawing = draw(f"scaling_runtime_lab_{VARIANT}", runtime, counts())
    assert "M at 512x288 px (drifting)" in caption(drawing).replace("\u00a0", " ")
