"""Latency against deviation: which points there are, where they stand, and what the figure says."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import pandas as pd
import pytest

from adscale.resolution import square
from adscale.variant import Variant
from analysis.columns import size_values
from analysis.figures.canvas import Style, rc_parameters
from analysis.figures.draw import study_figures
from analysis.figures.pareto import LEAST, Point, front, pareto
from analysis.hardware import Hardware
from analysis.ratios import IMPLEMENTATIONS
from analysis.runtime_table import RUNTIME
from analysis.tables import make_table

NAMED = {"device": "lab", "hardware": "CPU X", "method": "M"}
FOUND = {
    "reference-fp32": (100.0, None),
    "optimized-fp32": (70.0, 0.0),
    "optimized-bf16-openvino": (30.0, 0.01),
    "optimized-int8-openvino": (40.0, 0.2),
    "optimized-fp32-pruned50": (20.0, 0.9),
    "optimized-fp32-b4": (200.0, 0.0),
    "optimized-fp32-compile": (60.0, None),
}
"""Latency in ms and deviation."""


def tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    def row(variant: str, side_px: int, **more: Any) -> dict[str, Any]:
        known = {**NAMED, "variant": variant, **size_values(square(side_px)), **more}
        return {**dict.fromkeys(more["schema"]), **known}

    implementations = [
        row(variant, side_px, schema=IMPLEMENTATIONS.schema, submodule="image", role="image",
            map_deviation_max=off, exceeds_bound=off is not None and off > 0.1)
        for variant, (_, off) in FOUND.items()
        for side_px in (256, 512)
        if variant != "reference-fp32"
    ]  # fmt: skip
    runtime = [
        row(variant, side_px, schema=RUNTIME.schema, submodule="end_to_end", role="end_to_end",
            clock="latency", status="ok", images=5, processes=1, collector="none",
            verdict="shared" if "int8" in variant else "steady", mean_ms=ms * side_px / 256)
        for variant, (ms, _) in FOUND.items()
        for side_px in (256, 512)
    ]  # fmt: skip
    return (
        make_table([{k: v for k, v in one.items() if k != "schema"} for one in implementations],
                   IMPLEMENTATIONS.schema),
        make_table([{k: v for k, v in one.items() if k != "schema"} for one in runtime],
                   RUNTIME.schema),
    )  # fmt: skip


def test_a_point_for_each_variant_of_one_image_whose_deviation_is_known() -> None:
    with mpl.rc_context(rc_parameters(Style())):  # type: ignore[arg-type]
        drawing = pareto(*tables(), Style())
    assert drawing.name == "pareto_lab_M"
    names = {"reference-fp32", "optimized-fp32", "optimized-bf16-openvino",
             "optimized-int8-openvino", "optimized-fp32-pruned50"}  # fmt: skip
    assert set(drawing.data["variant"]) == names
    first, second = (axes for axes in drawing.figure.axes if axes.get_visible())
    assert [axes.get_title("left") for axes in (first, second)] == ["256 px", "512 px"]
    markers = [(line.get_marker(), line.get_xydata().tolist()) for line in first.lines]
    steps, *points = markers
    assert steps[1] == [[LEAST, 70], [0.01, 30], [0.9, 20]], "none of these is nearer and faster"
    assert ("*", [[LEAST, 100.0]]) in points
    assert ("s", [[0.01, 30.0]]) in points
    assert [mark for mark, place in points if place == [[0.2, 40.0]]] == ["^", "o", "x"]
    assert [one.get_text() for one in first.texts] == ["−50 %"]
    legend = [one.get_text() for one in drawing.figure.legends[0].get_texts()]
    assert {"openvino", "eager", "fp32", "bf16", "int8", "above its bound", "not steady"} < set(
        legend
    )
    assert "compile" not in legend


def test_its_caption_has_three_lines_and_says_what_pruned_networks_are() -> None:
    drawing = pareto(*tables(), Style())
    caption = drawing.figure.texts[0].get_text()
    assert len(caption.splitlines()) <= 3
    assert "−N %: channels pruned, and nothing trained again." in caption.replace("\n", " ")
    assert "CPU X (device “lab”)" in caption.replace("\n", " ").replace("\u00a0", " ")


def test_there_is_one_where_a_method_has_other_variants_than_plain_ones() -> None:
    implementations, runtime = tables()
    plain = implementations[implementations["variant"] == "optimized-fp32"]
    for table, names in ((implementations, ["pareto_lab_M"]), (plain, [])):
        given = {"implementations": table, "runtime": runtime}
        found = study_figures(given, Hardware((), ()), Style())
        assert [name for name in found if name.startswith("pareto")] == names


@pytest.mark.parametrize("turned", [False, True])
def test_the_front_holds_what_is_not_worse_in_both(turned: bool) -> None:
    variant = Variant("optimized", "fp32")
    pairs = [(0.0, 9.0), (0.0, 8.0), (0.1, 8.0), (0.2, 3.0), (0.3, 4.0), (0.4, 1.0)]
    points = [Point(variant, off, ms, exceeds=False, unsteady=False) for off, ms in pairs]
    found = front(points[::-1] if turned else points)
    assert [(one.deviation, one.latency_ms) for one in found] == [
        (0.0, 8.0),
        (0.2, 3.0),
        (0.4, 1.0),
    ]
