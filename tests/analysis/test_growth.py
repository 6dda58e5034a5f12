"""What is told of a series, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.fits.growth import EXTRAPOLATION_LIMIT, fit_growth
from analysis.fits.models import (
    BORDER,
    FIXED,
    FLOOR_BESIDE_QUADRATIC,
    FLOOR_QUADRATIC,
    LINEAR,
    PIXELS,
    PIXELS_SQUARED,
    QUADRATIC,
    RIVALS,
    Floats,
    prior_of_whole,
)
from analysis.fits.quadratic import fit_quadratic
from analysis.fits.series import RelativeErrors
from analysis.fits.table_rows import problems, verdict, why_chosen

SIDES_PX = [256, 384, 512, 640, 768, 896, 1024]
G = (np.array(SIDES_PX) / 1024) ** 2
WAVE = np.array([1, -1, 1, -1, 1, -1, 1])


def noisy(values: Floats, noise: float = 0.01) -> list[float]:
    return [float(value) for value in values * (1 + noise * WAVE[: len(values)])]


def test_a_straight_line_with_everything_a_table_needs() -> None:
    growth = fit_growth(SIDES_PX, noisy(0.1 + 0.9 * G), "ms")
    chosen = growth.chosen
    assert chosen is not None
    assert chosen.law is LINEAR
    assert [part.name for part in chosen.coefficients] == ["a", "b"]
    assert chosen.score == 0
    assert chosen.band_share == 1
    assert np.all(np.abs(chosen[-3:]) < 0.1)
    assert {model.law for model in growth.models} == set(RIVALS)
    assert growth.relative_scatter == pytest.approx(0.012, abs=0.003)
    curve = growth.curve([1024, 3000])
    true = 0.1 + 0.9 * (3000 / 1024) ** 2
    assert curve.predicted[1] == pytest.approx(true, rel=0.02)
    assert curve.extrapolation_factor_pixels == pytest.approx([1, (3000 / 1024) ** 2])
    assert curve.refused == ("", "")
    for low, high in (
        (curve.interval_low, curve.interval_high),
        (curve.band_low, curve.band_high),
    ):
        assert np.all((low < curve.predicted) & (curve.predicted < high))
    assert np.all(curve.spread_low <= curve.predicted)
    assert np.all(curve.predicted <= curve.spread_high)
    assert np.all(curve.band_low <= curve.interval_low)
    assert np.all(curve.interval_high <= curve.band_high)


def test_the_study_s_model_is_always_there() -> None:
    for observed in (noisy(0.1 + 0.9 * G), noisy(G**2), [0.0] * 7):
        growth = fit_growth(SIDES_PX, observed, "ms")
        expected = fit_quadratic(SIDES_PX, observed).predict(3000)
        assert growth.curve(3000).study_predicted[0] == pytest.approx(float(expected))


@pytest.mark.parametrize("count", [3, 4])
def test_fewer_than_five_resolutions_are_drawn_without_an_interval(count: int) -> None:
    growth = fit_growth(SIDES_PX[:count], noisy(0.1 + 0.9 * G[:count]), "ms")
    curve = growth.curve(1024, beyond_limit=True)
    assert growth.fit_refused == ""
    assert growth.interval_refused == f"{count} resolutions: a prediction interval needs at least 5"
    assert curve.refused == (growth.interval_refused,)
    assert curve.predicted[0] == curve.study_predicted[0]
    assert np.isfinite(curve.study_predicted[0])
    assert np.isnan(curve.band_low[0])
    assert growth.chosen is None
    assert why_chosen(growth) == ""


@pytest.mark.parametrize("count", [0, 1, 2])
def test_fewer_than_three_resolutions_are_no_fit(count: int) -> None:
    growth = fit_growth(SIDES_PX[:count], noisy(G[:count]), "ms")
    curve = growth.curve(1024)
    plural = "" if count == 1 else "s"
    assert growth.fit_refused == f"{count} resolution{plural}: the parabola needs at least 3"
    assert curve.refused == (growth.fit_refused,)
    assert np.isnan(curve.predicted[0])


def test_five_resolutions_are_enough() -> None:
    growth = fit_growth(SIDES_PX[2:], noisy(0.1 + 0.9 * G[2:]), "ms")
    assert growth.interval_refused == ""
    assert np.isfinite(growth.curve(3000).band_high[0])


def test_values_that_follow_no_law_keep_the_study_s_model() -> None:
    growth = fit_growth(SIDES_PX, [0.0, *noisy(G)[1:]], "bytes")
    assert "not positive" in growth.interval_refused
    assert growth.paper is not None
    assert growth.models == ()


def test_too_far_is_refused_unless_asked_for() -> None:
    growth = fit_growth(SIDES_PX, noisy(0.1 + 0.9 * G), "ms")
    limit_px = 1024 * np.sqrt(EXTRAPOLATION_LIMIT)
    near, far = growth.curve([limit_px - 1, limit_px + 1]).refused
    assert near == ""
    assert far.startswith("10 times the pixels of the largest measured resolution, more than 10:")
    assert far.endswith("ask for it explicitly")
    refused = growth.curve(4000)
    for values in refused[3:]:
        assert np.isnan(values[0])
    assert np.isfinite(growth.curve(4000, beyond_limit=True).band_high[0])


def test_three_thousand_pixels_from_1024_are_within_the_limit() -> None:
    assert fit_growth(SIDES_PX, noisy(G), "ms").curve(3000).refused == ("",)


def test_below_the_smallest_resolution_nothing_is_told() -> None:
    curve = fit_growth(SIDES_PX, noisy(0.1 + 0.9 * G), "ms").curve([1, 64, 255])
    assert set(curve.refused) == {"below the smallest measured resolution, 256 px"}
    assert np.isnan(curve.predicted).all()
    assert np.isnan(curve.band_high).all()


def test_what_is_known_of_a_submodule_restricts_its_laws() -> None:
    growth = fit_growth(SIDES_PX, noisy(0.1 + 0.9 * G), "ms", prior=PIXELS_SQUARED)
    assert {model.law for model in growth.models} == {QUADRATIC, FLOOR_QUADRATIC}
    assert why_chosen(growth).endswith(f"admitted because {PIXELS_SQUARED.reason}")
    unknown = fit_growth(SIDES_PX, noisy(0.1 + 0.9 * G), "ms").curve(3000)
    searched = fit_growth(SIDES_PX, noisy(0.1 + 0.9 * G), "ms", prior=PIXELS_SQUARED).curve(3000)
    straight = fit_growth(SIDES_PX, noisy(0.1 + 0.9 * G), "ms", prior=PIXELS).curve(3000)
    assert straight.band_high[0] <= unknown.band_high[0] < searched.band_high[0]
    known = fit_growth(SIDES_PX, noisy(0.1 + 0.9 * G), "ms", prior=PIXELS)
    assert all(model.law.degree == 1 for model in known.models)


def test_what_is_flat_may_be_a_floor_unless_its_size_is_known_to_be_fixed() -> None:
    flat = noisy(np.ones(7))
    growth = fit_growth(SIDES_PX, flat, "ms")
    curve = growth.curve(3000)
    assert curve.band_high[0] > (3000 / 1024) ** 4
    assert curve.band_low[0] < 1
    assert any("flat up to 1024 px" in problem for problem in problems(growth, curve))
    fixed = fit_growth(SIDES_PX, flat, "ms", prior=FIXED)
    assert fixed.curve(3000).band_high[0] < 1.1
    assert problems(fixed, fixed.curve(3000)) == []


@pytest.mark.parametrize("knee_px", [800, 880, 950])
def test_a_floor_that_ends_late_has_a_wide_band_and_says_why(knee_px: float) -> None:
    growth = fit_growth(SIDES_PX, noisy(np.maximum((knee_px / 1024) ** 2, G)), "ms")
    curve = growth.curve(3000)
    true = (3000 / 1024) ** 2
    assert curve.band_low[0] < true < curve.band_high[0]
    assert curve.band_high[0] > 3 * true
    assert any("may end above 768 px" in problem for problem in problems(growth, curve))


def test_an_early_floor_needs_no_words() -> None:
    growth = fit_growth(SIDES_PX, noisy(np.maximum(0.25, 0.04 + 0.84 * G)), "ms")
    words = " ".join(problems(growth, growth.curve(3000)))
    assert "may end" not in words
    assert "flat" not in words
    assert growth.chosen is not None
    assert growth.chosen.knee_px == pytest.approx(512, rel=0.02)


@pytest.mark.parametrize("floor", [1.2, 2.0])
def test_a_whole_that_is_a_floor_beside_a_bend_is_held(floor: float) -> None:
    """A backbone that is launch-bound to 486 or 675 px, and a search, seen as one image only."""
    prior = prior_of_whole({"backbone": "pixels", "search": "pixels_squared"})
    true = np.maximum(floor, 0.3 + 4 * G) + 0.2 + 1.5 * G + 5 * G**2
    g_3000 = (3000 / 1024) ** 2
    true_3000 = 0.5 + 5.5 * g_3000 + 5 * g_3000**2
    held, predicted = [], []
    for seed in range(40):
        draws = np.random.default_rng(seed)
        growth = fit_growth(
            SIDES_PX, list(true * (1 + 0.01 * draws.normal(size=7))), "ms", prior=prior
        )
        curve = growth.curve(3000)
        held.append(curve.band_low[0] <= true_3000 <= curve.band_high[0])
        predicted.append(curve.predicted[0])
    assert np.mean(held) > 0.85
    assert np.median(predicted) == pytest.approx(true_3000, rel=0.1)


def test_a_floor_beside_a_bend_has_a_knee_and_all_its_coefficients() -> None:
    prior = prior_of_whole({"backbone": "pixels", "search": "pixels_squared"})
    exact = np.maximum(2.0, 0.5 + 4 * G) + 1.5 * G + 5 * G**2
    growth = fit_growth(SIDES_PX, list(exact), "ms", prior=prior)
    assert growth.chosen is not None
    assert growth.chosen.law is FLOOR_BESIDE_QUADRATIC
    assert growth.chosen.knee_px == pytest.approx(1024 * (1.5 / 4) ** 0.5)
    pixels = 1024**2
    assert {part.name: part.value for part in growth.chosen.coefficients} == pytest.approx(
        {"f": 2, "a": 0.5, "b": 4 / pixels, "c": 5 / pixels**2, "d": 1.5 / pixels}
    )


def test_laws_that_the_points_do_not_decide_between_are_named() -> None:
    """A bend of 4 % at 1024 px: a straight line fits almost as well, and says much less."""
    growth = fit_growth(SIDES_PX, noisy(0.05 + 0.91 * G + 0.04 * G**2), "ms")
    curve = growth.curve(3000)
    words = [problem for problem in problems(growth, curve) if "do not decide" in problem]
    assert len(words) == 1
    assert LINEAR.name in words[0]
    assert QUADRATIC.name in words[0]
    # half of what lies between begins with 1.9: two digits of it
    assert (curve.spread_high[0] - curve.spread_low[0]) / 2 == pytest.approx(1.92, abs=0.05)
    assert words[0].endswith("at 3000 px they say 8.1 to 12.0 ms")


def test_scatter_beyond_what_was_measured_is_told() -> None:
    observed = noisy(0.1 + 0.9 * G, 0.05)
    growth = fit_growth(SIDES_PX, observed, "ms", errors=RelativeErrors([0.001] * 7))
    words = problems(growth, growth.curve(1024))
    # of the five degrees of freedom of a line two digits are more than enough
    assert any("is 58 times what was measured" in problem for problem in words)
    quiet = fit_growth(SIDES_PX, observed, "ms", errors=RelativeErrors([0.05] * 7))
    assert not any("times what was measured" in one for one in problems(quiet, quiet.curve(1024)))


def test_a_scatter_that_leaves_no_law_is_told_where_nothing_was_measured() -> None:
    growth = fit_growth(SIDES_PX, [1, 40, 0.5, 60, 2, 80, 1], "ms")
    assert growth.relative_scatter is not None
    assert growth.relative_scatter > 0.5
    words = problems(growth, growth.curve(1024))
    assert any("no law here explains the points" in one for one in words)
    ten_percent = fit_growth(SIDES_PX, noisy(0.1 + 0.9 * G, 0.1), "ms")
    words = problems(ten_percent, ten_percent.curve(1024))
    assert not any("no law here explains the points" in one for one in words)


def test_a_law_that_saturates_is_told_where_nothing_was_measured() -> None:
    growth = fit_growth(SIDES_PX, noisy(2 * G / (1 + G)), "ms")
    words = problems(growth, growth.curve(3000))
    assert any("less around a smooth curve: no law here is the true one" in one for one in words)
    straight = fit_growth(SIDES_PX, noisy(0.1 + 0.9 * G), "ms")
    assert not any("smooth curve" in one for one in problems(straight, straight.curve(3000)))


def test_scatter_beyond_what_was_measured_widens_the_band() -> None:
    """A staircase of waves of blocks: with the same scatter, but taken as its own, it is narrow."""
    waves = list(0.02 + 0.98 * np.ceil(12.8 * G) / 12.8)
    told = fit_growth(SIDES_PX, waves, "ms", errors=RelativeErrors([0.01] * 7))
    unknown = fit_growth(SIDES_PX, waves, "ms")
    assert any("no law here is the true one" in one for one in problems(told, told.curve(3000)))
    for side_px, least in ((1024, 1.0), (2048, 1.5), (3000, 2.0)):
        curves = (told.curve(side_px), unknown.curve(side_px))
        wide, narrow = (one.band_high[0] - one.band_low[0] for one in curves)
        assert wide > least * 0.99 * narrow


def test_a_study_s_model_below_zero_is_told() -> None:
    growth = fit_growth(SIDES_PX[:3], [9.0, 9.0, 5.0], "ms")
    curve = growth.curve(800)
    assert curve.study_predicted[0] < 0
    assert problems(growth, curve) == ["the study's model is not positive here: it does not hold"]


def test_weights_follow_the_measured_deviations() -> None:
    """A last point that is off and known to be poor does not move the line."""
    observed = noisy(0.1 + 0.9 * G, 0.001)
    observed[-1] *= 1.2
    poor = fit_growth(
        SIDES_PX, observed, "ms", errors=RelativeErrors([0.002] * 6 + [0.4]), prior=PIXELS
    )
    assert poor.curve(896).predicted[0] == pytest.approx(0.1 + 0.9 * G[5], rel=0.01)
    assert poor.curve(3000).predicted[0] == pytest.approx(0.1 + 0.9 * 8.583, rel=0.02)


def test_residuals_and_scatter_by_hand() -> None:
    """A constant through one value that is off: (0.9, 1, 1, 1, 1, 1, 1), weights 1/y²."""
    observed = np.array([0.9, *[1.0] * 6])
    growth = fit_growth(SIDES_PX, list(observed), "ms", prior=FIXED)
    mean = np.sum(1 / observed) / np.sum(observed**-2)
    assert growth.models[0].max_relative_residual == pytest.approx(mean / 0.9 - 1)
    squares = np.sum((mean / observed - 1) ** 2)
    assert growth.relative_scatter == pytest.approx(np.sqrt(squares / 6))
    measured = fit_growth(
        SIDES_PX, list(observed), "ms", prior=FIXED, errors=RelativeErrors([0.2] * 7)
    )
    assert measured.relative_scatter == pytest.approx(0.2)


def test_verdicts() -> None:
    growth = fit_growth(SIDES_PX, noisy(0.1 + 0.4 * G + 0.5 * G**2), "ms")
    said = {model.law.name: verdict(model) for model in growth.models}
    assert said[QUADRATIC.name].startswith("chosen; largest error in the back-test")
    assert said[LINEAR.name].startswith("refuted by the fit")
    straight = fit_growth(SIDES_PX, noisy(0.1 + 0.9 * G), "ms")
    assert any(
        verdict(model).startswith("not refuted: in the band with") for model in straight.models[1:]
    )
    assert "least misfit for its number of terms" in why_chosen(straight)


def test_counted_bytes_are_predicted_to_a_few_millionths() -> None:
    """EfficientAD's maps: unpadded, so that the side has a negative coefficient."""
    growth = fit_growth(SIDES_PX, [(side / 4 - 8) ** 2 * 4 for side in SIDES_PX], "bytes")
    assert growth.chosen is not None
    assert growth.chosen.law is BORDER
    curve = growth.curve(3000)
    assert curve.predicted[0] == pytest.approx((3000 / 4 - 8) ** 2 * 4, rel=1e-9)
    assert curve.band_high[0] / curve.band_low[0] - 1 < 2e-5


@given(
    st.lists(st.floats(1e-3, 1e3), min_size=7, max_size=7),
    st.floats(1e-3, 1e9),
)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_the_unit_of_the_values_does_not_matter(values: list[float], unit: float) -> None:
    one = fit_growth(SIDES_PX, values, "ms")
    other = fit_growth(SIDES_PX, [value * unit for value in values], "units")
    mine, its = one.curve([512, 3000]), other.curve([512, 3000])
    assert one.chosen is not None
    assert other.chosen is not None
    assert one.chosen.law is other.chosen.law
    assert its.predicted == pytest.approx(mine.predicted * unit, rel=1e-5)
    assert its.band_high == pytest.approx(mine.band_high * unit, rel=1e-5)
    assert its.band_low == pytest.approx(mine.band_low * unit, rel=1e-5, abs=1e-9 * unit)


@given(st.lists(st.floats(0.5, 2), min_size=7, max_size=7))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_the_band_holds_the_prediction_and_the_interval_of_the_law_chosen(
    factors: list[float],
) -> None:
    growth = fit_growth(SIDES_PX, list(np.array(factors) * (0.1 + G)), "ms")
    curve = growth.curve([256, 700, 1024, 2000, 3000])
    close = 1e-9 * curve.predicted
    assert np.all(curve.band_low <= curve.predicted + close)
    assert np.all(curve.predicted <= curve.band_high + close)
    assert np.all(curve.band_low >= 0)
    assert np.all(curve.spread_low <= curve.predicted + close)
    assert np.all(curve.predicted <= curve.spread_high + close)
