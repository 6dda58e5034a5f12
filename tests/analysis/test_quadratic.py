"""The paper's model against closed forms, another solver, and the coverage of its intervals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.fits.quadratic import fit_quadratic

SIDES_PX = [256, 384, 512, 640, 768, 896, 1024]
coefficient = st.floats(-100, 100)


@given(coefficient, coefficient, coefficient)
def test_a_parabola_is_recovered(b0: float, b1: float, b2: float) -> None:
    side = np.array(SIDES_PX, float)
    fit = fit_quadratic(SIDES_PX, b0 + b1 * side / 1e3 + b2 * side**2 / 1e6)
    assert fit.coefficients[0] == pytest.approx(b0, abs=1e-8)
    assert fit.coefficients[1] == pytest.approx(b1 / 1e3, abs=1e-10)
    assert fit.coefficients[2] == pytest.approx(b2 / 1e6, abs=1e-13)
    expected = b0 + 3 * b1 + 9 * b2
    assert float(fit.predict(3000)) == pytest.approx(expected, abs=1e-8)


def test_bytes_of_terabytes_are_recovered_to_a_byte() -> None:
    side = np.array(SIDES_PX, np.float64)
    fit = fit_quadratic(SIDES_PX, 7 + 11 * side + 13 * side**2)
    assert float(fit.predict(300_000)) == pytest.approx(7 + 11 * 3e5 + 13 * 9e10, rel=1e-10)


def test_least_squares_agree_with_numpys_polynomials() -> None:
    random = np.random.default_rng(2)
    observed = random.uniform(1, 9, len(SIDES_PX))
    expected = np.polynomial.Polynomial.fit(SIDES_PX, observed, 2).convert().coef
    assert fit_quadratic(SIDES_PX, observed).coefficients == pytest.approx(tuple(expected))


def test_prediction_interval_in_closed_form() -> None:
    """Sides −2 … 2, y = s² + (1, −1, 0, −1, 1): two degrees of freedom, t(0.975, 2) = 4.30265.

    With u = s² − 2 the columns 1, s, u are orthogonal (squares 5, 10, 14), so that at s = 3 the
    leverage is 1/5 + 9/10 + 49/14 = 4.6.
    """
    side = np.arange(-2.0, 3.0)
    disturbance = np.array([1.0, -1.0, 0.0, -1.0, 1.0])
    fit = fit_quadratic(side, side**2 + disturbance)
    # regression of the disturbance on 1, s²: slope Σd·(s²−2)/Σ(s²−2)² = 6/14, intercept −2·6/14
    assert fit.coefficients == pytest.approx((-6 / 7, 0, 1 + 3 / 7))
    squares = 4 - 14 * (6 / 14) ** 2
    half_width = 4.30265273 * np.sqrt(squares / 2 * (1 + 4.6))
    low, high = fit.prediction_interval(3.0)
    center = -6 / 7 + 9 * (1 + 3 / 7)
    assert low[0] == pytest.approx(center - half_width)
    assert high[0] == pytest.approx(center + half_width)


def test_the_interval_holds_a_new_observation_in_95_of_100_cases() -> None:
    random = np.random.default_rng(3)
    side = np.array(SIDES_PX, float)
    hits = []
    for _ in range(2000):
        fit = fit_quadratic(side, 5 + side**2 / 1e5 + random.normal(0, 0.3, len(side)))
        low, high = fit.prediction_interval(3000)
        hits.append(low[0] <= 5 + 3000**2 / 1e5 + random.normal(0, 0.3) <= high[0])
    assert np.mean(hits) == pytest.approx(0.95, abs=0.015)


def test_three_resolutions_leave_no_interval() -> None:
    fit = fit_quadratic([256, 512, 1024], [1, 2, 4])
    with pytest.raises(ValueError, match="leave no scatter"):
        fit.prediction_interval(3000)


@pytest.mark.parametrize("sides", [[], [256], [256, 512], [256, 256, 512]])
def test_too_few_resolutions(sides: list[int]) -> None:
    with pytest.raises(ValueError, match="three different"):
        fit_quadratic(sides, np.ones(len(sides)))


def test_largest_relative_residual() -> None:
    """The closed form above: residuals are (2, −4, 6, −4, 2)/7 up to sign."""
    side = np.arange(-2.0, 3.0)
    observed = side**2 + np.array([1.0, -1.0, 0.0, -1.0, 1.0]) + 1
    residuals = np.array([1, -4, 6, -4, 1]) / 7
    fit = fit_quadratic(side, observed)
    assert fit.observed - fit.fitted == pytest.approx(residuals)
    assert fit.max_relative_residual == pytest.approx(np.max(np.abs(residuals / observed)))


def test_a_relative_residual_of_nothing_does_not_exist() -> None:
    assert fit_quadratic(SIDES_PX, np.zeros(7)).max_relative_residual is None


def test_explained_variance() -> None:
    """The closed form above: squares of 10/7 around the fit, of 30 around the mean of 2."""
    side = np.arange(-2.0, 3.0)
    fit = fit_quadratic(side, side**2 + np.array([1.0, -1.0, 0.0, -1.0, 1.0]))
    assert fit.r_squared == pytest.approx(1 - 10 / 7 / 30)


def test_where_nothing_varies_nothing_is_explained() -> None:
    assert fit_quadratic(SIDES_PX, np.full(7, 3.0)).r_squared is None
