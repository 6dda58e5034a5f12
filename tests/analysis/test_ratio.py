"""Ratio of two means with its interval, against closed forms and simulations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adscale.mean_error import mean_error
from analysis.statistics.ratio import Mean, Ratio, Statistic, mean_of_row, ratio_of_means
from analysis.statistics.summary import summarize_series

MEANS = st.builds(
    lambda mean, share, degrees: Mean(mean, share * mean, degrees),
    st.floats(1e-3, 1e4), st.floats(0, 1), st.integers(1, 500),
)  # fmt: skip
"""Times are above zero: the standard error of their mean is never more than the mean."""


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


@pytest.mark.parametrize("statistic", ["mean", "median"])
@pytest.mark.parametrize("processes", [1, 3])
def test_the_mean_of_a_row_has_the_interval_of_its_summary(
    processes: int, statistic: Statistic
) -> None:
    """Where both come from the same times, error × t is half of the published interval."""
    series = list(np.random.default_rng(5).normal(5, 0.3, (processes, 90)))
    summary = summarize_series(series)
    estimate = getattr(summary, statistic)
    of = "median_" if statistic == "median" else ""
    row = {
        f"{statistic}_ms": estimate.value,
        f"{of}standard_error_ms": getattr(summary, f"{of}standard_error"),
        f"{of}degrees_of_freedom": getattr(summary, f"{of}degrees_of_freedom"),
    }  # fmt: skip
    mean = mean_of_row(row, statistic=statistic)
    assert mean is not None
    half = (estimate.high - estimate.low) / 2
    high = ratio_of_means(Mean(1.0, 0.0, 1), mean).high
    assert high == pytest.approx(mean.value * math.exp(half / mean.value))


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
