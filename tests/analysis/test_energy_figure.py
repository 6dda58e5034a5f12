"""Energy per image over the resolution, or why there is none."""

from __future__ import annotations

import pandas as pd
import pytest
from matplotlib.container import ErrorbarContainer

from analysis.figures.canvas import Drawing
from tests.analysis.drawings import (
    SIDES_PX,
    VARIANT,
    caption,
    draw,
    latency_table,
    runs_table,
    runtime_table,
    texts,
)

NAME = f"energy_lab_{VARIANT}"


def drawn(runs: pd.DataFrame) -> Drawing:
    return draw(NAME, runtime_table(), runs=runs)


def measured(runtime: pd.DataFrame, joules: float = 2.0, **more: object) -> pd.DataFrame:
    """Runs with that energy per megapixel, known to 5 %."""
    runs = runs_table(runtime, measured_images=20, energy_window_s=9.0, **more)
    energy_j = runs["side_px"] ** 2 / 1e6 * joules
    return runs.assign(energy_per_image_j=energy_j, energy_per_image_error_j=0.05 * energy_j)


def whiskers(drawing: Drawing) -> list[list[float]]:
    """Both ends of each whisker, from left to right."""
    found = [each for each in drawing.figure.axes[0].containers
             if isinstance(each, ErrorbarContainer) and each.has_yerr]  # fmt: skip
    (container,) = found
    (bars,) = container[2]
    return [[float(y) for _, y in segment] for segment in bars.get_segments()]


def test_every_process_is_a_point_with_its_error() -> None:
    both = [measured(runtime_table()), measured(runtime_table(), 3.0).assign(process=2)]
    drawing = drawn(pd.concat(both, ignore_index=True))
    rows = drawing.data
    assert sorted(rows["process"].unique()) == [1, 2]
    ends = rows.sort_values("side_px", kind="stable")
    low = ends["energy_per_image_j"] - ends["energy_per_image_error_j"]
    assert sorted(low) == pytest.approx(sorted(end for end, _ in whiskers(drawing)))
    (line,) = (one for one in drawing.figure.axes[0].lines if one.get_linestyle() == "-")
    assert list(line.get_ydata()) == pytest.approx([2.5 * px**2 / 1e6 for px in SIDES_PX])
    assert "energy per image in J" in texts(drawing.figure)
    assert "n = 20 images" in caption(drawing).replace("\u00a0", " ")


def test_the_latency_pass_is_preferred_to_that_with_a_profiler() -> None:
    both = pd.concat([measured(runtime_table()), measured(latency_table(), 1.0)])
    drawing = drawn(both)
    assert set(drawing.data["pass"]) == {"latency"}
    assert "without a profiler" in caption(drawing)
    assert "with its profiler" in caption(drawn(measured(runtime_table())))


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"device_type": "cpu"}, "only the counters of GPUs are read"),
        ({"energy_window_s": 1.0}, "the images took less than 5 s"),
        ({"status": "out_of_memory"}, "no image measured"),
        ({}, "the GPU's counter was not read"),
    ],
)
def test_without_energy_it_says_why(more: dict[str, object], reason: str) -> None:
    drawing = drawn(runs_table(runtime_table(), **more))
    assert f"no energy measured: {reason}" in texts(drawing.figure)
    assert drawing.data["energy_per_image_j"].isna().all()
    assert list(drawing.data["side_px"]) == list(SIDES_PX)
    assert list(drawing.figure.axes[0].get_yticks()) == []


def test_a_method_without_energy_beside_one_with_says_why_in_the_legend() -> None:
    runs = pd.concat([measured(runtime_table("N")), runs_table(runtime_table("M"))])
    assert "M: the GPU's counter was not read" in texts(drawn(runs).figure)


def test_the_axis_has_numbers_where_all_runs_take_the_same_energy() -> None:
    runs = measured(runtime_table()).assign(energy_per_image_j=266.7, energy_per_image_error_j=6.7)
    drawing = drawn(runs)
    drawing.figure.canvas.draw()
    axes = drawing.figure.axes[0]
    low, high = axes.get_ylim()
    ticks = [*axes.yaxis.get_major_ticks(), *axes.yaxis.get_minor_ticks()]
    told = [
        tick.label1.get_text()
        for tick in ticks
        if low <= tick.get_loc() <= high and tick.label1.get_text()
    ]
    assert len(told) >= 2
