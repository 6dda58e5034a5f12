"""Drift tests: false alarms, power, closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.statistics import drift
from analysis.statistics.drift import DriftTest, drift_tests
from tests.analysis.series import Floats, noise, times

SHAPES = {
    "trend": np.linspace(0, 1, 300),
    "step": (np.arange(300) >= 150).astype(float),
    "warm-up": np.exp(-np.arange(300) / 60),
}


def alarms(all_series: Floats) -> float:
    """Share of the series with a contrast beyond its limit, however small."""
    found = [any(test.p_value <= test.limit for test in drift_tests(one)) for one in all_series]
    return float(np.mean(found))


def by_kind(values: Floats) -> dict[str, DriftTest]:
    return {test.kind: test for test in drift_tests(values)}


@pytest.mark.parametrize(
    ("images", "series", "rho"),
    [
        (30, 3000, 0.3),
        (100, 3000, 0.0),
        (100, 3000, 0.3),
        (1000, 1000, 0.3),
        pytest.param(30, 3000, 0.0, marks=pytest.mark.slow),
        pytest.param(1000, 1000, 0.0, marks=pytest.mark.slow),
    ],
)
def test_at_most_two_of_100_steady_series_raise_an_alarm(
    images: int, series: int, rho: float
) -> None:
    rate = alarms(times(np.random.default_rng(0), series, images, rho))
    assert rate <= 0.022 + 2 * np.sqrt(0.02 * 0.98 / series)
    assert rate > 0.005 or images == 30  # and the test is not blind


def test_nor_do_skewed_series() -> None:
    assert alarms(np.exp(noise(np.random.default_rng(1), 2000, 100, 0.3))) <= 0.026


def test_autocorrelation_alone_hardly_ever_raises_one() -> None:
    assert alarms(times(np.random.default_rng(2), 2000, 100, 0.6)) <= 0.037  # 0.03 and its error


@pytest.mark.parametrize("images", [30, 100, 300])
def test_nor_do_photographs_that_take_turns(images: int) -> None:
    """Three of ten images are slower, over and over, and the last turn is incomplete."""
    turns = 0.3 * (np.arange(images + 4) % 10 < 3)
    all_series = times(np.random.default_rng(9), 1000, images + 4, 0.3) + turns
    assert alarms(all_series) <= 0.02


def test_outliers_neither_make_nor_hide_a_drift() -> None:
    random = np.random.default_rng(3)
    steady = times(random, 1500, 100)
    steady[random.uniform(size=steady.shape) < 0.01] *= 10
    assert alarms(steady) <= 0.027
    drifting = times(random, 300, 300) + 0.04 * SHAPES["trend"]
    drifting[random.uniform(size=drifting.shape) < 0.01] *= 10
    assert alarms(drifting) > 0.95


@pytest.mark.parametrize(
    ("shape", "size", "rho", "least"),
    [
        ("trend", 0.02, 0.0, 0.6),
        ("trend", 0.03, 0.0, 0.93),
        ("trend", 0.03, 0.3, 0.65),
        ("step", 0.02, 0.0, 0.95),
        ("step", 0.02, 0.3, 0.75),
        ("warm-up", 0.04, 0.0, 0.9),
    ],
)
def test_drifts_that_matter_are_found(shape: str, size: float, rho: float, least: float) -> None:
    """300 images with 3 % noise."""
    all_series = times(np.random.default_rng(4), 300, 300, rho) + size * SHAPES[shape]
    found = [any(test.found for test in drift_tests(one)) for one in all_series]
    assert np.mean(found) >= least


def test_sizes_in_closed_form() -> None:
    """0, 1, … 29 on top of 85.5, mean 100: the thirds differ by 20, the trend rises by 30."""
    found = by_kind(85.5 + np.arange(30.0))
    assert found["thirds"].change_share == pytest.approx(0.20)
    assert found["trend"].change_share == pytest.approx(0.30)
    assert found["trend"].p_value == pytest.approx(0)
    assert found["trend"].found


@pytest.mark.parametrize("after", [30, 50, 80])
def test_a_step_is_found_in_its_place(after: int) -> None:
    values = np.where(np.arange(100) < after, 1.0, 1.1) + 0.001 * noise(
        np.random.default_rng(5), 1, 100
    )
    step = by_kind(values[0])["step"]
    assert step.after_images == after
    assert step.change_share == pytest.approx(0.1 / values.mean(), rel=0.02)
    assert step.found


@pytest.mark.parametrize("rho", [0.0, 0.6])
def test_p_values_are_what_they_say(rho: float) -> None:
    """Of steady series, a tenth has a p-value below 0.1."""
    all_tests = [by_kind(one) for one in times(np.random.default_rng(6), 2000, 100, rho)]
    for kind in ("thirds", "trend"):
        p_values = np.array([tests[kind].p_value for tests in all_tests])
        assert np.mean(p_values < 0.1) == pytest.approx(0.1, abs=0.02)
        assert np.mean(p_values < 0.5) == pytest.approx(0.5, abs=0.035)


def test_a_change_too_small_to_matter_is_no_drift() -> None:
    values = times(np.random.default_rng(7), 1, 1000, variation=0.001)[0]
    small, large = (by_kind(values + size * np.linspace(0, 1, 1000)) for size in (0.004, 0.006))
    assert small["trend"].p_value < 1e-6
    assert not small["trend"].found
    assert large["trend"].found


def test_with_more_series_each_has_to_be_clearer() -> None:
    values = times(np.random.default_rng(8), 1, 50)[0]
    for alone, together in zip(drift_tests(values), drift_tests(values, 5), strict=True):
        assert together.limit == alone.limit / 5
        assert together.p_value == alone.p_value


@given(st.integers(30, 120), st.floats(0.001, 1000))
def test_equal_times_do_not_drift(images: int, time_ms: float) -> None:
    assert not any(test.found for test in drift_tests(np.full(images, time_ms)))


@given(st.integers(30, 90), st.integers(0, 10**6))
def test_backwards_is_the_opposite(images: int, seed: int) -> None:
    values = times(np.random.default_rng(seed), 1, images, 0.3)[0]
    forwards, backwards = by_kind(values), by_kind(values[::-1])
    for kind in ("thirds", "trend"):
        assert forwards[kind].p_value == pytest.approx(backwards[kind].p_value)
        assert forwards[kind].change_share == pytest.approx(-backwards[kind].change_share)


@given(st.integers(30, 90), st.integers(0, 10**6), st.floats(0.01, 100))
def test_the_unit_does_not_matter(images: int, seed: int, factor: float) -> None:
    values = times(np.random.default_rng(seed), 1, images)[0]
    for before, after in zip(drift_tests(values), drift_tests(factor * values), strict=True):
        assert after.p_value == pytest.approx(before.p_value)
        assert after.change_share == pytest.approx(before.change_share)


def test_too_short() -> None:
    with pytest.raises(ValueError, match="at least 30"):
        drift_tests(np.ones(drift.FEWEST_IMAGES - 1))
