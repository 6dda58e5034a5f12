"""Two groups of times: false alarms, power, and what the clock's ticks must not do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.statistics.steadiness import find_modes, valley
from tests.analysis.series import Floats, noise, times


def found(all_series: Floats) -> float:
    return float(np.mean([find_modes(one) is not None for one in all_series]))


def mixture(
    random: np.random.Generator, series: int, images: int, share: float, distance: float
) -> Floats:
    """Times of which a share is some standard deviations (of 1 %) slower."""
    slow = random.uniform(size=(series, images)) < share
    return times(random, series, images, variation=0.01) + 0.01 * distance * slow


@pytest.mark.parametrize(("images", "series"), [(30, 2000), (100, 2000), (700, 1000)])
def test_even_noise_raises_an_alarm_in_two_of_100_series(images: int, series: int) -> None:
    """The least favourable case; also a check of the table of limits."""
    rate = found(np.random.default_rng(0).uniform(1, 2, size=(series, images)))
    assert 0.005 <= rate <= 0.03


@pytest.mark.parametrize("rho", [0.0, 0.6])
def test_normal_skewed_and_heavy_tailed_noise_raise_none(rho: float) -> None:
    random = np.random.default_rng(1)
    base = noise(random, 1000, 200, rho)
    assert found(10 + base) <= 0.003
    assert found(np.exp(base)) <= 0.006
    assert found(100 + random.standard_t(3, size=(1000, 200))) <= 0.003


@pytest.mark.parametrize(
    ("images", "share", "distance", "least"),
    [(100, 0.5, 5, 0.9), (100, 0.2, 8, 0.8), (300, 0.1, 8, 0.9), (1000, 0.1, 6, 0.95)],
)
def test_two_groups_are_found(images: int, share: float, distance: float, least: float) -> None:
    assert found(mixture(np.random.default_rng(2), 200, images, share, distance)) >= least


def test_what_is_said_of_the_groups() -> None:
    values = np.concatenate([np.linspace(1.0, 1.1, 80), np.linspace(1.5, 1.6, 20)])
    groups = find_modes(np.random.default_rng(3).permutation(values))
    assert groups is not None
    assert (groups.fast, groups.slow) == pytest.approx((1.05, 1.55))
    assert groups.slow_share == pytest.approx(0.2)
    assert groups.statistic > groups.limit


def test_statistic_in_closed_form() -> None:
    """0 … 9, then 90 … 99: the gap of 81 holds one step and both sides all of their 10 times."""
    ordered = np.concatenate([np.arange(10.0), np.arange(90.0, 100)])
    assert valley(ordered) == (pytest.approx(2 * (np.sqrt(10) - 1)), 10)


def test_a_few_outliers_are_no_group() -> None:
    values = np.concatenate([times(np.random.default_rng(4), 1, 96)[0], [3.0] * 4])
    assert find_modes(values) is None


def test_outliers_do_not_hide_groups() -> None:
    values = mixture(np.random.default_rng(4), 1, 96, 0.4, 8)[0]
    assert find_modes(np.concatenate([values, [0.1, 3, 5, 8]])) is not None


def test_groups_closer_than_a_per_cent_are_not_worth_a_word() -> None:
    random = np.random.default_rng(5)
    values = times(random, 1, 500, variation=0.0002)[0]
    slow = random.uniform(size=500) < 0.5
    assert find_modes(values + 0.008 * slow) is None
    assert find_modes(values + 0.012 * slow) is not None


@pytest.mark.parametrize("tick", [0.001, 0.01, 0.03])
def test_ticks_of_the_clock_are_no_groups(tick: float) -> None:
    all_series = times(np.random.default_rng(6), 300, 300)
    assert found(np.round(all_series / tick) * tick) <= 0.01


@given(st.integers(30, 200), st.floats(0, 1000))
def test_equal_times_are_one_group(images: int, time_ms: float) -> None:
    assert find_modes(np.full(images, time_ms)) is None


@given(st.integers(0, 10**6), st.floats(0.01, 100))
def test_neither_unit_nor_order_matter(seed: int, factor: float) -> None:
    random = np.random.default_rng(seed)
    values = mixture(random, 1, 100, 0.4, 6)[0]
    groups, other = find_modes(values), find_modes(random.permutation(factor * values))
    assert (groups is None) == (other is None)
    if groups is not None and other is not None:
        assert other.slow_share == pytest.approx(groups.slow_share)
        assert other.slow == pytest.approx(factor * groups.slow)


def test_too_few() -> None:
    with pytest.raises(ValueError, match="at least 30"):
        find_modes(np.ones(29))
