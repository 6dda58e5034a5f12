"""Scatter, price, back-test and choice."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t

from analysis.fits.estimation import ROUNDING, Points, Scatter, make_points
from analysis.fits.models import (
    CONSTANT,
    FLOOR_LINEAR,
    FLOOR_QUADRATIC,
    LINEAR,
    QUADRATIC,
    RIVALS,
    ROUNDED_FLOOR,
    SIDE,
    Floats,
    Form,
    Law,
)
from analysis.fits.selection import (
    FOURTH_COEFFICIENT,
    TIE,
    BackTest,
    Selection,
    back_test,
    complications,
    corrected_aic,
    fit_laws,
    scatter_of,
    select,
)

SIDES_PX = np.arange(256.0, 1025.0, 128.0)
G = (SIDES_PX / 1024) ** 2
WAVE = np.array([1, -1, 1, -1, 1, -1, 1])
"""Deviations that no law here can follow."""


def weigh(
    observed: Floats, laws: tuple[Law, ...] = RIVALS, relative_std: float | None = None
) -> tuple[Points, Selection, list[BackTest]]:
    std = None if relative_std is None else np.full(len(observed), relative_std)
    points = make_points(SIDES_PX[: len(observed)], observed, std)
    fitted = fit_laws(laws, points)
    scatter = scatter_of(fitted, points, 0.95)
    tests = back_test(fitted, points, scatter)
    return points, select(fitted, points, scatter, tests), tests


def test_scatter_is_that_of_the_law_with_the_least_misfit_per_degree_of_freedom() -> None:
    points = make_points(SIDES_PX, (1 + G) * (1 + 0.01 * WAVE))
    fitted = fit_laws((LINEAR, QUADRATIC), points)
    scatter = scatter_of(fitted, points, 0.95)
    variances = [
        float(one.misfit[0]) / freedom for one, freedom in zip(fitted, (5, 4), strict=True)
    ]
    assert scatter.variance[0] == pytest.approx(min(variances))
    freedom = (5, 4)[int(np.argmin(variances))]
    assert scatter.degrees_of_freedom[0] == freedom
    assert scatter.quantile[0] == pytest.approx(t.ppf(0.975, freedom))
    assert scatter.new_variance[0] == 1


def test_scatter_is_not_below_what_was_measured() -> None:
    observed = (1 + G) * (1 + 0.01 * WAVE)
    points = make_points(SIDES_PX, observed, np.full(7, 0.05))
    scatter = scatter_of(fit_laws((LINEAR,), points), points, 0.95)
    assert scatter.variance[0] == 1
    assert scatter.new_variance[0] == pytest.approx(0.05**2)


def test_counted_values_have_the_scatter_of_rounding() -> None:
    points = make_points(SIDES_PX, 3 + 5 * SIDES_PX**2)
    scatter = scatter_of(fit_laws((LINEAR,), points), points, 0.95)
    assert scatter.variance[0] == pytest.approx(ROUNDING**2)


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        (Form(LINEAR, ("1", "n"), 0, 7), 0),
        (Form(QUADRATIC, ("n",), 0, 7), 1),
        (Form(FLOOR_LINEAR, ("1", "n"), 4, 7), 1),
        (Form(FLOOR_QUADRATIC, ("n", "n²"), 4, 7), 2),
        (Form(FLOOR_QUADRATIC, ("1", "n", "n²"), 4, 7), 2 + FOURTH_COEFFICIENT),
        # two resolutions do not tell a straight branch from a bent one
        (Form(FLOOR_LINEAR, ("n",), 5, 7), 1),
        (Form(FLOOR_QUADRATIC, ("n²",), 5, 7), 1),
        (Form(FLOOR_QUADRATIC, (), 7, 7), 0),
    ],
)
def test_what_a_case_counts_for(form: Form, expected: float) -> None:
    assert complications(form) == expected


def test_a_bend_that_explains_nothing_is_heard_with_half_a_standard_error() -> None:
    points = make_points(SIDES_PX, (1 + G) * (1 + 0.01 * WAVE))
    fitted = fit_laws((LINEAR, QUADRATIC), points)
    scatter = scatter_of(fitted, points, 0.95)
    selection = select(fitted, points, scatter, None)
    of_bend = len(fitted[0].fits) + [fit.form.terms for fit in fitted[1].fits].index(
        ("1", "n", "n²")
    )
    bend = fitted[1].fits[-1]
    gain = (fitted[0].misfit[0] - bend.misfit[0]) / scatter.variance[0]
    assert selection.budgets[of_bend, 0] == pytest.approx(0.5**2 + gain)
    assert selection.chosen[0] == 0


def test_the_law_chosen_has_its_whole_interval() -> None:
    _, selection, _ = weigh((1 + G) * (1 + 0.01 * WAVE), (LINEAR, QUADRATIC))
    points = make_points(SIDES_PX, (1 + G) * (1 + 0.01 * WAVE))
    quantile = scatter_of(fit_laws((LINEAR, QUADRATIC), points), points, 0.95).quantile[0]
    assert np.max(selection.budgets) == pytest.approx(quantile**2)


def test_akaikes_criterion_by_hand() -> None:
    points = make_points(SIDES_PX, (1 + G) * (1 + 0.01 * WAVE))
    (one,) = fit_laws((LINEAR,), points)
    # two coefficients and the scatter: k = 3, 7 points
    expected = 7 * np.log(one.misfit[0] / 7) + 6 + 2 * 3 * 4 / (7 - 3 - 1)
    assert corrected_aic(one, points)[0] == pytest.approx(expected)


def test_akaikes_criterion_needs_points() -> None:
    """Five points, three coefficients and the scatter: 5 - 4 - 1 = 0."""
    points = make_points(SIDES_PX[:5], 1 + G[:5] ** 2 + G[:5] + 0.1 * WAVE[:5] * G[:5])
    (one,) = fit_laws((QUADRATIC,), points)
    assert one.coefficients[0] == 3
    assert np.isinf(corrected_aic(one, points)[0])


def test_a_law_with_more_coefficients_than_resolutions_is_not_fitted() -> None:
    points = make_points(SIDES_PX[:3], 1 + G[:3])
    assert [one.law for one in fit_laws(RIVALS, points)] == [
        law for law in RIVALS if law is not FLOOR_QUADRATIC
    ]


def test_back_test_errors_in_closed_form() -> None:
    """A constant (a case of the straight line) predicts the mean of what is left."""
    observed = np.array([1, 1, 1, 1, 1, 1.1, 1.2])
    points = make_points(SIDES_PX, observed)
    fitted = fit_laws((CONSTANT,), points)
    (test,) = back_test(fitted, points, scatter_of(fitted, points, 0.95))
    weights = observed[:6] ** -2
    mean = np.sum(weights * observed[:6]) / np.sum(weights)
    assert test.errors[0] == pytest.approx([mean / 1.2 - 1, 1 / 1.1 - 1, 1 / 1.2 - 1])
    assert test.typical_error[0] == pytest.approx(np.sqrt(np.mean(test.errors[0] ** 2)))


@pytest.mark.parametrize(("times", "passed"), [(0.99, True), (1.01, False)])
def test_the_bounds_of_the_back_test_in_closed_form(times: float, passed: bool) -> None:
    """A constant, 1 at six resolutions: t · σ · √(1 + 1/6) with the scatter of all."""
    scatter = Scatter(*(np.array([value]) for value in (1e-4, 1.0, 2.57, 5.0)))
    half_width = t.ppf(0.995, 5) * 0.01 * np.sqrt(1 + 1 / 6)
    points = make_points(SIDES_PX, np.append(np.ones(6), 1 + times * half_width))
    (test,) = back_test(fit_laws((CONSTANT,), points), points, scatter)
    assert test.passed[0] == passed


def test_a_straight_line_does_not_pass_for_a_bend_nor_a_bend_for_a_floor() -> None:
    _, selection, tests = weigh((0.1 + 0.4 * G + 0.5 * G**2) * (1 + 0.01 * WAVE))
    passed = {test.law: bool(test.passed[0]) for test in tests}
    assert passed[QUADRATIC]
    assert not passed[LINEAR]
    assert not passed[FLOOR_LINEAR]
    assert RIVALS[int(selection.chosen[0])] is QUADRATIC


def test_a_true_law_passes_the_back_test_in_at_least_97_of_100_cases() -> None:
    """Three predictions, each of which a true law fails in one of a hundred."""
    random = np.random.default_rng(5)
    points = make_points(SIDES_PX, (0.1 + 0.9 * G) * random.normal(1, 0.02, (2000, 7)))
    fitted = fit_laws(RIVALS, points)
    tests = back_test(fitted, points, scatter_of(fitted, points, 0.95))
    for test in tests:
        assert np.mean(test.passed) > 0.97


@pytest.mark.parametrize(
    ("observed", "law"),
    [
        (0.1 + 0.9 * G, LINEAR),
        (0.1 + 0.4 * G + 0.5 * G**2, QUADRATIC),
        ((SIDES_PX / 4 - 8) ** 2, SIDE),
        (np.maximum(0.25, G), FLOOR_LINEAR),
        (np.maximum(0.05, G**2), FLOOR_QUADRATIC),
        (np.sqrt(1 + 16 * G**2), ROUNDED_FLOOR),
    ],
)
def test_the_true_law_is_chosen(observed: Floats, law: Law) -> None:
    _, selection, _ = weigh(observed * (1 + 0.005 * WAVE))
    assert RIVALS[int(selection.chosen[0])] is law


def test_where_all_fail_none_is_out() -> None:
    """A jump at the last resolution follows from nothing."""
    observed = (0.1 + 0.9 * G) * np.array([1, 1, 1, 1, 1, 1, 5])
    _, selection, tests = weigh(observed, (LINEAR, SIDE))
    points = make_points(SIDES_PX, observed)
    fitted = fit_laws((LINEAR, SIDE), points)
    failed = [test._replace(passed=np.array([False])) for test in tests]
    scatter = scatter_of(fitted, points, 0.95)
    assert select(fitted, points, scatter, failed).allowed.all()
    one_fails = [failed[0], failed[1]._replace(passed=np.array([True]))]
    of_line = slice(0, len(fitted[0].fits))
    selection = select(fitted, points, scatter, one_fails)
    assert selection.allowed[:, 0].tolist() == [False, True]
    assert np.isneginf(selection.budgets[of_line]).all()
    assert selection.chosen[0] == 1


def test_a_tie_is_decided_by_akaikes_criterion() -> None:
    """Proportional to the pixels: a constant fits a little better and costs a coefficient."""
    short = Law("proportional", "b·n", ("n",), floor=False, complications=0, degree=1)
    _, selection, _ = weigh(G * (1 + 0.01 * WAVE), (LINEAR, short))
    assert 0 < selection.score[1, 0] - selection.score[0, 0] < TIE
    assert selection.aicc[1, 0] < selection.aicc[0, 0]
    assert selection.by_aicc[0]
    assert selection.chosen[0] == 1


def test_what_is_no_tie_is_not_decided_by_akaikes_criterion() -> None:
    """A bend of 3.5 standard errors: with seven points AICc is against a third coefficient."""
    observed = (0.05 + 0.87 * G + 0.08 * G**2) * (1 + 0.01 * WAVE)
    _, selection, _ = weigh(observed, (LINEAR, QUADRATIC))
    assert selection.aicc[0, 0] < selection.aicc[1, 0]
    assert selection.allowed.all()
    assert not selection.by_aicc[0]
    assert selection.chosen[0] == 1


def test_too_few_resolutions_for_a_back_test() -> None:
    points = make_points(SIDES_PX[:4], 1 + G[:4])
    fitted = fit_laws((LINEAR,), points)
    with pytest.raises(ValueError, match="too few"):
        back_test(fitted, points, scatter_of(fitted, points, 0.95))


def test_a_law_with_too_many_coefficients_for_the_resolutions_left_is_not_tried() -> None:
    _, _, tests = weigh((0.1 + 0.9 * G[:5]) * (1 + 0.01 * WAVE[:5]))
    of_floor = next(test for test in tests if test.law is FLOOR_QUADRATIC)
    # four coefficients, four resolutions left by the first trial and three by the second
    assert np.isfinite(of_floor.errors[0, 0])
    assert np.isnan(of_floor.errors[0, 1:]).all()
    assert of_floor.passed[0]
