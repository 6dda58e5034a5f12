"""Comparisons as they are given: the command, its figure, its page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from adscale.tables import schema_of
from analysis.comparison.table import COMPARISON
from analysis.figures.canvas import Drawing, Style, rc_parameters
from analysis.figures.comparison import comparison_ratios
from analysis.tables import read_csv, write_csv
from tests.analysis.comparisons import PARTS, Measured, compare, times
from tests.analysis.drawings import caption, runs_table, texts

PAGE = Path(__file__).parents[2] / "docs" / "comparison.md"
Command = Callable[..., tuple[int, str, str]]


# The command line


def test_two_folders(tmp_path: Path, analysis: Command) -> None:
    a = Measured().write(tmp_path / "old", 1)
    b = Measured(ms=times(1.2), runs={"gpu_driver": "560"}).write(tmp_path / "new", 2)
    output, figures = tmp_path / "comparison.csv", tmp_path / "figures"
    code, out, err = analysis("compare", a, b / "tables", "-o", output, "--figure", figures)
    assert (code, err) == (0, "")
    assert "9 comparisons: 9 slower, 0 unclear, 0 same, 0 faster." in out
    assert out.count("gpu_driver") == 1
    table = read_csv(output, schema_of(COMPARISON))
    assert set(table["verdict"]) == {"slower"}
    assert output.with_suffix(".parquet").exists()
    assert sorted(path.suffix for path in figures.iterdir()) == [".csv", ".pdf", ".png"]


def test_the_worst_comes_first(tmp_path: Path, analysis: Command) -> None:
    def ms(part: str, side_px: int) -> float:
        return Measured().ms(part, side_px) * {"teacher": 0.5, "student": 2.0, "image": 1.0}[part]

    measured = Measured(images=300, processes=5)
    a = measured.write(tmp_path / "a", 1)
    b = replace(measured, ms=ms).write(tmp_path / "b", 2)
    _, out, _ = analysis("compare", a, b)
    verdicts = [line.split()[0] for line in out.splitlines() if " busy " in line]
    assert verdicts == ["slower"] * 3 + ["same"] * 3 + ["faster"] * 3


@pytest.mark.parametrize("label", ["device", "variant", "method"])
def test_two_of_one_folder(tmp_path: Path, analysis: Command, label: str) -> None:
    both = pd.concat(
        [Measured(row={label: "X"}).runtime(1), Measured(ms=times(2), row={label: "Y"}).runtime(2)],
        ignore_index=True,
    )
    folder = tmp_path / "results"
    Measured().write(folder)
    write_csv(both, folder / "tables" / "runtime.csv")
    write_csv(runs_table(both, threads=3), folder / "tables" / "runs.csv")
    code, out, _ = analysis("compare", folder, f"--{label}", "X", "y")  # whatever its case
    assert code == 0
    assert "9 slower" in out
    assert f"{label} X" in out
    assert "the same fingerprint" in out


def test_latencies_of_batches_of_two_sizes_are_told_apart(
    tmp_path: Path, analysis: Command
) -> None:
    """One is of a whole batch, the other of an image: as times of an image, they are no ratio."""
    names = ("reference-fp32", "reference-fp32-b8")
    parts = [Measured(clocks=("busy", "latency"), row={"variant": name}) for name in names]
    both = pd.concat([part.runtime(seed) for seed, part in enumerate(parts)])
    write_csv(both, tmp_path / "tables" / "runtime.csv")
    write_csv(runs_table(both), tmp_path / "tables" / "runs.csv")
    words = "By the clock latency a time is of all images of a batch: of 1 in A, of 8 in B"
    assert words in analysis("compare", tmp_path, "--variant", *names)[1]
    without = analysis("compare", tmp_path, "--variant", *names, "--clock", "busy")[1]
    assert "all images of a batch" not in without


def test_without_its_runs_no_fingerprint_is_claimed(tmp_path: Path, analysis: Command) -> None:
    folder = Measured().write(tmp_path / "results")
    write_csv(runs_table(Measured().runtime(1)).head(0), folder / "tables" / "runs.csv")
    code, out, _ = analysis("compare", folder, Measured().write(tmp_path / "others"))
    assert code == 0
    assert "What else is different is not known" in out
    assert "the same fingerprint" not in out


def test_an_only_device_may_have_another_name(tmp_path: Path, analysis: Command) -> None:
    a = Measured(row={"device": "old"}).write(tmp_path / "a")
    b = Measured(row={"device": "new"}).write(tmp_path / "b")
    code, out, _ = analysis("compare", a, b)
    assert code == 0
    assert "9 comparisons" in out


def test_the_margin_and_clocks_can_be_chosen(tmp_path: Path, analysis: Command) -> None:
    clocks = ("host", "busy", "span", "latency")
    measured = Measured(clocks=clocks, images=300, processes=5)
    a = measured.write(tmp_path / "a", 1)
    b = replace(measured, ms=times(1.2)).write(tmp_path / "b", 6)
    _, out, _ = analysis("compare", a, b)
    assert "30 comparisons: 30 slower" in out
    assert "18 comparisons by other clocks" in out
    _, out, _ = analysis("compare", a, b, "--clock", "span", "--margin", "30")
    assert "9 comparisons: 0 slower, 0 unclear, 9 same" in out
    assert out.count(" span ") == 9


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a"], "nothing to compare A with"),
        (["a", "none"], "holds neither tables/runtime.csv nor runtime.csv"),
        (["a", "--device", "lab", "Z"], "B (a) has no device Z; choose from: lab"),
        (["a", "other"], "A has device lab, method M, variant reference-fp32, resolution 256"),
        (["a", "other"], "B has device lab, method N"),
        (["a", "b", "--clock", "span"], "nothing matches"),
        (["a", "a"], "A and B are the same measurements"),
        (["a", "a/tables"], "A and B are the same measurements"),
        (["a", "link", "--device", "lab", "lab"], "A and B are the same measurements"),
        (["a", "--method", "M", "M"], "A and B are the same measurements"),
    ],
)
def test_what_cannot_be_compared_ends_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, analysis: Command, arguments: list[str],
    said: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Measured().write(Path("a"))
    Measured().write(Path("b"))
    Path("link").symlink_to("a")
    Measured(row={"method": "N"}).write(Path("other"))
    code, out, err = analysis("compare", *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err


# Figure and page


def draw(a: Measured, b: Measured) -> Drawing:
    style = Style()
    with mpl.rc_context(rc_parameters(style)):  # type: ignore[arg-type]
        return comparison_ratios(compare(a, b), style)


def test_the_figure_shows_all_ratios_and_says_of_what() -> None:
    a = Measured(clocks=("host", "busy", "latency"))
    drawing = draw(a, replace(a, ms=times(1.2), row={"hardware": "other GPU"}))
    assert len(drawing.data) == 3 * (len(PARTS) + 1)  # those by latency, but not by host
    panels = [axes for axes in drawing.figure.axes if axes.get_visible()]
    titles = [axes.get_title(loc="left") for axes in panels]
    assert titles == ["teacher, busy", "student, busy", "whole image, busy", "whole image, latency"]
    drawn = [ratio for axes in panels for ratio in np.asarray(axes.lines[1].get_ydata())]
    by_panel = drawing.data.groupby(["submodule", "clock"], sort=False)["ratio"]
    assert drawn == pytest.approx([ratio for _, ratios in by_panel for ratio in ratios])
    said = caption(drawing).replace("\u00a0", " ")
    for words in ("generated GPU", "other GPU", "n = 100 images in 1 process", "±2 %", "GPU busy"):
        assert words in said


def test_panels_have_scales_of_their_own_where_one_would_hide_the_intervals() -> None:
    def ms(part: str, side_px: int) -> float:
        return Measured().ms(part, side_px) * (5 if part == "student" else 1)

    a = Measured()
    drawing = draw(a, replace(a, ms=ms))
    teacher, student = (axes.get_ylim() for axes in drawing.figure.axes[:2])
    assert 0.9 < teacher[0] < 1 < teacher[1] < 1.1
    assert student[0] < 1  # what is the same is always to be seen
    assert student[1] > 5
    assert "scales of their own" in caption(drawing)
    together = draw(a, replace(a, ms=times(1.1)))
    assert len({axes.get_ylim() for axes in together.figure.axes[:3]}) == 1
    assert "scales of their own" not in caption(together)


def test_nothing_in_the_figure_leaves_the_page() -> None:
    a = Measured(sides_px=(256, 384, 512, 640, 768, 896, 1024), clocks=("busy", "latency"))
    figure = draw(a, replace(a, ms=times(7), images=2)).figure
    figure.draw_without_rendering()
    page = figure.bbox
    for text in figure.findobj(mpl.text.Text):
        if text.get_text() and text.get_visible():
            box = text.get_window_extent()
            assert box.x0 >= -1, text
            assert box.x1 <= page.x1 + 1, text
    assert texts(figure)


def test_the_page_defines_every_column() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert [name for name in schema_of(COMPARISON) if f"`{name}`" not in page] == []
