"""Figures: what is drawn, what the caption says, and that nothing leaves the page."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PolyCollection
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.text import Text

from adscale.errors import ArgumentError, UserError
from adscale.methods.registry import all_specs
from adscale.methods.spec import MethodSpec
from analysis.figures.canvas import (
    Drawing,
    Style,
    columns_that_fit,
    log_numbers,
    rc_parameters,
    submodule_colour,
)
from analysis.figures.draw import FIGURES, draw_figures, study_figures
from analysis.hardware import Hardware, Sensor
from tests.analysis.drawings import (
    HARDWARE,
    SIDES_PX,
    STYLE,
    SUBMODULES,
    VARIANT,
    bars,
    caption,
    count_of,
    draw,
    latency_table,
    read,
    runs_table,
    runtime_table,
    study_tables,
    texts,
)


@pytest.mark.parametrize("name", [f"runtime_share_lab_M_{VARIANT}", f"fit_check_lab_M_{VARIANT}"])
def test_names_that_matplotlib_leaves_out_or_sets_as_formulas_are_in_the_legend(name: str) -> None:
    runtime = runtime_table()
    runtime["submodule"] = runtime["submodule"].replace({"student": "_neck", "teacher": "$a$"})
    figure = draw(name, runtime).figure
    legends = [*figure.legends, *(axes.get_legend() for axes in figure.axes)]
    legends += [legend for inner in figure.subfigs for legend in inner.legends]
    shown = [text.get_text() for legend in legends if legend for text in legend.get_texts()]
    assert {" _neck", r"\$a\$", "anomaly_map"} <= set(shown)


def test_stacks_are_the_means_and_shares_add_up_to_100() -> None:
    runtime = runtime_table()
    drawing = draw(f"runtime_share_lab_M_{VARIANT}", runtime)
    for submodule, heights in bars(drawing, 0).items():
        rows = runtime[runtime["submodule"] == submodule]
        assert heights == pytest.approx(rows["mean_ms"].tolist())
    shares = pd.DataFrame(bars(drawing, 1))
    assert list(shares.columns) == list(SUBMODULES)
    assert shares.sum(axis=1).tolist() == pytest.approx([100] * len(SIDES_PX))
    assert shares["teacher"].tolist() == pytest.approx([100 / 3.01] * len(SIDES_PX))
    assert {"33%", "66%", "0.3%"} <= set(texts(drawing.figure))


def test_the_data_beside_a_figure_are_those_of_its_bars() -> None:
    drawing = draw(f"runtime_share_lab_M_{VARIANT}", runtime_table())
    assert len(drawing.data) == len(SIDES_PX) * len(SUBMODULES)
    assert drawing.data.groupby("side_px")["share"].sum().tolist() == pytest.approx(
        [1.0] * len(SIDES_PX)
    )


def test_caption_of_a_gpu() -> None:
    said = caption(draw(f"scaling_runtime_lab_{VARIANT}", runtime_table()))
    for words in (
        "GPU busy time",
        "measured on generated GPU (device “lab”)",
        "collector nsys (2023.4.4)",
        "mean of n = 5 images",
        "95 % confidence interval",
        "Lines: laws of growth (fits.csv), summed over the submodules",
        "dotted: second-degree least-squares fit over the side length (the paper's model)",
        "Bands: where one more measurement lies with 95 %",
    ):
        assert words in said.replace("\u00a0", " ")


def test_caption_of_a_cpu_never_says_gpu() -> None:
    cpu = {"device_type": "cpu", "hardware": "generated CPU", "clock": "host"}
    for name in (f"scaling_runtime_lab_{VARIANT}", f"runtime_share_lab_M_{VARIANT}"):
        drawing = draw(name, runtime_table(**cpu))
        assert "CPU host time" in caption(drawing)
        assert not any("GPU" in text for text in texts(drawing.figure))


def test_different_sample_sizes_are_a_range() -> None:
    runtime = pd.concat([runtime_table("M"), runtime_table("N", images=50)])
    assert "n = 5–50 images" in caption(draw(f"scaling_runtime_lab_{VARIANT}", runtime)).replace(
        "\u00a0", " "
    )


def test_points_are_the_measured_means_of_whole_images() -> None:
    runtime = runtime_table()
    drawing = draw(f"scaling_runtime_lab_{VARIANT}", runtime)
    whole = runtime[runtime["role"] == "image"]
    lines = drawing.figure.axes[0].lines
    points = next(line for line in lines if line.get_marker() == "o")
    assert list(points.get_xdata()) == whole["side_px"].tolist()
    assert list(points.get_ydata()) == pytest.approx(whole["mean_ms"].tolist())


def test_the_extrapolated_region_is_labelled_with_its_largest_factor() -> None:
    """The method that was measured least far is extrapolated farthest."""
    runtime = pd.concat([runtime_table("M"), runtime_table("N", SIDES_PX[:4])])
    drawing = draw(f"scaling_runtime_lab_{VARIANT}", runtime)
    assert f"extrapolated: up to ×{(3000 / 640) ** 2:.1f} in pixels" in texts(drawing.figure)


def band_of(drawing: Drawing) -> list[PolyCollection]:
    found = drawing.figure.axes[0].collections
    return [each for each in found if isinstance(each, PolyCollection)]


def test_law_and_band_end_where_the_table_says() -> None:
    drawing = draw(f"scaling_runtime_lab_{VARIANT}", runtime_table())
    fits = study_tables()["fits"]
    row = fits[(fits["clock"] == "busy") & (fits["submodule"] == "method")].iloc[0]
    (band,) = band_of(drawing)
    ends = band.get_paths()[0].vertices
    at_3000 = ends[ends[:, 0] == 3000][:, 1]
    assert at_3000.max() == pytest.approx(row["band_high"])
    assert at_3000.min() == pytest.approx(row["band_low"])
    lines = {line.get_linestyle(): line for line in drawing.figure.axes[0].lines
             if len(line.get_xdata()) > 2 and line.get_xdata()[-1] == 3000}  # fmt: skip
    assert lines["--"].get_ydata()[-1] == pytest.approx(row["predicted"])
    assert lines["--"].get_xdata()[0] == SIDES_PX[-1]
    assert lines[":"].get_ydata()[-1] == pytest.approx(row["study_predicted"])


def test_an_image_of_which_much_is_in_no_submodule_has_a_law_of_its_own() -> None:
    runtime = runtime_table()
    whole = runtime["role"] == "image"
    runtime.loc[whole, ["mean_ms", "ci95_low_ms", "ci95_high_ms"]] *= 1.1
    drawing = draw(f"scaling_runtime_lab_{VARIANT}", runtime)
    assert "Lines: laws of growth (fits.csv), of whole images" in caption(drawing)
    assert set(drawing.data["submodule"]) == {"image"}


def test_no_band_where_the_interval_is_refused() -> None:
    drawing = draw(f"scaling_runtime_lab_{VARIANT}", runtime_table(sides_px=SIDES_PX[:4]))
    assert band_of(drawing) == []
    said = caption(drawing).replace("\u00a0", " ").replace("- ", "-")
    assert "Lines: second-degree least-squares fit" in said
    assert "Bands" not in said
    assert "No law chosen and no band: M (4 resolutions: a prediction interval" in said


def test_nothing_is_drawn_beyond_the_limit_unless_asked_for() -> None:
    name = f"scaling_runtime_lab_{VARIANT}"
    sensors = Hardware((), (Sensor("within", 5.07), Sensor("beyond", 7.1)))
    drawing = draw(name, runtime_table(), hardware=sensors, beyond_limit=False)
    limit_px = int(SIDES_PX[-1] * 10**0.5)
    (band,) = band_of(drawing)
    assert band.get_paths()[0].vertices[:, 0].max() == limit_px
    assert "extrapolated: up to ×10.0 in pixels" in texts(drawing.figure)
    said = caption(drawing).replace("\u00a0", " ")
    assert "No prediction at 3,000 px: M (" in said
    assert "15.3 times the pixels of the largest measured resolution, more than 10" in said
    assert "Beyond 2,428 px, and so not drawn: beyond with 7.1 MP." in said
    assert {"within\n5.1 MP", "beyond\n7.1 MP"} & set(texts(drawing.figure)) == {"within\n5.1 MP"}


LOST = {
    "status": "out_of_memory",
    "images": 0,
    "mean_ms": None,
    "ci95_low_ms": None,
    "ci95_high_ms": None,
}


@pytest.mark.parametrize(
    "name", [f"runtime_share_lab_M_{VARIANT}", f"scaling_runtime_lab_{VARIANT}"]
)
def test_a_method_that_never_fits_is_a_figure_that_says_so(name: str, tmp_path: Path) -> None:
    drawing = draw(name, runtime_table(**LOST))
    said = caption(drawing).replace("\u00a0", " ")
    assert "no image measured" in said
    assert "Out of memory: M at 256 px, M at 384 px" in said
    drawing.figure.savefig(tmp_path / "figure.pdf")


def test_what_was_measured_and_what_was_predicted_is_told_apart(tmp_path: Path) -> None:
    runtime = runtime_table()
    for side_px, status in ((640, "out_of_memory"), (768, "predicted_out_of_memory")):
        lost = {**LOST, "status": status}
        runtime.loc[runtime["side_px"] == side_px, list(lost)] = list(lost.values())
    drawing = draw(f"runtime_share_lab_M_{VARIANT}", runtime)
    said = caption(drawing).replace("\u00a0", " ")
    assert "Out of memory: M at 640 px." in said
    assert "Predicted out of memory by count, and not run: M at 768 px." in said
    labels = {text.get_text(): text.xy[0] for text in drawing.figure.axes[0].texts}
    assert labels["out of memory"] == 3
    assert labels["predicted out of memory"] == 4
    drawing.figure.savefig(tmp_path / "figure.pdf")
    said = caption(draw(f"scaling_runtime_lab_{VARIANT}", runtime)).replace("\u00a0", " ")
    assert "Predicted out of memory by count, and not run: M at 768 px." in said


def test_one_image_has_no_whisker_and_no_word_of_one() -> None:
    alone = {"images": 1, "ci95_low_ms": None, "ci95_high_ms": None}
    drawing = draw(f"runtime_share_lab_M_{VARIANT}", runtime_table(**alone))
    assert drawing.figure.axes[0].lines[:] == []
    assert "confidence" not in caption(drawing)
    assert "n = 1 image." in caption(drawing).replace("\u00a0", " ")


@pytest.mark.parametrize(
    ("style", "method"),
    [
        (Style(width_mm=88, font_pt=7), "PatchCore-10-with-a-long-label"),
        (STYLE, "a_{b}_$\\alpha$_%"),
        (Style(width_mm=180), "M"),
    ],
)
def test_nothing_leaves_the_page_and_markup_is_text(style: Style, method: str) -> None:
    runtime = pd.concat([runtime_table(method), latency_table(method)], ignore_index=True)
    runtime.loc[runtime["side_px"] == 512, "verdict"] = "drifting"
    tables = study_tables(runtime, read(count_of(method)), runs_table(runtime))
    figures = study_figures(tables, HARDWARE, style)
    alone = [kind for kind in FIGURES if kind.when != "compared" and "precision" not in kind.labels]
    assert len(figures) == len(alone)
    for draw_one in figures.values():
        with mpl.rc_context(rc_parameters(style)):  # type: ignore[arg-type]
            figure = draw_one().figure
            figure.draw_without_rendering()
            drawn = figure.get_tightbbox()  # in inches, of all that is visible
        assert drawn.x0 >= -0.01
        assert drawn.y0 >= -0.01
        assert drawn.x1 <= figure.get_figwidth() + 0.01
        assert drawn.y1 <= figure.get_figheight() + 0.01
        # a title may be broken at a hyphen
        named = [t for t in figure.findobj(Text) if method in t.get_text().replace("\n", "")]
        assert named
        assert not any(text.get_parse_math() for text in named)


@pytest.mark.parametrize("width_mm", [60, 88, 130, 180])
@pytest.mark.parametrize("length", [3, 13, 25])
def test_a_legend_is_as_wide_as_there_is_room(width_mm: float, length: int) -> None:
    """As matplotlib draws it: in one column more it would leave the page, or reach four."""
    style = Style(width_mm=width_mm)
    labels = ["x" * (length - number) for number in range(3)] + ["average words"] * 4

    def width_in(columns: int) -> float:
        with mpl.rc_context(rc_parameters(style)):  # type: ignore[arg-type]
            figure = mpl.figure.Figure()
            handles = [mpl.patches.Patch(label=label) for label in labels]
            legend = figure.legend(handles=handles, ncols=columns)
            figure.draw_without_rendering()
            return float(legend.get_window_extent().width) / figure.dpi

    found = columns_that_fit(labels, style, most=4)
    assert found == 1 or width_in(found) <= style.width_in
    assert found == 4 or width_in(found + 1) > 0.85 * style.width_in


def test_a_submodule_has_one_colour_everywhere() -> None:
    colours = {name: submodule_colour(name) for name in SUBMODULES}
    assert len(set(colours.values())) == len(SUBMODULES)
    for name in (f"runtime_share_lab_M_{VARIANT}", f"memory_share_M_{VARIANT}"):
        drawing = draw(name, runtime_table())
        for container in drawing.figure.axes[0].containers:
            label = str(container.get_label())
            if isinstance(container, BarContainer) and label in colours:
                drawn = mpl.colors.to_hex(container[0].get_facecolor())
                assert drawn.upper() == colours[label]
    assert submodule_colour("something new") == submodule_colour("something new")


def test_files_embed_their_fonts_and_repeat_to_the_byte(tmp_path: Path) -> None:
    tables = study_tables()
    names = [f"runtime_share_lab_M_{VARIANT}", f"scaling_needed_{VARIANT}"]
    contents = []
    for jobs in (1, 2):
        folder = tmp_path / str(jobs)
        figures = study_figures(tables, HARDWARE, STYLE)
        written = draw_figures(figures, folder, STYLE, names, jobs)
        assert [path.suffix for path in written] == [".pdf", ".png", ".csv"] * 2
        assert sorted(folder.iterdir()) == sorted(written)
        contents.append([path.read_bytes() for path in written])
    assert contents[0] == contents[1]
    for pdf in contents[0][::3]:
        assert b"/FontFile2" in pdf
        assert b"/Type3" not in pdf


def test_png_has_the_resolution_asked_for(tmp_path: Path) -> None:
    from PIL import Image

    style = Style(width_mm=88, png_dpi=100)
    figures = study_figures(study_tables(only=["runtime", "memory"]), Hardware(), style)
    _, png, _ = draw_figures(figures, tmp_path, style, [f"memory_share_M_{VARIANT}"])
    assert Image.open(png).width == pytest.approx(88 / 25.4 * 100, abs=1)


def test_a_figure_that_does_not_exist(tmp_path: Path) -> None:
    figures = study_figures(
        study_tables(only=["runtime", "memory_methods", "fit_curves"]), Hardware(), STYLE
    )
    with pytest.raises(ArgumentError, match=r"no figure 'pie'.*scaling_memory"):
        draw_figures(figures, tmp_path, STYLE, ["pie"])


@pytest.mark.parametrize(
    "text",
    ["{", '{"colour": 1}', "[1]", '{"remark": "x"}', '{"width_mm": 1e9}', '{"font_pt": "x"}'],
)
def test_a_style_that_cannot_be_used(text: str) -> None:
    with pytest.raises(UserError, match=r"--style"):
        Style.from_json(text)


def test_a_style_as_text() -> None:
    assert Style.from_json('{"width_mm": 88}') == Style(width_mm=88)
    assert Style.from_json(None) == Style()


def test_a_curve_that_falls_to_zero_is_told() -> None:
    runtime = runtime_table()
    whole = runtime["role"] == "image"
    falling_ms = [100.0 - 0.00005 * side_px**2 for side_px in SIDES_PX]
    for column in ("mean_ms", "ci95_low_ms", "ci95_high_ms"):
        runtime.loc[whole, column] = falling_ms
    said = caption(draw(f"scaling_runtime_lab_{VARIANT}", runtime))
    assert "The paper's model falls to zero or below, and so predicts nothing: M." in said
    assert "predicts nothing" not in caption(
        draw(f"scaling_runtime_lab_{VARIANT}", runtime_table())
    )


@pytest.mark.parametrize(("share", "told"), [(0.004, False), (0.034, True)])
def test_time_in_no_submodule_is_told(share: float, told: bool) -> None:
    runtime = runtime_table()
    runtime.loc[runtime["role"] == "image", "uncovered_share"] = share
    said = caption(draw(f"runtime_share_lab_M_{VARIANT}", runtime))
    assert ("Up to 3.4% of an image's host time is in no submodule." in said) == told


def test_variants_are_figures_of_their_own_in_the_same_colours() -> None:
    first = pd.concat([runtime_table("M"), runtime_table("N")])
    second = first.assign(variant="optimized-fp32")
    runtime = pd.concat([first, second.astype(first.dtypes)], ignore_index=True)
    colours = []
    for variant in (VARIANT, "optimized-fp32"):
        axes = draw(f"scaling_runtime_lab_{variant}", runtime).figure.axes[0]
        labelled = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
        assert list(labelled) == ["M", "N"]
        colours.append([handle[0].get_color() for handle in labelled.values()])
    assert colours[0] == colours[1]


@pytest.mark.parametrize("spec", all_specs(), ids=lambda spec: spec.target)
def test_submodules_of_a_method_have_colours_of_their_own(spec: MethodSpec) -> None:
    colours = [submodule_colour(name) for name in spec.submodules]
    assert len(set(colours)) == len(colours)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (1500, 9000, {"2,000", "5,000"}),
        (0.3, 4, {"0.5", "1", "2"}),
        (1, 100_000, {"1", "10", "100", "1,000", "10,000", "100,000"}),
    ],
)
def test_a_logarithmic_axis_has_plain_numbers(low: float, high: float, expected: set[str]) -> None:
    figure = Figure()
    axes = figure.subplots()
    axes.set_yscale("log")
    axes.set_ylim(low, high)
    log_numbers(axes.yaxis)
    FigureCanvasAgg(figure).draw()
    shown = [tick for tick in (*axes.yaxis.get_major_ticks(), *axes.yaxis.get_minor_ticks())
             if low <= tick.get_loc() <= high]  # fmt: skip
    assert {tick.label1.get_text() for tick in shown} - {""} == expected
