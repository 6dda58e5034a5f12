"""Cases of laws against scipy's non-negative least squares, closed forms and laws without noise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import lsq_linear, nnls

from analysis.fits.coefficients import knee_px, physical_coefficients
from analysis.fits.estimation import (
    PRIOR_FREEDOM,
    PointsError,
    fit_cases,
    fit_laws,
    make_points,
)
from analysis.fits.models import (
    BORDER,
    FLOOR_LINEAR,
    FLOOR_QUADRATIC,
    LINEAR,
    POWER,
    QUADRATIC,
    ROUNDED_FLOOR,
    TWO_SLOPES,
    Case,
    Floats,
    Law,
)
from tests.analysis.fitted_cases import best, curve, each, only

SIDES_PX = np.arange(256.0, 1025.0, 128.0)
values = st.lists(st.floats(0.1, 100), min_size=7, max_size=7)
deviations = st.lists(st.floats(0.001, 0.1), min_size=7, max_size=7)


@given(values, deviations)
def test_the_best_case_is_the_solution_of_non_negative_least_squares(
    observed: list[float], relative_std: list[float]
) -> None:
    points = make_points(SIDES_PX, observed, relative_std)
    for law in (LINEAR, QUADRATIC, BORDER):
        (columns,) = only(Case(law, law.columns, 0, len(SIDES_PX))).design
        weight = 1 / (np.array(observed) * relative_std)
        expected, norm = nnls(columns * weight[:, None], np.array(observed) * weight)
        fit = best(law, fit_laws([law], points))
        own = zip(fit.case.columns, fit.coefficients[0], strict=True)
        found = dict.fromkeys(law.columns, 0.0) | dict(own)
        assert fit.misfit[0] == pytest.approx(norm**2, rel=1e-6, abs=1e-9)
        assert list(found.values()) == pytest.approx(list(expected), rel=1e-4, abs=1e-5)


@given(values, st.integers(2, 5))
@settings(max_examples=30)
def test_two_lines_are_the_solution_of_bounded_least_squares(
    observed: list[float], below: int
) -> None:
    """Of the parts at their resolutions; the constant of the steeper one has any sign."""
    points = make_points(SIDES_PX, observed)
    form = Case(TWO_SLOPES, TWO_SLOPES.columns, below, len(SIDES_PX) - below)
    weight = 1 / np.array(observed)
    expected = lsq_linear(
        only(form).design[0] * weight[:, None], np.ones(7), ([0, 0, -np.inf, 0], np.inf)
    )
    every = [
        fit
        for fit in each(fit_laws([TWO_SLOPES], points))
        if fit.case.below == below and fit.admissible[0]
    ]
    misfits = [
        float(np.sum((only(fit.case).design[0] @ fit.coefficients[0] * weight - 1) ** 2))
        for fit in every
    ]
    if expected.x[3] > 1e-6 and max(expected.x[:2]) > 1e-6:
        assert min(misfits) == pytest.approx(2 * expected.cost, rel=1e-5, abs=1e-8)


@given(values)
@settings(max_examples=30)
def test_a_batch_is_many_single_series(observed: list[float]) -> None:
    both = make_points(SIDES_PX, [observed, observed[::-1]])
    for law in (QUADRATIC, FLOOR_QUADRATIC, ROUNDED_FLOOR, TWO_SLOPES):
        single = each(fit_laws([law], make_points(SIDES_PX, [observed[::-1]])))
        for one, other in zip(each(fit_laws([law], both)), single, strict=True):
            assert one.misfit[1] == pytest.approx(other.misfit[0])
            assert one.coefficients[1] == pytest.approx(other.coefficients[0])


def test_weights_in_closed_form() -> None:
    """A constant through 1 and 2 with relative deviations of 1 and 2: weights 1 and 1/16."""
    points = make_points([256, 512], [1, 2], [1, 2])
    constant = only(Case(LINEAR, ((1, 0),), 0, 2), points.sizes.side_px)
    (fit,) = each(fit_cases(constant, points))
    mean = (1 + 2 / 16) / (1 + 1 / 16)
    assert fit.coefficients[0, 0] == pytest.approx(mean)
    assert fit.misfit[0] == pytest.approx((1 - mean) ** 2 + (2 - mean) ** 2 / 16)
    assert fit.covariance[0, 0, 0] == pytest.approx(1 / (1 + 1 / 16))


def linear(side: Floats) -> Floats:
    return np.asarray(3 + 2e-6 * side**2)


def quadratic(side: Floats) -> Floats:
    return np.asarray(3 + 2e-6 * side**2 + 5e-12 * side**4)


def unpadded(side: Floats) -> Floats:
    return np.asarray((side / 4 - 8) ** 2)


def floor(side: Floats) -> Floats:
    return np.maximum(0.5 + 2e-6 * 448**2, 0.5 + 2e-6 * side**2)


def bent_floor(side: Floats) -> Floats:
    return np.maximum(1, (side / 600) ** 4)


def rounded(side: Floats) -> Floats:
    return np.sqrt(4 + (side / 500) ** 4)


def two_slopes(side: Floats) -> Floats:
    return np.maximum(1 + 4e-6 * side**2, 1 - 4e-6 * 600**2 + 8e-6 * side**2)


def power(side: Floats) -> Floats:
    return np.asarray(2 + 1e-7 * side**2.6)


@pytest.mark.parametrize(
    ("law", "truth", "coefficients", "knee"),
    [
        (LINEAR, linear, {"a": 3, "b": 2e-6}, None),
        (QUADRATIC, quadratic, {"a": 3, "b": 2e-6, "c": 5e-12}, None),
        (BORDER, unpadded, {"a": 64, "b": -4, "c": 1 / 16}, None),
        (FLOOR_LINEAR, floor, {"f": 0.5 + 2e-6 * 448**2, "a": 0.5, "b": 2e-6}, 448),
        (FLOOR_QUADRATIC, bent_floor, {"f": 1, "a": 0, "b": 0, "c": 600**-4}, 600),
        (ROUNDED_FLOOR, rounded, {"a": 4, "b": 0, "c": 500**-4}, None),
        (TWO_SLOPES, two_slopes, {"a": 1, "b": 4e-6, "c": -0.44, "d": 8e-6}, 600),
        (POWER, power, {"a": 2, "b": 1e-7, "p": 1.3}, None),
    ],
)
def test_a_law_without_noise_is_recovered_with_its_coefficients(
    law: Law, truth: object, coefficients: dict[str, float], knee: float | None
) -> None:
    assert callable(truth)
    fit = best(law, fit_laws([law], make_points(SIDES_PX, truth(SIDES_PX))))
    own = (fit.case, fit.coefficients[0], SIDES_PX)
    found = {name: value for name, value, _ in physical_coefficients(*own, "ms")}
    assert list(found) == list(coefficients)
    largest = {"a": 1.0, "f": 1.0, "b": 1e-6, "c": 1e-12, "d": 1e-6, "p": 1.0}
    for name, expected in coefficients.items():
        assert found[name] == pytest.approx(expected, rel=1e-6, abs=1e-9 * largest[name])
    assert knee_px(*own) == (None if knee is None else pytest.approx(knee, rel=1e-6))
    far = np.array([3000.0])
    assert curve(fit.case, fit.coefficients, far)[0] == pytest.approx(truth(far), rel=1e-6)


def test_units_of_the_coefficients() -> None:
    points = make_points(SIDES_PX, linear(SIDES_PX))
    units = {}
    for law in (QUADRATIC, BORDER, ROUNDED_FLOOR, POWER):
        fit = best(law, fit_laws([law], points))
        parts = physical_coefficients(fit.case, fit.coefficients[0], SIDES_PX, "ms")
        units[law.name] = [part.unit for part in parts]
    assert units == {
        QUADRATIC.name: ["ms", "ms per pixel", "ms per pixel²"],
        BORDER.name: ["ms", "ms per px of half the perimeter", "ms per pixel"],
        ROUNDED_FLOOR.name: ["(ms)²", "(ms)² per pixel", "(ms)² per pixel²"],
        POWER.name: ["ms", "ms per pixel^p", ""],
    }


def test_a_floor_over_everything_has_a_floor_and_no_more() -> None:
    fits = fit_laws([FLOOR_LINEAR], make_points(SIDES_PX, np.full(7, 2.0)))
    unseen = next(fit for fit in each(fits) if fit.case.branch_unseen)
    own = (unseen.case, unseen.coefficients[0], SIDES_PX)
    assert physical_coefficients(*own, "ms") == (("f", pytest.approx(2), "ms"),)
    assert knee_px(*own) is None


def test_a_case_whose_parts_do_not_meet_is_judged_by_the_law() -> None:
    """Floor over the first three, straight line after: but the line is higher at the third."""
    truth = linear(SIDES_PX)
    fits = fit_laws([FLOOR_LINEAR], make_points(SIDES_PX, truth))
    three = next(fit for fit in each(fits) if fit.case.below == 3 and len(fit.case.columns) == 3)
    floor_value = three.coefficients[0, 0]
    expected = np.sum((np.maximum(floor_value, truth) / truth - 1) ** 2)
    assert three.misfit[0] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("side_px", "observed", "relative_std", "reason"),
    [
        ([256, 512], [1, 2, 3], None, "3 values at 2 resolutions"),
        ([512, 256], [1, 2], None, "ascend"),
        ([], [], None, "ascend"),
        ([0, 256], [1, 2], None, "positive"),
        ([256, 512], [1, 0], None, "not positive"),
        ([256, 512], [1, np.nan], None, "not positive"),
        ([256, 512], [1, 2], [0, 0.1], "deviations must be positive"),
    ],
)
def test_points_that_follow_no_law(
    side_px: list[float], observed: list[float], relative_std: list[float] | None, reason: str
) -> None:
    with pytest.raises(PointsError, match=reason):
        make_points(side_px, observed, relative_std)


def test_variances_of_few_values_stand_beside_the_mean_of_their_series() -> None:
    """Two degrees of freedom each: a third of its own, two thirds of the mean of all."""
    std = [0.01, 0.02, 0.03]
    points = make_points([256, 512, 768], [1, 2, 3], std, [2, 2, 2])
    own, weight = np.array(std) ** 2, 2 / (2 + PRIOR_FREEDOM)
    expected = weight * own + (1 - weight) * np.mean(own)
    assert points.relative_variance[0] == pytest.approx(expected)
    assert points.degrees_of_freedom == 6
    known = make_points([256, 512, 768], [1, 2, 3], std)
    assert known.relative_variance[0] == pytest.approx(own)
