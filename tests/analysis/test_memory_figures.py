"""Figures of memory: what is drawn is what was counted, and nothing overlaps."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import matplotlib as mpl
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.container import BarContainer
from matplotlib.text import Annotation, Text

from adscale.errors import ArgumentError
from analysis.figures.canvas import Drawing, Style, darker, rc_parameters, submodule_colour
from analysis.figures.captions import not_counted
from analysis.figures.memory import HELD, KEPT, OTHER
from analysis.hardware import Gpu, Hardware, Sensor
from tests.analysis.drawings import (
    COUNTED_PX,
    HARDWARE,
    LAST_PX,
    SIDES_PX,
    STYLE,
    SUBMODULES,
    VARIANT,
    bars,
    caption,
    count_of,
    draw,
    read,
    runtime_table,
    texts,
)
from tests.memory_documents import Count, Part, constant, per_pixel

GIB = 2**30
SHOWN_PX = [256, 384, 512, 768, 1024, 1536, 2048, 3000]


def words(drawing: Drawing) -> str:
    return caption(drawing).replace("\u00a0", " ")


def marks(axes: Axes) -> list[tuple[float, float, str]]:
    """Every point that is drawn: where, and its face."""
    return [
        (float(x), float(y), str(line.get_markerfacecolor()))
        for line in axes.lines
        if line.get_marker() not in ("", "None", None)
        for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)
    ]


def annotations(axes: Axes) -> dict[str, Annotation]:
    """What is written at the edges of axes, by its text."""
    found = [each for each in axes.texts if isinstance(each, Annotation)]
    return {each.get_text(): each for each in found}


def assert_apart(labels: Sequence[Text]) -> None:
    """No two of them overlap by more than a pixel."""
    boxes = [Text.get_window_extent(label) for label in labels]
    for first, second in itertools.combinations(boxes, 2):
        apart = (
            first.x1 <= second.x0 + 1
            or second.x1 <= first.x0 + 1
            or first.y1 <= second.y0 + 1
            or second.y1 <= first.y0 + 1
        )
        assert apart


def test_shares_hold_parameters_once_and_activations_in_mib() -> None:
    drawing = draw(f"memory_share_M_{VARIANT}")
    heights = bars(drawing, 0)
    assert heights["parameters and buffers"] == pytest.approx([3.0] * len(SHOWN_PX))
    expected = [100 * side**2 / 2**20 for side in SHOWN_PX]
    assert heights["teacher"] == pytest.approx(expected)
    assert set(drawing.data["basis"]) == {"counted"}
    assert "counted, not measured" in words(drawing)


def test_shares_of_many_counts_say_which_are_shown() -> None:
    drawing = draw(f"memory_share_M_{VARIANT}")
    ticks = [tick.get_text() for tick in drawing.figure.axes[1].get_xticklabels()]
    assert ticks == [f"{side:,}" for side in SHOWN_PX]
    assert f"Shown are 8 of {len(COUNTED_PX)} counted resolutions" in words(drawing)
    few = draw(f"memory_share_M_{VARIANT}", counts=read(count_of(), SIDES_PX))
    assert "Shown are" not in words(few)


@pytest.mark.parametrize("name", ["memory_share_M", "runtime_share_lab_M"])
def test_large_numbers_at_an_axis_have_separators(name: str) -> None:
    runtime = runtime_table()
    runtime[["mean_ms", "ci95_low_ms", "ci95_high_ms"]] *= 1e4
    figure = draw(f"{name}_{VARIANT}", runtime).figure
    figure.draw_without_rendering()
    ticks = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert ticks[-1] == f"{float(ticks[-1].replace(',', '')):,.0f}"
    assert "," in ticks[-1]


def test_counts_that_are_not_whole_are_told_in_every_caption() -> None:
    counts = read(count_of(incomplete="counted up to teacher"))
    names = ("memory_share_M", "memory_peak_M", "scaling_memory", "scaling_needed")
    for name in (*names, "memory_extrapolation"):
        told = "Not everything is counted, see memory.csv: M."
        assert told in words(draw(f"{name}_{VARIANT}", counts=counts))
        assert "Not everything" not in words(draw(f"{name}_{VARIANT}"))


def test_captions_say_where_the_inference_is_thought_to_happen() -> None:
    for device_type, named in (("cuda", "a CUDA device"), ("cpu", "a CPU device")):
        counts = read(count_of(device_type=device_type, not_counted=("the context", "workspaces")))
        for name in ("memory_peak_M", "scaling_needed", "memory_extrapolation"):
            assert named in words(draw(f"{name}_{VARIANT}", counts=counts))
        said = words(draw(f"scaling_needed_{VARIANT}", counts=counts))
        assert "Not counted: the context; workspaces." in said


def test_the_study_is_drawn_through_the_points_it_was_fitted_to() -> None:
    """Counted at others in between, too: those are hollow."""
    runtime = runtime_table(sides_px=(256, 512, 640, 768, 1024))
    axes = draw(f"scaling_memory_{VARIANT}", runtime).figure.axes[0]
    filled = {x for x, _, face in marks(axes) if face != "white"}
    assert filled == {256, 512, 640, 768, 1024}
    assert {x for x, _, _ in marks(axes)} == set(COUNTED_PX)


def test_needed_memory_is_what_was_counted_and_nothing_is_fitted() -> None:
    count = count_of()
    drawing = draw(f"scaling_needed_{VARIANT}", counts=read(count))
    found = [(x, y) for x, y, _ in marks(drawing.figure.axes[0])]
    expected = [(side, count.needed_bytes(side) / GIB) for side in COUNTED_PX]
    assert found == [pytest.approx(pair) for pair in expected]
    assert drawing.data["needed_bytes"].tolist() == [count.needed_bytes(s) for s in COUNTED_PX]
    assert "fit" not in words(drawing)


@pytest.mark.parametrize("name", [f"scaling_memory_{VARIANT}", f"scaling_needed_{VARIANT}"])
def test_gpus_and_sensors_are_lines_at_their_memory_and_pixels(name: str) -> None:
    drawing = draw(name)
    axes = drawing.figure.axes[0]
    levels = {line.get_ydata()[0] for line in axes.lines if list(line.get_xdata()) == [0, 1]}
    sides = [line.get_xdata()[0] for line in axes.lines if list(line.get_ydata()) == [0, 1]]
    assert levels == {8, 24}
    assert sides == [pytest.approx(5.07e6**0.5)]  # the other one is beyond the counts
    assert set(annotations(axes)) == {"small, 8 GiB", "large, 24 GiB", "IMX264\n5.1 MP"}
    low, high = axes.get_ylim()
    assert low < 8 < 24 < high
    said = words(drawing)
    assert "nominal memory of GPUs, of which an inference may use somewhat less" in said
    assert "sensors, at the square root of their pixels" in said
    assert "Beyond 3,000 px, and so not drawn: IMX304 with 12.4 MP." in said


@pytest.mark.parametrize("name", [f"scaling_memory_{VARIANT}", f"scaling_needed_{VARIANT}"])
def test_empty_lists_draw_no_lines_and_leave_the_pixels_above(name: str) -> None:
    drawing = draw(name, hardware=Hardware())
    axes = drawing.figure.axes[0]
    assert annotations(axes) == {}
    assert not any(list(line.get_xdata()) == [0, 1] for line in axes.lines)
    assert "pixels in millions" in texts(drawing.figure)
    assert "GPU" not in words(drawing)
    assert "pixels in millions" not in texts(draw(name).figure)


CROWD = Hardware(
    tuple(Gpu(f"GPU {number}", 8 + number // 2) for number in range(10)),
    tuple(Sensor(f"IMX{number}", 1.5 + 0.01 * number) for number in range(9)),
)


@pytest.mark.parametrize("hardware", [HARDWARE, CROWD])
@pytest.mark.parametrize("style", [STYLE, Style(width_mm=88, font_pt=7)])
def test_labels_of_gpus_and_sensors_do_not_overlap(hardware: Hardware, style: Style) -> None:
    with mpl.rc_context(rc_parameters(style)):  # type: ignore[arg-type]
        figure = draw(f"scaling_needed_{VARIANT}", style=style, hardware=hardware).figure
        figure.draw_without_rendering()
        labels = list(annotations(figure.axes[0]).values())
        shown = [sensor for sensor in hardware.sensors if sensor.side_px <= LAST_PX]
        assert len(labels) == len(hardware.gpus) + len(shown)
        assert_apart(labels)


def test_a_label_that_has_room_stands_at_its_line() -> None:
    figure = draw(f"scaling_needed_{VARIANT}").figure
    figure.draw_without_rendering()
    axes = figure.axes[0]
    for text, memory_gib in (("small, 8 GiB", 8), ("large, 24 GiB", 24)):
        box = Text.get_window_extent(annotations(axes)[text])
        line_y = axes.transData.transform((0, memory_gib))[1]
        assert (box.y0 + box.y1) / 2 == pytest.approx(line_y, abs=2)


PEAKS = Count(
    "M",
    (
        Part("a", parameters=constant(2**30), peak=per_pixel(100), kept=per_pixel(10)),
        Part("b", peak=per_pixel(90), kept=per_pixel(60), library=constant(2**29)),
        Part("c", parameters=constant(0)),
    ),
)


def test_columns_of_a_peak_add_up_to_what_the_device_must_hold() -> None:
    drawing = draw(f"memory_peak_M_{VARIANT}", counts=read(PEAKS))
    heights: dict[str, list[list[float]]] = {}
    for container in drawing.figure.axes[1].containers:
        assert isinstance(container, BarContainer)
        heights.setdefault(str(container.get_label()), []).append(
            [bar.get_height() for bar in container]
        )
    needed = [PEAKS.needed_bytes(side) for side in SHOWN_PX]

    def percent(sizes: list[int]) -> list[float]:
        return [size / whole * 100 for size, whole in zip(sizes, needed, strict=True)]

    held = 2**30 + 1_000_000 + 3 * 8
    assert heights[HELD] == [pytest.approx(percent([held] * len(SHOWN_PX)))] * 3
    beneath = [12 * side**2 + 2**29 for side in SHOWN_PX]
    assert heights[OTHER] == [pytest.approx(percent(beneath))] * 3
    assert heights[KEPT][1] == pytest.approx(percent([60 * side**2 for side in SHOWN_PX]))
    (own,) = heights["b"]
    assert own == pytest.approx(percent([30 * side**2 for side in SHOWN_PX]))
    # the submodule that decides reaches 100 %, and no other one does
    parts = (heights[HELD][0], heights[OTHER][0], heights[KEPT][0], heights["a"][0])
    assert [sum(column) for column in zip(*parts, strict=True)] == pytest.approx([100] * 8)
    assert drawing.data.groupby("side_px")["share_of_needed"].max().tolist() == [1.0] * 8
    assert f"{PEAKS.needed_bytes(3000) / GIB:.2f} GiB" in texts(drawing.figure)


def test_lines_of_a_peak_are_the_counts_and_what_holds_nothing_has_none() -> None:
    axes = draw(f"memory_peak_M_{VARIANT}", counts=read(PEAKS)).figure.axes[0]
    by_colour = {
        str(line.get_color()): [y for y in line.get_ydata() if y == y] for line in axes.lines
    }
    assert by_colour[submodule_colour("a")] == pytest.approx(
        [100 * side**2 / GIB for side in SHOWN_PX]
    )
    assert by_colour[submodule_colour("c")] == []
    assert by_colour["black"] == pytest.approx([PEAKS.needed_bytes(s) / GIB for s in SHOWN_PX])


def quartic(side_px: int) -> int:
    return round(side_px**4 / 1000) + side_px**2


JUDGED = Count(
    "M",
    (
        Part("net", activations=per_pixel(80), peak=per_pixel(50)),
        Part("attention", peak=quartic),
        Part("unused"),
    ),
)


def test_the_error_of_the_extrapolation_stands_at_the_end_of_each_curve() -> None:
    drawing = draw(f"memory_extrapolation_{VARIANT}", counts=read(JUDGED))
    peak, activations = drawing.figure.axes
    last = drawing.data[(drawing.data["quantity"] == "peak") & (drawing.data["at_px"] == LAST_PX)]
    error = last.set_index("submodule").loc["attention", "relative_error"]
    assert error < -0.5
    assert set(annotations(peak)) == {"net 0\u00a0%", f"attention \u2212{-error * 100:.0f}\u00a0%"}
    assert set(annotations(activations)) == {"0\u00a0%"}
    assert not any("unused" in text for text in texts(drawing.figure))
    assert annotations(peak)["net 0\u00a0%"].get_color() == darker(submodule_colour("net"))


def test_points_are_counts_and_curves_the_studys_model() -> None:
    drawing = draw(f"memory_extrapolation_{VARIANT}", counts=read(JUDGED))
    peak = drawing.figure.axes[0]
    colour = submodule_colour("attention")
    points = [line for line in peak.lines if line.get_color() == colour and len(line.get_xdata())]
    counted = {
        (float(x), float(y)): line.get_markerfacecolor()
        for line in points
        if line.get_marker() == "o"
        for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)
    }
    assert sorted(counted) == [pytest.approx((side, quartic(side) / GIB)) for side in COUNTED_PX]
    hollow = sorted(x for (x, _), face in counted.items() if face == "white")
    assert hollow == [1536, 2048, 2560, 3000]
    solid, dashed = (
        next(line for line in points if line.get_linestyle() == style) for style in ("-", "--")
    )
    assert (min(solid.get_xdata()), max(solid.get_xdata())) == (256, 1024)
    assert (min(dashed.get_xdata()), max(dashed.get_xdata())) == (1024, 3000)
    row = drawing.data[drawing.data["submodule"] == "attention"].dropna(subset=["b0"]).iloc[-1]
    assert dashed.get_ydata()[-1] * GIB == pytest.approx(row["predicted_bytes"])


def test_every_method_has_its_panels_and_labels_do_not_overlap() -> None:
    close = [
        Part(f"part_{number}", peak=per_pixel(50 + number), activations=per_pixel(50 - number))
        for number in range(5)
    ]
    counts = [*read(Count("M", close)), *read(replace(JUDGED, method="N"))]
    drawing = draw(f"memory_extrapolation_{VARIANT}", counts=counts)
    drawing.figure.draw_without_rendering()
    titles = [axes.get_title("left") for axes in drawing.figure.axes]
    assert titles == ["M: peak", "M: activations", "N: peak", "N: activations"]
    for axes in drawing.figure.axes:
        assert_apart(list(annotations(axes).values()))
    assert len(annotations(drawing.figure.axes[0])) == len(close)


def test_counts_too_few_for_a_parabola_are_points_without_one() -> None:
    counts = read(JUDGED, [256, 1024, 2048, 3000])
    peak = draw(f"memory_extrapolation_{VARIANT}", counts=counts).figure.axes[0]
    assert {line.get_linestyle() for line in peak.lines} == {"None"}
    assert set(annotations(peak)) == {"net", "attention"}


def test_counts_at_no_size_of_the_paper_are_drawn() -> None:
    peak = draw(f"memory_extrapolation_{VARIANT}", counts=read(JUDGED, [224])).figure.axes[0]
    assert {x for x, _, _ in marks(peak)} == {224}


def test_what_is_not_counted_is_told_once_whatever_its_size_is() -> None:
    texts = ["the context; a copy of its input in aten::pool (1.5 MiB)"]
    texts.append("the context; a copy of its input in aten::pool (1,006.0 MiB)")
    told = not_counted(pd.DataFrame({"not_counted": texts}))
    assert told == " Not counted: the context; a copy of its input in aten::pool."


def test_what_is_counted_at_small_resolutions_only_ends_there() -> None:
    """As a method of the user's that is counted up to another submodule where it is larger."""
    count = Count("M", (Part("part", peak=lambda side_px: side_px**2 * (side_px <= 1024)),))
    drawing = draw(f"memory_extrapolation_{VARIANT}", counts=read(count))
    drawing.figure.draw_without_rendering()
    peak = drawing.figure.axes[0]
    assert max(x for x, _, _ in marks(peak)) == 1024
    assert set(annotations(peak)) == {"part"}


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"gpus": []}',
        '{"gpus": [{"name": "A"}], "sensors": []}',
        '{"gpus": [{"name": "A", "memory_gib": "much"}], "sensors": []}',
        '{"gpus": [], "sensors": [{"name": "A", "megapixels": 0}]}',
        '{"gpus": [], "sensors": [{"megapixels": 5}]}',
    ],
)
def test_hardware_that_cannot_be_used(text: str) -> None:
    with pytest.raises(ArgumentError, match=r"--hardware: .*; give .*memory_gib") as caught:
        Hardware.from_json(text)
    assert "\n" not in str(caught.value)


def test_hardware_as_the_configuration_has_it() -> None:
    text = (
        '{"gpus": [{"name": "A", "memory_gib": 24, "source": "https://a"}], '
        '"sensors": [{"name": "B", "megapixels": 4}]}'
    )
    assert Hardware.from_json(text) == Hardware((Gpu("A", 24),), (Sensor("B", 4),))
    assert Sensor("B", 4).side_px == 2000
    assert Hardware.from_json(None) == Hardware()


def test_colours_of_submodules_stay_the_same() -> None:
    drawing = draw(f"memory_peak_M_{VARIANT}")
    for container in drawing.figure.axes[1].containers:
        label = str(container.get_label())
        if isinstance(container, BarContainer) and label in SUBMODULES:
            drawn = mpl.colors.to_hex(container[0].get_facecolor())
            assert drawn.upper() == submodule_colour(label)
