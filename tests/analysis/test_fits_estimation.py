"""Cases of laws against scipy's non-negative least squares, closed forms and laws without noise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from analysis.fits.coefficients import knee_px, physical_coefficients
from analysis.fits.estimation import (
    FormFit,
    Points,
    PointsError,
    best_forms,
    fit_form,
    fit_law,
    make_points,
)
from analysis.fits.models import (
    FLOOR_LINEAR,
    FLOOR_QUADRATIC,
    LINEAR,
    QUADRATIC,
    ROUNDED_FLOOR,
    SIDE,
    Floats,
    Form,
    Law,
    forms,
    prior_of_whole,
)

SIDES_PX = np.arange(256.0, 1025.0, 128.0)
values = st.lists(st.floats(0.1, 100), min_size=7, max_size=7)
deviations = st.lists(st.floats(0.001, 0.1), min_size=7, max_size=7)


def best(law: Law, points: Points) -> FormFit:
    fits = fit_law(law, points)
    return fits[int(best_forms(fits)[0][0])]


@given(values, deviations)
def test_the_best_case_is_the_solution_of_non_negative_least_squares(
    observed: list[float], relative_std: list[float]
) -> None:
    points = make_points(SIDES_PX, observed, relative_std)
    for law in (LINEAR, QUADRATIC, SIDE):
        design = Form(law, law.terms, 0, 7).design(SIDES_PX, points.measured)
        weight = 1 / (np.array(observed) * relative_std)
        expected, norm = nnls(design * weight[:, None], np.array(observed) * weight)
        fit = best(law, points)
        found = dict.fromkeys(law.terms, 0.0) | dict(
            zip(fit.form.terms, fit.coefficients[0], strict=True)
        )
        assert fit.misfit[0] == pytest.approx(norm**2, rel=1e-6, abs=1e-9)
        assert list(found.values()) == pytest.approx(list(expected), rel=1e-4, abs=1e-5)


@given(values)
@settings(max_examples=30)
def test_a_batch_is_many_single_series(observed: list[float]) -> None:
    both = make_points(SIDES_PX, [observed, observed[::-1]])
    for law in (QUADRATIC, FLOOR_QUADRATIC, ROUNDED_FLOOR):
        single = fit_law(law, make_points(SIDES_PX, [observed[::-1]]))
        for one, other in zip(fit_law(law, both), single, strict=True):
            assert one.misfit[1] == pytest.approx(other.misfit[0])
            assert one.coefficients[1] == pytest.approx(other.coefficients[0])


def test_weights_in_closed_form() -> None:
    """A constant through 1 and 2 with relative deviations of 1 and 2: weights 1 and 1/16."""
    points = make_points([256, 512], [1, 2], [1, 2])
    fit = fit_form(Form(LINEAR, ("1",), 0, 2), points)
    mean = (1 + 2 / 16) / (1 + 1 / 16)
    assert fit.coefficients[0, 0] == pytest.approx(mean)
    assert fit.misfit[0] == pytest.approx((1 - mean) ** 2 + (2 - mean) ** 2 / 16)
    assert fit.reach(np.array([3000.0])).variance[0, 0] == pytest.approx(1 / (1 + 1 / 16))


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


@pytest.mark.parametrize(
    ("law", "truth", "coefficients", "knee"),
    [
        (LINEAR, linear, {"a": 3, "b": 2e-6}, None),
        (QUADRATIC, quadratic, {"a": 3, "b": 2e-6, "c": 5e-12}, None),
        (SIDE, unpadded, {"a": 64, "b": -4, "c": 1 / 16}, None),
        (FLOOR_LINEAR, floor, {"f": 0.5 + 2e-6 * 448**2, "a": 0.5, "b": 2e-6}, 448),
        (FLOOR_QUADRATIC, bent_floor, {"f": 1, "a": 0, "b": 0, "c": 600**-4}, 600),
        (ROUNDED_FLOOR, rounded, {"a": 4, "b": 0, "c": 500**-4}, None),
    ],
)
def test_a_law_without_noise_is_recovered_with_its_coefficients(
    law: Law, truth: object, coefficients: dict[str, float], knee: float | None
) -> None:
    assert callable(truth)
    fit = best(law, make_points(SIDES_PX, truth(SIDES_PX)))
    found = {name: value for name, value, _ in physical_coefficients(fit, "ms")}
    assert list(found) == list(coefficients)
    largest = {"a": 1.0, "f": 1.0, "b": 1e-6, "c": 1e-12}
    for name, expected in coefficients.items():
        assert found[name] == pytest.approx(expected, rel=1e-6, abs=1e-9 * largest[name])
    assert knee_px(fit) == (None if knee is None else pytest.approx(knee, rel=1e-6))
    far = np.array([3000.0])
    assert fit.predict(far)[0] == pytest.approx(truth(far), rel=1e-6)


def test_units_of_the_coefficients() -> None:
    points = make_points(SIDES_PX, linear(SIDES_PX))
    units = {
        law.name: [part.unit for part in physical_coefficients(best(law, points), "ms")]
        for law in (QUADRATIC, SIDE, ROUNDED_FLOOR)
    }
    assert units == {
        QUADRATIC.name: ["ms", "ms per pixel", "ms per pixel²"],
        SIDE.name: ["ms", "ms per px of side", "ms per px² of side"],
        ROUNDED_FLOOR.name: ["(ms)²", "(ms)² per pixel", "(ms)² per pixel²"],
    }


def test_a_floor_over_everything_has_a_floor_and_no_more() -> None:
    fits = fit_law(FLOOR_LINEAR, make_points(SIDES_PX, np.full(7, 2.0)))
    unseen = next(fit for fit in fits if fit.form.branch_unseen)
    assert physical_coefficients(unseen, "ms") == (("f", pytest.approx(2), "ms"),)
    assert knee_px(unseen) is None


def test_a_case_whose_parts_do_not_meet_is_judged_by_the_law() -> None:
    """Floor over the first three, straight line after: but the line is higher at the third."""
    truth = linear(SIDES_PX)
    fits = fit_law(FLOOR_LINEAR, make_points(SIDES_PX, truth))
    three = next(fit for fit in fits if fit.form.on_floor == 3 and len(fit.form.terms) == 2)
    floor_value = three.coefficients[0, 0]
    expected = np.sum((np.maximum(floor_value, truth) / truth - 1) ** 2)
    assert three.misfit[0] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("side_px", "observed", "relative_std", "reason"),
    [
        ([256, 512], [1, 2, 3], None, "3 values at 2 resolutions"),
        ([512, 256], [1, 2], None, "ascend"),
        ([256, 256], [1, 2], None, "ascend"),
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


@pytest.mark.parametrize("count", range(1, 8))
def test_cases_that_the_points_do_not_determine_are_left_out(count: int) -> None:
    """Where a floor and a bend add up, one case has twice the same column: "n" and "m"."""
    points = make_points(SIDES_PX[:count], np.linspace(1, 2, count) ** 2)
    laws = prior_of_whole({"backbone": "pixels", "search": "pixels_squared"}).laws
    for law in laws:
        for fit in fit_law(law, points):
            design = fit.form.design(points.side_px, points.measured)
            assert np.linalg.matrix_rank(design) == fit.form.coefficients
            assert np.all(np.abs(fit.coefficients) < 1e6)
    if count == 7:
        left_out = [
            form
            for law in laws
            for form in forms(law, count)
            if form not in [fit.form for fit in fit_law(law, points)]
        ]
        assert left_out
