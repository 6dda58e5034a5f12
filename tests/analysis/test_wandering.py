"""Levels that wander: false alarms, what is found, and what the intervals are worth then."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adscale.mean_error import mean_error
from adscale.wandering import find_wandering, series_error
from analysis.statistics.steadiness import check_processes, check_steadiness
from tests.analysis.series import Floats, noise, times
from tests.bench.noises import clocks, power_law, sine


def found_share(all_series: Floats) -> float:
    return float(np.mean([find_wandering(one).found for one in all_series]))


@pytest.mark.parametrize("rho", [0.0, 0.15, 0.3])
@pytest.mark.parametrize("images", [30, 100, 300, 1000])
def test_steady_series_hardly_ever_raise_an_alarm(images: int, rho: float) -> None:
    """In 2.5 of 100, with twice the simulation's error."""
    series = 1000 if images < 1000 else 400
    random = np.random.default_rng(images)
    rate = found_share(times(random, series, images, rho))
    assert rate <= 0.025 + 2 * np.sqrt(0.025 * 0.975 / series)


@pytest.mark.parametrize("images", [300, 1000])
def test_a_correlation_that_the_run_is_long_enough_for_is_steady(images: int) -> None:
    rho = {300: 0.5, 1000: 0.6}[images]
    assert found_share(times(np.random.default_rng(1), 300, images, rho)) <= 0.05


def test_slow_images_neither_make_nor_hide_one() -> None:
    random = np.random.default_rng(2)
    steady, slow = times(random, 400, 300), 1 + 0.03 * power_law(random, 100, 300, 1.0)
    for all_series in (steady, slow):
        all_series[random.uniform(size=all_series.shape) < 0.01] *= 10
    assert found_share(steady) <= 0.04
    assert found_share(slow) >= 0.85


@pytest.mark.parametrize(
    ("exponent", "images", "least"),
    [(1.0, 100, 0.75), (1.0, 300, 0.93), (1.5, 100, 0.95), (2.0, 30, 0.9), (0.5, 1000, 0.8)],
)
def test_noise_that_rises_towards_low_frequencies_is_found(
    exponent: float, images: int, least: float
) -> None:
    random = np.random.default_rng(3)
    assert found_share(1 + 0.03 * power_law(random, 200, images, exponent)) >= least


def test_clocks_that_stay_for_a_while_and_waves_are_found() -> None:
    random = np.random.default_rng(4)
    assert found_share(clocks(random, 100, 1000, 50)) >= 0.97
    assert found_share(sine(random, 100, 300, 200)) >= 0.97
    mixed = (noise(random, 100, 300) + noise(random, 100, 300, 0.97)) / np.sqrt(2)
    assert found_share(1 + 0.03 * mixed) >= 0.95


def test_height_of_a_wave_in_closed_form() -> None:
    """From top to bottom: three waves of ±2, where a whole number of cosines describes them."""
    place = (np.arange(300) + 0.5) / 300
    found = find_wandering(100 + 2 * np.cos(6 * np.pi * place))
    assert found.height_share == pytest.approx(0.04)
    assert found.found


def test_too_small_to_matter() -> None:
    random = np.random.default_rng(5)
    wave = np.sin(np.arange(300) / 300 * 6 * np.pi)
    values = 1 + 0.001 * noise(random, 1, 300)[0]
    small, large = find_wandering(values + 0.0015 * wave), find_wandering(values + 0.004 * wave)
    assert (small.found, small.matters, small.refused) == (True, False, False)
    assert (large.found, large.matters, large.refused) == (True, True, True)
    error = series_error(values + 0.0015 * wave, small)
    assert error is not None
    assert error.half_width >= mean_error(values + 0.0015 * wave).half_width
    assert series_error(values + 0.004 * wave, large) is None


def test_the_wider_interval_holds_where_the_run_forgets() -> None:
    """An autoregression at 0.9 over 1000 images remembers 19 of them."""
    all_series = times(np.random.default_rng(6), 200, 1000, 0.9)
    found = [find_wandering(one) for one in all_series]
    assert np.mean([one.found for one in found]) >= 0.98
    errors = [series_error(one, said) for one, said in zip(all_series, found, strict=True)]
    given = [
        abs(one.mean() - 1) <= error.half_width
        for one, error in zip(all_series, errors, strict=True)
        if error is not None
    ]
    assert len(given) >= 180
    assert np.mean(given) >= 0.93


def test_what_is_never_forgotten_has_no_interval() -> None:
    all_series = 1 + 0.03 * power_law(np.random.default_rng(7), 100, 1000, 1.0)
    assert np.mean([find_wandering(one).refused for one in all_series]) >= 0.97


def test_the_verdict_and_its_words() -> None:
    values = sine(np.random.default_rng(8), 1, 300, 60)[0]
    found = check_steadiness(values)
    assert found.verdict == "wandering"
    assert "the level of the times wanders by about" in found.evidence
    assert "no interval" in found.evidence
    quiet = times(np.random.default_rng(9), 1, 300)[0]
    assert check_processes([quiet, values]).verdict == "wandering"


def test_many_series_have_to_be_clearer() -> None:
    values = times(np.random.default_rng(10), 1, 100)[0]
    alone, together = find_wandering(values), find_wandering(values, 5)
    assert together.limit == pytest.approx(alone.limit + np.log(5))
    assert together.statistic == alone.statistic


@given(st.integers(0, 120), st.floats(0, 1000))
def test_equal_times_do_not_wander(images: int, time_ms: float) -> None:
    assert not find_wandering(np.full(images, time_ms)).found


@given(st.integers(30, 90), st.integers(0, 10**6), st.floats(0.01, 100))
def test_the_unit_does_not_matter(images: int, seed: int, factor: float) -> None:
    values = times(np.random.default_rng(seed), 1, images)[0]
    before, after = find_wandering(values), find_wandering(factor * values)
    assert after.statistic == pytest.approx(before.statistic)
    assert after.height_share == pytest.approx(before.height_share)


def test_ticks_of_a_clock_neither_make_nor_hide_one() -> None:
    all_series = np.round(times(np.random.default_rng(11), 300, 200), 2)
    assert found_share(all_series) <= 0.04
