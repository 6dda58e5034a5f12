"""A small bench of truth: what the large one says has to keep holding."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.fits.estimation import make_points
from analysis.fits.quadratic import fit_quadratic
from tests.bench.fits import (
    COVERAGE,
    HIDDEN,
    LATE,
    SIDES_PX,
    TARGET_PX,
    TRUTHS,
    WIDTH,
    Outcome,
    Truth,
    at_random,
    known_complexity,
    study_of,
    sum_coverage,
)

DRAWS = 400
SLACK = 2 * np.sqrt(COVERAGE * (1 - COVERAGE) / DRAWS)
"""Two standard errors of a coverage from so few draws."""


def named(truth: Truth) -> str:
    return truth.name


@pytest.mark.parametrize("truth", [truth for truth in TRUTHS if truth not in HIDDEN], ids=named)
def test_the_band_holds_and_is_not_too_wide(truth: Truth) -> None:
    outcome = Outcome(truth, 0.01, DRAWS, seed=11)
    assert outcome.covers(outcome.band) > COVERAGE - SLACK
    assert outcome.relative_width < WIDTH


def test_the_study_s_model_does_not_hold_for_bends_and_floors() -> None:
    for truth in TRUTHS:
        if truth.name.startswith(("quadratic", "quartic", "search")) or "512" in truth.name:
            outcome = Outcome(truth, 0.01, DRAWS)
            assert outcome.covers(outcome.study_bounds) < 0.2
            assert truth in HIDDEN or abs(outcome.bias(outcome.predicted)) < abs(
                outcome.bias(outcome.study)
            )


@pytest.mark.parametrize("truth", known_complexity(HIDDEN), ids=named)
@pytest.mark.parametrize("noise", [0.01, 0.03])
def test_bends_within_the_noise_are_held_if_the_complexity_is_known(
    truth: Truth, noise: float
) -> None:
    outcome = Outcome(truth, noise, DRAWS)
    assert outcome.covers(outcome.band) > COVERAGE - SLACK
    assert outcome.relative_width < WIDTH


@pytest.mark.parametrize("truth", HIDDEN, ids=named)
def test_bends_within_the_noise_are_not_held_otherwise(truth: Truth) -> None:
    """If this fails, the method has become better than docs/extrapolation.md says."""
    outcome = Outcome(truth, 0.03, DRAWS)
    assert outcome.covers(outcome.band) < COVERAGE - SLACK


@pytest.mark.parametrize("truth", LATE, ids=named)
def test_late_floors_are_held_by_a_wide_band_that_is_explained(truth: Truth) -> None:
    outcome = Outcome(truth, 0.01, DRAWS)
    assert outcome.covers(outcome.band) > COVERAGE - SLACK
    if any(knee in truth.name for knee in ("800", "950", "1100")):
        assert outcome.said_so > 0.9


def test_laws_at_random_are_held() -> None:
    for truth in at_random(DRAWS):
        if "0 to" not in truth.name or "10 to" in truth.name or "20 to" in truth.name:
            outcome = Outcome(truth, 0.01, DRAWS)
            assert outcome.covers(outcome.band) > COVERAGE - SLACK


def test_the_study_s_model_of_many_series_is_that_of_each() -> None:
    random = np.random.default_rng(1)
    observed = random.uniform(1, 2, (3, 7))
    predicted, bounds = study_of(make_points(SIDES_PX, observed))
    for index, one in enumerate(observed):
        fit = fit_quadratic(SIDES_PX, one)
        low, high = fit.prediction_interval(TARGET_PX)
        assert predicted[index] == pytest.approx(float(fit.predict(TARGET_PX)))
        assert bounds.low[index] == pytest.approx(low)
        assert bounds.high[index] == pytest.approx(high)


def test_a_sum_is_held_with_either_assumption() -> None:
    together, independent = sum_coverage(0.01, DRAWS)
    assert together >= independent > COVERAGE
