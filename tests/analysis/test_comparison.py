"""`analysis compare`: ratios with known truth, verdicts, the command line, the figure."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adscale.mean_error import mean_error
from adscale.tables import schema_of
from analysis.comparison.sides import fingerprint_differences, pair_sides
from analysis.comparison.verdict import (
    COMPARISON,
    DISTURBANCE_FACTOR,
    Evidence,
    Verdict,
    comparison_table,
    judge,
)
from analysis.figures.canvas import Drawing, Style, rc_parameters
from analysis.figures.comparison import comparison_ratios
from analysis.statistics.ratio import Mean, Ratio, mean_of_row, ratio_of_means
from analysis.statistics.summary import summarize_series
from analysis.tables import read_csv, write_csv
from tests.analysis.comparisons import PARTS, Measured
from tests.analysis.drawings import caption, runs_table, texts

PAGE = Path(__file__).parents[2] / "docs" / "comparison.md"
Command = Callable[..., tuple[int, str, str]]

MEANS = st.builds(
    lambda mean, share, degrees: Mean(mean, share * mean, degrees),
    st.floats(1e-3, 1e4), st.floats(0, 1), st.integers(1, 500),
)  # fmt: skip
"""Times are above zero: the standard error of their mean is never more than the mean."""


def compare(a: Measured, b: Measured, seeds: tuple[int, int] = (1, 2), **more: Any) -> pd.DataFrame:
    return comparison_table(*pair_sides(a.side("A", seeds[0]), b.side("B", seeds[1]), {}), **more)


def times(factor: float) -> Callable[[str, int], float]:
    """Truth that is so many times that of `Measured`."""
    usual = Measured().ms
    return lambda part, side_px: factor * usual(part, side_px)


# Ratio


def test_a_ratio_in_closed_form() -> None:
    """Welch and Satterthwaite of two equal errors with ν each: 2·ν; t(20, 0.975) = 2.085963."""
    ratio = ratio_of_means(Mean(10.0, 0.1, 10), Mean(20.0, 0.2, 10))
    assert ratio.value == 2
    assert ratio.degrees == pytest.approx(20)
    reach = math.exp(2.085963 * math.sqrt(2) * 0.01)
    assert (ratio.low, ratio.high) == (pytest.approx(2 / reach), pytest.approx(2 * reach))


def test_the_p_value_and_the_interval_agree() -> None:
    """Where one mean is exact: a ratio whose interval ends at 1 has p = 0.05; t(10) = 2.228139."""
    reach = math.exp(2.228139 * 0.01)
    ratio = ratio_of_means(Mean(1.0, 0.0, 3), Mean(reach, 0.01 * reach, 10))
    assert ratio.low == pytest.approx(1)
    assert ratio.p_value == pytest.approx(0.05, rel=1e-5)


def test_the_p_value_trusts_the_smaller_sample() -> None:
    """t(2) = 4.302653 has p = 0.05, whatever the other sample knows."""
    apart = math.exp(4.302653 * 0.05)
    ratio = ratio_of_means(Mean(1.0, 0.03, 2), Mean(apart, 0.04 * apart, 500))
    assert ratio.p_value == pytest.approx(0.05, rel=1e-5)
    assert ratio.low is not None
    assert ratio.low > 1


def test_an_exact_mean_adds_no_degrees() -> None:
    assert ratio_of_means(Mean(1.0, 0.0, 1), Mean(1.0, 0.1, 7)).degrees == pytest.approx(7)


def test_means_without_scatter_have_their_ratio_for_certain() -> None:
    assert ratio_of_means(Mean(2.0, 0.0, 3), Mean(3.0, 0.0, 3)) == Ratio(1.5, 1.5, 1.5, None, 0.0)
    assert ratio_of_means(Mean(2.0, 0.0, 3), Mean(2.0, 0.0, 3)).p_value == 1


def test_a_mean_without_error_gives_a_ratio_without_interval() -> None:
    assert ratio_of_means(Mean(2.0, None, 0), Mean(3.0, 0.1, 3)) == Ratio(1.5)


@given(MEANS, MEANS)
def test_turning_a_comparison_round_gives_the_reciprocal(a: Mean, b: Mean) -> None:
    there, back = ratio_of_means(a, b), ratio_of_means(b, a)
    assert there.value * back.value == pytest.approx(1)
    assert there.p_value == pytest.approx(back.p_value, abs=1e-12)
    assert there.low is not None
    assert there.high is not None
    assert back.low is not None
    assert back.high is not None
    assert there.low * back.high == pytest.approx(1)
    assert there.high * back.low == pytest.approx(1)


@pytest.mark.parametrize("processes", [1, 3])
def test_the_mean_of_a_row_has_the_interval_of_its_summary(processes: int) -> None:
    """Where both come from the same times, error × t is half of the published interval."""
    series = list(np.random.default_rng(5).normal(5, 0.3, (processes, 90)))
    summary = summarize_series(series)
    row = {
        "mean_ms": summary.mean.value, "standard_error_ms": summary.standard_error,
        "degrees_of_freedom": summary.degrees_of_freedom,
    }  # fmt: skip
    mean = mean_of_row(row)
    assert mean is not None
    assert summary.mean.high is not None
    exact = Mean(1.0, 0.0, 1)
    high = ratio_of_means(exact, mean).high
    assert high == pytest.approx(
        mean.value * math.exp((summary.mean.high - mean.value) / mean.value)
    )


def test_one_image_has_a_mean_without_error() -> None:
    row: dict[Any, Any] = {"mean_ms": 4.0, "standard_error_ms": pd.NA}
    row |= {"degrees_of_freedom": math.nan}
    assert mean_of_row(row) == Mean(4.0, None, 0)
    assert mean_of_row(row | {"mean_ms": None}) is None


@pytest.mark.parametrize(
    ("noises", "sizes"),
    [((0.03, 0.03), (100, 100)), ((0.02, 0.1), (300, 40))],
    ids=["alike", "unlike"],
)
def test_intervals_of_images_hold_the_truth(
    noises: tuple[float, float], sizes: tuple[int, int]
) -> None:
    """In 93 to 97 of 100 of 4000 simulated ratios of 1.3."""
    generator = np.random.default_rng(11)
    sides = []
    for mean_ms, noise, size in zip((10.0, 13.0), noises, sizes, strict=True):
        series = generator.normal(mean_ms, noise * mean_ms, (4000, size))
        errors = mean_error(series)
        values = zip(series.mean(axis=1), errors.standard_error, strict=True)
        sides.append([Mean(float(mean), float(se), errors.degrees) for mean, se in values])
    assert 0.93 <= coverage(sides, 1.3) <= 0.97


@pytest.mark.parametrize("counts", [(3, 3), (5, 3), (10, 10)])
def test_intervals_of_processes_hold_the_truth(counts: tuple[int, int]) -> None:
    generator = np.random.default_rng(12)
    sides = []
    for mean_ms, count in zip((10.0, 13.0), counts, strict=True):
        levels = generator.normal(mean_ms, 0.02 * mean_ms, (4000, count))
        errors = levels.std(axis=1, ddof=1) / math.sqrt(count)
        values = zip(levels.mean(axis=1), errors, strict=True)
        sides.append([Mean(float(mean), float(se), count - 1) for mean, se in values])
    assert 0.93 <= coverage(sides, 1.3) <= 0.97


def coverage(sides: list[list[Mean]], truth: float) -> float:
    ratios = [ratio_of_means(a, b) for a, b in zip(*sides, strict=True)]
    return float(np.mean([(r.low or 2) <= truth <= (r.high or 0) for r in ratios]))


# Verdicts


def evidence(low: float, high: float, p_value: float = 1e-6, **more: Any) -> Evidence:
    usual = Evidence(
        Ratio(math.sqrt(low * high), low, high, 30, p_value),
        ("ok", "ok"), ("steady", "steady"), (100, 100), (3, 3),
    )  # fmt: skip
    return usual._replace(**more)


def verdict(each: Evidence, margin: float = 0.02) -> Verdict:
    return judge([each], margin)[0]


@pytest.mark.parametrize(
    ("ends", "p_value", "name", "beyond"),
    [
        ((0.985, 1.015), 1.0, "same", None),
        ((1.005, 1.015), 1e-6, "same", None),  # different for certain, and yet it does not matter
        ((1 / 1.02, 1.02), 1.0, "same", None),
        ((0.985, 1.025), 0.4, "unclear", None),
        ((1.01, 1.05), 1e-6, "slower", False),
        ((1.03, 1.05), 1e-6, "slower", True),
        ((0.95, 0.99), 1e-6, "faster", False),
        ((0.90, 0.97), 1e-6, "faster", True),
        ((1.03, 1.05), 0.06, "unclear", None),
    ],
)
def test_verdict_of_an_interval(
    ends: tuple[float, float], p_value: float, name: str, beyond: bool | None
) -> None:
    found = verdict(evidence(*ends, p_value))
    assert (found.name, found.beyond_margin) == (name, beyond)
    assert found.reason


def test_the_margin_decides_what_is_the_same() -> None:
    assert verdict(evidence(1.01, 1.04), 0.05).name == "same"
    assert verdict(evidence(1.01, 1.04), 0.005).beyond_margin is True


def test_many_comparisons_need_a_smaller_p() -> None:
    """Benjamini and Hochberg: the k-th smallest of m, times m / k."""
    each = evidence(1.03, 1.05, 0.02)
    assert judge([each])[0].name == "slower"
    found = judge([each, *[evidence(0.9, 1.1, 0.9)] * 9])[0]
    assert (found.name, found.p_adjusted) == ("unclear", pytest.approx(0.2))
    assert "10 comparisons" in found.reason


def test_where_much_differs_each_needs_no_more_than_alone() -> None:
    found = judge([evidence(1.03, 1.05, 0.04)] * 50)
    assert {each.name for each in found} == {"slower"}


@pytest.mark.parametrize("said", ["drifting", "throttled", "shared", None])
def test_what_was_not_steady_is_unclear(said: str | None) -> None:
    for ends in ((0.99, 1.01), (1.3, 1.4), (0.6, 0.7)):
        found = verdict(evidence(*ends, run_verdicts=("steady", said)))
        assert found.name == "unclear"
        assert f"B {said or 'not judged'}" in found.reason


def test_a_disturbance_does_not_explain_everything() -> None:
    shared = ("shared", "steady")
    low = DISTURBANCE_FACTOR * 1.01
    found = verdict(evidence(low, low * 1.1, run_verdicts=shared))
    assert (found.name, found.beyond_margin) == ("slower", True)
    assert "A shared" in found.reason
    assert verdict(evidence(0.3, 0.4, run_verdicts=shared)).name == "faster"


def test_without_interval_or_time_nothing_is_clear() -> None:
    one_image = verdict(evidence(1, 1, ratio=Ratio(3.0), images=(1, 40)))
    assert one_image[:2] == ("unclear", "too few images for an interval (A 1, B 40)")
    lost = verdict(evidence(1, 1, ratio=None, statuses=("ok", "out_of_memory")))
    assert lost[:2] == ("unclear", "no time: B out of memory")


def test_wide_intervals_say_why() -> None:
    assert "interval too wide" in verdict(evidence(0.9, 1.1, 0.5)).reason
    few = verdict(evidence(0.9, 1.1, 0.5, images=(5, 100), processes=(1, 1))).reason
    assert "too few images (A 5, B 100)" in few
    of_processes = evidence(0.9, 1.1, 0.5, images=(9, 9), processes=(3, 3))
    assert "interval too wide" in verdict(of_processes).reason


# Whole comparisons


def means_of_images(
    generator: np.random.Generator, noise: float, size: int, rows: int
) -> list[Mean]:
    series = generator.normal(1, noise, (rows, size))
    error = mean_error(series)
    values = zip(series.mean(axis=1), error.standard_error, strict=True)
    return [Mean(float(mean), float(se), error.degrees) for mean, se in values]


def means_of_processes(
    generator: np.random.Generator, noise: float, size: int, rows: int
) -> list[Mean]:
    levels = generator.normal(1, noise, (rows, size))
    errors = levels.std(axis=1, ddof=1) / math.sqrt(size)
    values = zip(levels.mean(axis=1), errors, strict=True)
    return [Mean(float(mean), float(se), size - 1) for mean, se in values]


@pytest.mark.parametrize(
    ("draw_means", "noises", "sizes"),
    [
        (means_of_images, (0.03, 0.03), (60, 60)),
        (means_of_images, (0.03, 0.03), (10, 300)),
        (means_of_processes, (0.02, 0.02), (3, 3)),
        (means_of_processes, (0.05, 0.01), (3, 10)),
    ],
)
def test_false_alarms_of_a_study(
    draw_means: Callable[..., list[Mean]], noises: tuple[float, float], sizes: tuple[int, int]
) -> None:
    """Of 400 studies in which nothing differs, 5 of 100 at most have a faster or slower."""
    generator, rows, studies = np.random.default_rng(5), 28, 400
    alarms = 0
    for _ in range(studies):
        a, b = (draw_means(generator, *how, rows) for how in zip(noises, sizes, strict=True))
        ratios = [ratio_of_means(*means) for means in zip(a, b, strict=True)]
        found = judge([evidence(1, 1, ratio=ratio) for ratio in ratios])
        alarms += any(each.name in {"faster", "slower"} for each in found)
    chance = 2 * math.sqrt(studies * 0.05 * 0.95)
    assert alarms <= 0.05 * studies + chance


def test_few_of_the_findings_are_false() -> None:
    """Half of 40 ratios are 1.05, half 1: of what is called different, 5 of 100 are not."""
    generator = np.random.default_rng(6)
    shares = []
    for _ in range(200):
        a, b = (means_of_images(generator, 0.03, 60, 40) for _ in "AB")
        b = [*b[:20], *(Mean(m.value * 1.05, m.standard_error, m.degrees) for m in b[20:])]
        ratios = [ratio_of_means(*means) for means in zip(a, b, strict=True)]
        found = judge([evidence(1, 1, ratio=ratio) for ratio in ratios])
        called = [each.name in {"faster", "slower"} for each in found]
        assert sum(called[20:]) >= 18
        shares.append(sum(called[:20]) / max(1, sum(called)))
    assert np.mean(shares) <= 0.05


def test_one_process_tells_large_differences_only() -> None:
    """Of one process nobody knows how it differs from the next one of the same program."""
    for processes in ((1, 1), (1, 3), (3, 1)):
        found = verdict(evidence(1.03, 1.05, processes=processes))
        assert (found.name, found.beyond_margin) == ("unclear", None)
        assert "one process on a side" in found.reason
        assert verdict(evidence(1.11, 1.2, processes=processes)).name == "slower"
        assert verdict(evidence(0.8, 0.9, processes=processes)).name == "faster"
        alike = verdict(evidence(0.995, 1.005, processes=processes))
        assert alike.name == "unclear"
        assert "one process on a side" in alike.reason
        assert verdict(evidence(0.995, 1.005, processes=processes), margin=0.15).name == "same"


def test_a_difference_of_20_percent_is_found_with_one_process() -> None:
    """1000 images with 3 % noise: 19 of 20 rows of 10 studies; and none where nothing differs.

    The others are false alarms of a wandering level, which have no interval.
    """
    a, found = Measured(images=1000), []
    for seed in range(10):
        slower = compare(a, replace(a, ms=times(1.2)), (2 * seed, 2 * seed + 1))
        found.append(slower["verdict"])
        assert set(compare(a, a, (2 * seed, 2 * seed + 1))["verdict"]) <= {"same", "unclear"}
    assert np.mean(pd.concat(found) == "slower") >= 0.95
    assert set(pd.concat(found)) <= {"slower", "unclear"}


@pytest.mark.parametrize("processes", [1, 3])
@pytest.mark.parametrize("images", [1, 2, 30])
def test_a_measurement_is_neither_faster_nor_slower_than_itself(
    processes: int, images: int
) -> None:
    measured = Measured(images=images, processes=processes, process_noise=0.01)
    table = compare(measured, measured, (4, 4))
    assert set(table["verdict"]) <= {"same", "unclear"}
    assert table["ratio"].tolist() == [1.0] * len(table)


def test_b_over_a_and_a_over_b_are_reciprocal() -> None:
    a, b = Measured(), Measured(ms=times(1.04), processes=3, process_noise=0.004)
    there, back = compare(a, b, (1, 2)), compare(b, a, (2, 1))
    product = there["ratio_ci95_low"] * back["ratio_ci95_high"]
    assert product.tolist() == pytest.approx([1.0] * len(there))
    turned = {"slower": "faster", "faster": "slower"}
    assert [turned.get(each, each) for each in there["verdict"]] == back["verdict"].tolist()
    assert there["p_adjusted"].tolist() == pytest.approx(back["p_adjusted"].tolist())
    assert there["b_mean_ms"].tolist() == back["a_mean_ms"].tolist()


def test_ratios_are_those_of_the_tables() -> None:
    a, b = Measured().side("A", 1), Measured(ms=times(3)).side("B", 2)
    table = comparison_table(*pair_sides(a, b, {}))
    assert list(table.columns) == list(schema_of(COMPARISON))
    expected = b.runtime["mean_ms"] / a.runtime["mean_ms"]
    assert table["ratio"].tolist() == pytest.approx(expected.tolist())
    assert table["submodule"].tolist() == a.runtime["submodule"].tolist()
    assert table["beyond_margin"].tolist() == [True] * len(table)


def test_a_cpu_and_a_gpu_are_compared_by_latency_alone() -> None:
    clocks = ("host", "latency")
    cpu = Measured(clocks=clocks, row={"device": "cpu", "device_type": "cpu"})
    assert set(compare(cpu, Measured(clocks=clocks))["clock"]) == {"latency"}
    assert set(compare(cpu, cpu)["clock"]) == {"host", "latency"}


def test_each_difference_of_fingerprints_is_named_once() -> None:
    a = Measured(runs={"gpu_driver": "550.54.15", "torch_version": "2.5.1"})
    b = Measured(runs={"gpu_driver": "560.35.03", "torch_version": "2.5.1", "threads": 4})
    found = fingerprint_differences(*pair_sides(a.side("A", 1), b.side("B", 2), {}))
    assert found is not None
    assert [each[:3] for each in found] == [
        ("gpu_driver", "550.54.15", "560.35.03"), ("threads", "8", "4"),
    ]  # fmt: skip
    assert {(each.runs, each.of) for each in found} == {(3, 3)}
    assert fingerprint_differences(*pair_sides(a.side("A", 1), a.side("B", 2), {})) == []


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
    code, out, _ = analysis("compare", folder, f"--{label}", "X", "Y")
    assert code == 0
    assert "9 slower" in out
    assert f"{label} X" in out
    assert "the same fingerprint" in out


def test_without_its_runs_no_fingerprint_is_claimed(tmp_path: Path, analysis: Command) -> None:
    folder = Measured().write(tmp_path / "results")
    write_csv(runs_table(Measured().runtime(1)).head(0), folder / "tables" / "runs.csv")
    code, out, _ = analysis("compare", folder, folder)
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
        (["a", "other"], "A has device lab, method M, variant reference-fp32, resolution_px 256"),
        (["a", "other"], "B has device lab, method N"),
        (["a", "a", "--clock", "span"], "nothing matches"),
    ],
)
def test_what_cannot_be_compared_ends_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, analysis: Command, arguments: list[str],
    said: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Measured().write(Path("a"))
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
