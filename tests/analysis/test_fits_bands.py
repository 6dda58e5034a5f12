"""Bounds in closed form against a general optimiser, textbook intervals and worst cases."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import nnls
from scipy.stats import t

from analysis.fits.estimation import (
    Scatter,
    beyond,
    envelope,
    fit_cases,
    fit_laws,
    make_points,
)
from analysis.fits.models import (
    BORDER,
    CONSTANT,
    FLOOR_LINEAR,
    FLOOR_QUADRATIC,
    LINEAR,
    QUADRATIC,
    ROUNDED_FLOOR,
    Case,
    Cases,
    Floats,
    Law,
    Term,
    sizes_of,
)
from tests.analysis.fitted_cases import best, curve, each

SIDES_PX = np.arange(256.0, 1025.0, 128.0)
TARGET_PX = np.array([3000.0])
G = (SIDES_PX / 1024) ** 2


def scatter(variance: float, new: float, series: int = 1) -> Scatter:
    return Scatter(*(np.full(series, value) for value in (variance, new, 2.0, 0.0)))


def only(law: Law, terms: tuple[Term, ...], below: int = 0) -> Cases:
    """A batch of one case, of terms of the upper part above a floor over some of the sides."""
    columns = (*(((0, 0),) if below else ()), *((1, term) for term in terms))
    return Cases((Case(law, columns, below, len(SIDES_PX) - below),), sizes_of(SIDES_PX))


def farthest(law: Law, observed: Floats, budget: float, sign: int) -> float:
    """Largest or smallest prediction with no negative coefficient and so much misfit at most.

    By bisection: the least misfit of non-negative coefficients with a given prediction is a problem
    of non-negative least squares, the prediction being one more row with a large weight.
    """
    cases = Cases((Case(law, law.columns, 0, len(SIDES_PX)),), sizes_of(SIDES_PX))
    columns = cases.design[0] / observed[:, None]
    target = cases.parts(TARGET_PX)[0, 1, 0]

    def least_misfit(predicted: float) -> float:
        rows = np.vstack([columns, 1e4 * target / predicted])
        return float(nnls(rows, np.append(np.ones(7), 1e4))[1] ** 2)

    coefficients, norm = nnls(columns, np.ones(7))
    inside, outside = float(target @ coefficients), 100.0 if sign > 0 else 1e-6
    for _ in range(60):
        middle = (inside + outside) / 2
        if least_misfit(middle) <= norm**2 + budget:
            inside = middle
        else:
            outside = middle
    return inside


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("law", [QUADRATIC, BORDER])
def test_the_envelope_of_the_cases_is_the_optimum_under_signs(seed: int, law: Law) -> None:
    random = np.random.default_rng(seed)
    # some of the laws have coefficients at zero, where the sign matters
    observed = (0.1 + 0.9 * G + (seed % 3) * 0.05 * G**2) * random.normal(1, 0.01, 7)
    fits = fit_laws([law], make_points(SIDES_PX, observed))
    least = best(law, fits).misfit[0]
    variance, budget = 1e-4, 6.0
    budgets = budget - (fits.misfit - least) / variance
    bounds = envelope(fits, budgets, scatter(variance, 0), TARGET_PX)
    for end, sign in ((bounds.low, -1), (bounds.high, 1)):
        assert end[0, 0] == pytest.approx(
            farthest(law, observed, budget * variance, sign), rel=1e-4
        )


def test_a_constant_has_the_textbook_prediction_interval() -> None:
    """Relative residuals, so equal values: half-width t · s · √(1 + 1/n)."""
    observed = np.array([0.98, 1.01, 1.0, 1.02, 0.99, 1.0, 1.0])
    points = make_points(SIDES_PX, observed)
    fits = fit_laws([CONSTANT], points)
    variance, quantile = float(fits.misfit[0, 0]) / 6, float(t.ppf(0.975, 6))
    bounds = envelope(fits, np.full((1, 1), quantile**2), scatter(variance, 1), TARGET_PX)
    mean, weights = fits.coefficients[0, 0, 0], np.sum(observed**-2)
    half_width = quantile * np.sqrt(variance * (mean**2 + 1 / weights))
    assert bounds.low[0, 0] == pytest.approx(mean - half_width)
    assert bounds.high[0, 0] == pytest.approx(mean + half_width)


def test_no_budget_no_bounds() -> None:
    fits = fit_laws([LINEAR], make_points(SIDES_PX, 1 + G))
    bounds = envelope(fits, np.full(fits.misfit.shape, -1.0), scatter(1e-4, 1), TARGET_PX)
    assert np.isnan(bounds.low).all()
    assert np.isnan(bounds.high).all()


def test_no_budget_in_one_series_of_two() -> None:
    fits = fit_laws([LINEAR], make_points(SIDES_PX, [1 + G, 1 + G]))
    budgets = np.tile([4.0, -1.0], (len(fits.cases.every), 1))
    bounds = envelope(fits, budgets, scatter(1e-4, 1, series=2), TARGET_PX)
    assert np.isfinite(bounds.low[0, 0])
    assert np.isnan(bounds.low[1, 0])


def test_where_no_full_step_is_possible_the_estimate_counts_with_the_noise_of_one_more() -> None:
    """Steps so long that a coefficient becomes negative either way, and no other case to speak."""
    points = make_points(SIDES_PX, G + G**2)
    fit = fit_cases(only(QUADRATIC, (1, 2)), points)
    bounds = envelope(fit, np.array([[4.0]]), scatter(1, 1), TARGET_PX)
    (one,) = each(fit)
    value = float(curve(one.case, one.coefficients, TARGET_PX)[0, 0])
    assert bounds.high[0, 0] == pytest.approx(value + 2 * value)
    assert bounds.low[0, 0] == 0


def test_an_unseen_branch_without_budget_in_one_series_of_two() -> None:
    points = make_points(SIDES_PX, np.ones((2, 7)))
    fit = fit_cases(only(FLOOR_LINEAR, (), below=7), points)
    bounds = envelope(fit, np.array([[4.0, -1.0]]), scatter(1e-4, 1, series=2), TARGET_PX)
    assert np.isnan(bounds.high).tolist() == [[False], [True]]


@pytest.mark.parametrize(("law", "power"), [(FLOOR_LINEAR, 1), (FLOOR_QUADRATIC, 2)])
def test_a_branch_unseen_rises_at_most_with_the_highest_power(law: Law, power: int) -> None:
    points = make_points(SIDES_PX, np.ones(7))
    fit = fit_cases(only(law, (), below=7), points)
    sides = np.array([512.0, 1024.0, 3000.0])
    bounds = envelope(fit, np.array([[4.0]]), scatter(1e-4, 1), sides)
    half_width = 2 * np.sqrt(1e-4 * (1 + 1 / 7))
    assert bounds.low[0] == pytest.approx(np.full(3, 1 - half_width))
    times = np.array([1, 1, (3000 / 1024) ** (2 * power)])
    assert bounds.high[0] == pytest.approx((1 + half_width) * times)


def test_no_law_whose_branch_was_hidden_leaves_the_bounds_of_the_unseen_branch() -> None:
    """max(1, a + b·g + c·g²) that is 1 up to 1024 px: any such, at 3000 px."""
    points = make_points(SIDES_PX, np.ones(7))
    fit = fit_cases(only(FLOOR_QUADRATIC, (), below=7), points)
    high = envelope(fit, np.array([[1e-9]]), scatter(1e-12, 0), TARGET_PX).high[0, 0]
    random = np.random.default_rng(1)
    a, b, c = random.dirichlet(np.ones(3), 1000).T
    g = (3000 / 1024) ** 2
    assert np.all(np.maximum(1, a + b * g + c * g**2) <= high)
    assert g**2 == pytest.approx(high, rel=1e-4)


def test_bounds_of_a_root_are_the_roots_of_the_bounds_of_the_sum() -> None:
    observed = np.sqrt(1 + 16 * G**2)
    points = make_points(SIDES_PX, observed)
    fit = fit_cases(only(ROUNDED_FLOOR, (0, 2)), points)
    bounds = envelope(fit, np.array([[4.0]]), scatter(1e-4, 1), TARGET_PX)
    # the sum is fitted with twice the relative error
    design = np.column_stack([np.ones(7), G**2]) / (2 * observed[:, None] ** 2)
    target = np.array([1, (3000 / 1024) ** 4])
    value = target @ [1, 16]
    variance = 1e-4 * (target @ np.linalg.inv(design.T @ design) @ target + (2 * value) ** 2)
    half_width = 2 * np.sqrt(variance)
    assert bounds.low[0, 0] == pytest.approx(np.sqrt(value - half_width))
    assert bounds.high[0, 0] == pytest.approx(np.sqrt(value + half_width))


def test_on_the_floor_the_bounds_are_those_of_the_floor() -> None:
    observed = np.maximum(0.25, G)
    points = make_points(SIDES_PX, observed)
    fit = fit_cases(only(FLOOR_LINEAR, (1,), below=3), points)
    bounds = envelope(fit, np.array([[4.0]]), scatter(1e-4, 1), np.array([256.0, 3000.0]))
    floor_half = 2 * 0.01 * 0.25 * np.sqrt(1 + 1 / 3)
    branch_half = 2 * 0.01 * (3000 / 1024) ** 2 * np.sqrt(1 + 1 / 4)
    assert (bounds.high - bounds.low)[0] / 2 == pytest.approx([floor_half, branch_half])


def test_an_unknown_deviation_grows_as_the_second_chebyshev_polynomial() -> None:
    """T₂(x) - 1 in ln n from -1 to 1 over the points: none at them, 2·(2² - 1) one range beyond."""
    at = beyond(np.array([256.0, 700.0, 1024.0, 2048.0]), np.array([256.0, 512.0, 1024.0]))
    assert at == pytest.approx([0, 0, 0, 2 * (2**2 - 1)])
    x = 1 + np.log(3000 / 1024) / np.log(2)
    chebyshev = np.cosh(2 * np.arccosh(x))
    assert beyond(TARGET_PX, np.array([256.0, 1024.0]))[0] == pytest.approx(chebyshev - 1)
