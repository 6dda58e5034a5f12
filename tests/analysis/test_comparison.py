"""`analysis compare`: verdicts, and whole comparisons with known truth."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from adscale.mean_error import mean_error
from adscale.tables import schema_of
from analysis.comparison.sides import fingerprint_differences, pair_sides
from analysis.comparison.table import COMPARISON, comparison_table
from analysis.comparison.verdict import DISTURBANCE_FACTOR, Evidence, Verdict, judge
from analysis.statistics.ratio import Mean, Ratio, ratio_of_means
from tests.analysis.comparisons import Measured, compare, times

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
    assert set(table["statistic"]) == {"median"}
    expected = b.runtime["median_ms"] / a.runtime["median_ms"]
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
