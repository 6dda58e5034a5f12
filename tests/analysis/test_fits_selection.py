"""Scatter, price, choice, back-test, and what is said of points that no law explains."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import f, t

from analysis.fits.estimation import (
    LEAST_ERRORS,
    MISFIT_LEVEL,
    ROUNDING,
    TIE,
    Weighed,
    beyond,
    envelope,
    fit_laws,
    make_points,
    scatter_of,
    weigh,
)
from analysis.fits.growth import back_test
from analysis.fits.models import (
    BORDER,
    CONSTANT,
    FLOOR_LINEAR,
    FLOOR_QUADRATIC,
    LINEAR,
    POWER,
    QUADRATIC,
    RIVALS,
    ROUNDED_FLOOR,
    TWO_SLOPES,
    Floats,
    Law,
)
from tests.analysis.fitted_cases import best

SIDES_PX = np.arange(256.0, 1025.0, 128.0)
TARGET_PX = np.array([3000.0])
G = (SIDES_PX / 1024) ** 2
WAVE = np.array([1, -1, 1, -1, 1, -1, 1])
"""Deviations that no law here can follow."""


def weighed(
    observed: Floats, laws: tuple[Law, ...] = RIVALS, relative_std: float | None = None
) -> Weighed:
    std = None if relative_std is None else np.full(len(SIDES_PX), relative_std)
    return weigh(laws, make_points(SIDES_PX, observed, std))


def misfits(found: Weighed) -> list[float]:
    """The least of each law."""
    return [float(best(law, found.fits).misfit[0]) for law in found.laws]


def test_scatter_is_that_of_the_law_with_the_least_misfit_per_degree_of_freedom() -> None:
    found = weighed((1 + G) * (1 + 0.01 * WAVE), (LINEAR, QUADRATIC))
    variances = [misfit / freedom for misfit, freedom in zip(misfits(found), (5, 4), strict=True)]
    assert found.scatter.variance[0] == pytest.approx(min(variances))
    freedom = (5, 4)[int(np.argmin(variances))]
    assert found.scatter.quantile[0] == pytest.approx(t.ppf(0.975, freedom))
    assert found.scatter.new_variance[0] == 1


@pytest.mark.parametrize(("size", "counts"), [(0.03, False), (0.3, True)])
def test_scatter_of_a_law_that_bends_where_it_likes_counts_if_far_smaller(
    size: float, counts: bool
) -> None:
    observed = (0.1 + 0.9 * G + size * np.maximum(G - 0.3, 0)) * (1 + 0.01 * WAVE)
    found = weighed(observed, (LINEAR, TWO_SLOPES))
    straight, bent = misfits(found)
    assert (bent / 3 < straight / 5 / 4) is counts
    assert found.scatter.variance[0] == pytest.approx(bent / 3 if counts else straight / 5)


def test_scatter_is_not_below_what_was_measured() -> None:
    found = weighed((1 + G) * (1 + 0.01 * WAVE), (LINEAR,), 0.05)
    assert found.scatter.variance[0] == 1
    assert found.scatter.new_variance[0] == pytest.approx(0.05**2)
    assert found.scatter.discrepancy[0] == 0


def test_counted_values_have_the_scatter_of_rounding() -> None:
    points = make_points(SIDES_PX, 3 + 5 * SIDES_PX**2)
    scatter = scatter_of(fit_laws((LINEAR,), points), points)
    assert scatter.variance[0] == pytest.approx(ROUNDING**2)


@pytest.mark.parametrize("freedom", [None, 4.0])
@pytest.mark.parametrize(("times", "told"), [(0.99, False), (1.01, True)])
def test_a_misfit_beyond_chance_is_a_discrepancy(
    times: float, told: bool, freedom: float | None
) -> None:
    """By the F distribution: five degrees of the line, and those of the measured variances."""
    limit = f.ppf(MISFIT_LEVEL, 5, 7 * freedom if freedom else 1e9)
    observed = (1 + G) * (1 + 0.01 * WAVE)
    (misfit,) = misfits(weighed(observed, (LINEAR,)))
    std = np.sqrt(misfit / 5 / limit / times)
    points = make_points(SIDES_PX, observed, std, freedom)
    scatter = weigh((LINEAR,), points).scatter
    assert bool(scatter.discrepancy[0] > 0) is told
    assert scatter.variance[0] == pytest.approx(times * limit)
    if told:
        assert scatter.discrepancy[0] ** 2 == pytest.approx((times * limit - 1) * std**2)


@pytest.mark.parametrize("noise", [0.003, 0.01])
def test_a_smooth_curve_that_leaves_far_less_is_a_discrepancy_where_nothing_was_measured(
    noise: float,
) -> None:
    """A law that saturates: a polynomial in logarithms against the laws, by the F distribution."""
    observed = 2 * G / (1 + G) * (1 + noise * WAVE)
    found, logarithms = weighed(observed), np.log(SIDES_PX)
    curve = np.polyval(np.polyfit(logarithms, np.log(observed), 3), logarithms)
    smooth = np.sum((np.log(observed) - curve) ** 2) / 3
    freedom = [7 - len(law.symbols) for law in found.laws]
    least, left = min((one / of, of) for one, of in zip(misfits(found), freedom, strict=True))
    more = max(left - 3, 1)
    assert (least * left - 3 * smooth) / more > smooth * f.ppf(MISFIT_LEVEL, more, 3)
    assert found.scatter.discrepancy[0] ** 2 == pytest.approx(least - smooth)


@pytest.mark.parametrize(
    "listed", [0.1 + 0.9 * G, np.maximum(0.25, G), 0.02 + 0.8 * np.maximum(G, 2 * G - 0.3), G**1.3]
)
@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_no_law_of_the_list_is_beaten_by_a_smooth_curve(listed: Floats, noise: float) -> None:
    assert weighed(listed * (1 + noise * WAVE)).scatter.discrepancy[0] == 0


def test_a_discrepancy_widens_the_band_the_more_the_farther() -> None:
    observed, sides = (1 + G) * (1 + 0.05 * WAVE), np.array([700.0, 1500.0, 3000.0])
    found = weighed(observed, (LINEAR,), 0.01)
    plain = envelope(found.fits, found.budgets, found.scatter, sides)
    times = 1 + found.scatter.discrepancy[0] * beyond(sides, found.points.sizes.side_px)
    band = found.band(sides)
    assert band.high[0] == pytest.approx(plain.high[0] * times)
    assert band.low[0] == pytest.approx(plain.low[0] / times)
    assert times[0] == 1 < times[1] < times[2]


def test_a_bend_that_explains_nothing_is_heard_with_half_a_standard_error() -> None:
    found = weighed((1 + G) * (1 + 0.01 * WAVE), (LINEAR, QUADRATIC))
    bend = next(
        index for index, case in enumerate(found.fits.cases.every) if len(case.columns) == 3
    )
    gain = (misfits(found)[0] - found.fits.misfit[bend, 0]) / found.scatter.variance[0]
    assert found.budgets[bend, 0] == pytest.approx(LEAST_ERRORS**2 + gain)
    assert found.laws[found.chosen[0]] is LINEAR


def test_the_law_chosen_has_its_whole_interval() -> None:
    found = weighed((1 + G) * (1 + 0.01 * WAVE), (LINEAR, QUADRATIC))
    assert np.max(found.budgets) == pytest.approx(found.scatter.quantile[0] ** 2)
    assert found.shares[found.chosen[0], 0] == 1


def test_a_law_with_more_coefficients_than_resolutions_is_not_fitted() -> None:
    points = make_points(SIDES_PX[:3], 1 + G[:3])
    assert set(fit_laws(RIVALS, points).laws) == set(RIVALS) - {
        FLOOR_QUADRATIC,
        TWO_SLOPES,
    }


def test_back_test_errors_in_closed_form() -> None:
    """A constant predicts the weighted mean of what is left."""
    observed = np.array([1, 1, 1, 1, 1, 1.1, 1.2])
    errors = back_test(weighed(observed, (CONSTANT,)))[0, 0]
    weights = observed[:6] ** -2
    mean = np.sum(weights * observed[:6]) / np.sum(weights)
    assert errors == pytest.approx([mean / 1.2 - 1, 1 / 1.1 - 1, 1 / 1.2 - 1])


def test_a_law_with_too_many_coefficients_for_the_resolutions_left_is_not_tried() -> None:
    observed = (0.1 + 0.9 * G[:5]) * (1 + 0.01 * WAVE[:5])
    found = weigh(RIVALS, make_points(SIDES_PX[:5], observed))
    errors = back_test(found)[found.laws.index(FLOOR_QUADRATIC), 0]
    # four coefficients, four resolutions left by the first trial and three by the second
    assert np.isnan(errors).tolist() == [False, True, True]


@pytest.mark.parametrize(
    ("observed", "law"),
    [
        (0.1 + 0.9 * G, LINEAR),
        (0.1 + 0.4 * G + 0.5 * G**2, QUADRATIC),
        ((SIDES_PX / 4 - 8) ** 2, BORDER),
        (np.maximum(0.25, G), FLOOR_LINEAR),
        (np.maximum(0.05, G**2), FLOOR_QUADRATIC),
        (np.sqrt(1 + 16 * G**2), ROUNDED_FLOOR),
        (0.02 + 0.8 * G + 0.8 * np.maximum(G - 0.3, 0), TWO_SLOPES),
        (G**1.3, POWER),
    ],
)
def test_the_true_law_is_chosen(observed: Floats, law: Law) -> None:
    found = weighed(observed * (1 + 0.005 * WAVE))
    assert found.laws[found.chosen[0]] is law


def test_a_tie_is_decided_for_fewer_complications() -> None:
    """A bend that is worth just its price, or a little more than one squared scatter beyond."""
    for size, law in ((0.053, LINEAR), (0.06, QUADRATIC)):
        observed = (0.05 + (0.95 - size) * G + size * G**2) * (1 + 0.01 * WAVE)
        found = weighed(observed, (LINEAR, QUADRATIC))
        gain = found.score[0, 0] - found.score[1, 0]
        assert (0 < gain < TIE) if law is LINEAR else (gain > TIE)
        assert found.laws[found.chosen[0]] is law
        # the other has its whole interval, too
        assert np.min(found.shares) > 0
