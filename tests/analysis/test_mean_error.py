"""The error of a mean under autocorrelation, against closed forms and in coverage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adscale.mean_error import (
    autocorrelation,
    cosine_count,
    cosine_projections,
    mean_error,
    spectrum_fall,
    t_quantile,
)
from tests.analysis.series import noise

short_series = st.lists(st.floats(-100, 100).map(lambda x: round(x, 6)), min_size=2, max_size=40)


def covered(values: np.ndarray) -> float:
    """Share of the series, of true mean 0, whose interval holds it."""
    return float(np.mean(np.abs(values.mean(axis=1)) <= mean_error(values).half_width))


def test_with_all_cosines_it_is_the_error_of_student() -> None:
    """Parseval: n − 1 projections hold all of the variance. The slope of (1, −1, 1, −1) is nil."""
    values = np.array([1.0, -1.0, 1.5, -1.5, 0.5, -0.5])  # negative autocorrelation: no correction
    error = mean_error(values, cosines=5)
    assert error.degrees == 5
    assert error.standard_error == pytest.approx(np.std(values, ddof=1) / np.sqrt(6))


def test_two_values_give_students_interval() -> None:
    """Mean 2, s = √2, t(0.975, 1) = 12.7062 (table): half width 12.7062."""
    error = mean_error(np.array([1.0, 3.0]))
    assert error.degrees == 1
    assert error.half_width == pytest.approx(12.7062, rel=1e-5)


def test_projections_in_closed_form() -> None:
    """Of n = 4 the first cosine has the values cos(π/8), cos(3π/8), and their negatives."""
    wave = np.sqrt(2 / 4) * np.cos(np.pi * (np.arange(4) + 0.5) / 4)
    found = cosine_projections(np.array([1.0, 2.0, -4.0, 1.0]), 1)
    assert found == pytest.approx([wave @ [1.0, 2.0, -4.0, 1.0]])


@pytest.mark.parametrize(
    ("size", "count"), [(2, 1), (3, 2), (5, 4), (30, 4), (100, 9), (300, 18), (1000, 40)]
)
def test_number_of_cosines(size: int, count: int) -> None:
    """0.4·n^(2/3): 3.9, 8.6, 17.9, 40."""
    assert cosine_count(size) == count


def test_autocorrelation_with_its_bias_removed() -> None:
    """(2, 1, −1, −2): products 2 − 1 + 2 = 3, squares 10, ρ = 0.3; corrected by (1 + 0.9)/4."""
    deviations = np.array([2.0, 1.0, -1.0, -2.0])
    assert autocorrelation(deviations, fitted=1) == pytest.approx(0.3 + 1.9 / 4)
    assert autocorrelation(deviations, fitted=2) == pytest.approx(0.9)  # 0.3 + 3.2/4, cut off
    assert autocorrelation(np.array([1.0, -1.0, 1.0, -1.0]), fitted=1) == 0
    assert autocorrelation(np.zeros(4), fitted=1) == pytest.approx(0.25)


def test_the_bias_of_the_autocorrelation_is_removed_on_average() -> None:
    values = noise(np.random.default_rng(0), 4000, 100, 0.6)
    deviations = values - values.mean(axis=1, keepdims=True)
    assert autocorrelation(deviations, fitted=1).mean() == pytest.approx(0.6, abs=0.01)


def test_fall_of_the_spectrum() -> None:
    """An autoregression's spectrum is σ²/(1 + ρ² − 2ρ cos λ): at λ = π/2, 1 + ρ² over (1 − ρ)²."""
    fall = spectrum_fall(np.array([0.0, 0.5]), 2, 4)
    assert fall[0] == pytest.approx([1, 1])
    assert fall[1, 1] == pytest.approx(1.25 / 0.25)


def test_quantile_of_student() -> None:
    assert t_quantile(4) == pytest.approx(2.776445, abs=1e-6)
    assert t_quantile(4, 0.99) == pytest.approx(4.604095, abs=1e-6)


@given(short_series, st.floats(0.1, 10), st.floats(-100, 100))
def test_shifting_and_stretching(values: list[float], factor: float, shift: float) -> None:
    series = np.array(values)
    error = mean_error(series).standard_error
    assert mean_error(shift + factor * series).standard_error == pytest.approx(
        factor * error, rel=1e-6, abs=1e-6
    )


@given(st.integers(2, 60), st.integers(1, 5))
def test_many_series_at_once_are_one_after_the_other(images: int, series: int) -> None:
    values = noise(np.random.default_rng(images), series, images, 0.3)
    together = mean_error(values).standard_error
    assert together == pytest.approx([float(mean_error(row).standard_error) for row in values])


@given(st.integers(2, 60))
def test_no_scatter_is_no_error(images: int) -> None:
    assert mean_error(np.full(images, 3.0)).standard_error == 0


def test_one_value_has_no_error() -> None:
    with pytest.raises(ValueError, match="at least two"):
        mean_error(np.ones(1))


@pytest.mark.parametrize("images", [30, 100, 300, 1000])
@pytest.mark.parametrize("rho", [0.0, 0.3, 0.6, -0.4])
def test_the_interval_holds_the_mean_in_93_to_97_of_100_series(rho: float, images: int) -> None:
    values = noise(np.random.default_rng(1), 4000 if images < 1000 else 2000, images, rho)
    assert 0.93 <= covered(values) <= 0.97


def test_uncorrected_student_would_not() -> None:
    """The reason for all this; also that the simulation sees the difference."""
    values = noise(np.random.default_rng(1), 2000, 300, 0.6)
    half_width = t_quantile(299) * values.std(axis=1, ddof=1) / np.sqrt(300)
    assert np.mean(np.abs(values.mean(axis=1)) <= half_width) < 0.75


def test_the_correction_matters_where_autocorrelation_is_strong() -> None:
    values = noise(np.random.default_rng(2), 4000, 100, 0.8)
    error = mean_error(values)
    plain = np.sqrt(np.mean(cosine_projections(values, error.degrees) ** 2, axis=1) / 100)
    means = np.abs(values.mean(axis=1))
    assert np.mean(means <= t_quantile(error.degrees) * plain) < 0.91
    assert np.mean(means <= error.half_width) > 0.92


def test_the_whole_estimate_term_by_term() -> None:
    """Written out for one series: cosines, spectrum, and n·Var(mean) as a sum over the lags."""
    values = noise(np.random.default_rng(7), 1, 30, 0.6)[0]
    deviations = values - values.mean()
    rho = float(autocorrelation(deviations, fitted=1))
    assert rho > 0.2  # else there would be nothing to correct
    variance = 0.0
    for j in (1, 2, 3, 4):
        wave = np.sqrt(2 / 30) * np.cos(np.pi * j * (np.arange(30) + 0.5) / 30)
        spectrum = 1 / (1 + rho**2 - 2 * rho * np.cos(np.pi * j / 30))
        variance += (wave @ values) ** 2 / 4 * (1 / (1 - rho) ** 2) / spectrum
    lags = np.arange(1, 30)
    finite = 1 + 2 * np.sum((1 - lags / 30) * rho**lags)
    variance *= finite / ((1 + rho) / (1 - rho))
    assert mean_error(values).standard_error == pytest.approx(np.sqrt(variance / 30))
