"""Which laws may speak, which one is chosen, and how much of each is in the band.

1. A law that fails the back-test is out; if all fail, none is, and that is said.
2. Of the others the one with the best score is chosen, misfit plus price
   (`analysis.fits.selection`).
3. Where scores differ by less than one squared scatter, the lower AICc decides.

AICc does not come first because with seven points it asks so much of a third coefficient that it
misses bends of four standard errors. Chosen by AICc alone among the laws that pass, predictions at
3000 px are off by 14 instead of 7 % (laws of the goal of `tests/bench/fits.py`, 1 % noise).

How well each law fits, and how much of its interval is in the band.

The scatter σ is taken from the law with the smallest misfit per degree of freedom; where variances
were measured, it is not below them. In units of σ² each law has a score: its misfit, plus a price
for each complication. The price is set so that a law with one complication more which fits no
better is in the band with `LEAST_ERRORS` standard errors of its own prediction, and with more, the
better it fits: with √(LEAST_ERRORS² + gain), gain being the misfit that the complication removes;
and with its whole interval from the gain on at which it becomes the best itself.

That is a profile likelihood over all laws, with a price: the band holds what no law can say without
fitting worse than the best by more than Student's t allows.

Fit without the largest one and the largest two resolutions, predict them, compare.

What a law says beyond the points it was fitted to is what it is wanted for, so it is tried there. A
law passes if no left-out value lies outside what the law, alone, allows from the smaller
resolutions, at a level at which a true law fails once in a hundred predictions. The scatter is that
of the best law on all points: a law that does not fit would otherwise excuse itself with its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .estimation import ROUNDING, FormFit, Points, Scatter, best_forms, envelope, fit_law
from .models import Floats, Form, Law

LEAST_ERRORS = 0.5
"""Standard errors with which a more complicated law is in the band that fits no better."""

FOURTH_COEFFICIENT = 0.1
"""Complications that a fourth coefficient counts for, that of a floor with a full parabola."""


class FittedLaw(NamedTuple):
    """A law with all its cases.

    Attributes:
        law: which.
        fits: its cases.
        best: index of the best one without negative coefficients, of each series.
        misfit: of that one; infinite if there is none.
    """

    law: Law
    fits: list[FormFit]
    best: npt.NDArray[np.int64]
    misfit: Floats

    @property
    def coefficients(self) -> Floats:
        """Coefficients of the best case, of each series."""
        return np.array([fit.form.coefficients for fit in self.fits], np.float64)[self.best]

    def predict(self, side_px: Floats) -> Floats:
        """Values of the best case: series × sides."""
        values = np.array([fit.predict(side_px) for fit in self.fits])
        best = np.take_along_axis(values, self.best[np.newaxis, :, np.newaxis], axis=0)[0]
        return np.asarray(best, np.float64)


def fit_laws(laws: Sequence[Law], points: Points) -> list[FittedLaw]:
    """Fit laws; those that have more coefficients than there are resolutions are left out."""
    fitted = []
    for law in laws:
        fits = fit_law(law, points) if law.coefficients <= points.count else []
        if fits:
            fitted.append(FittedLaw(law, fits, *best_forms(fits)))
    return fitted


def scatter_of(fitted: Sequence[FittedLaw], points: Points, level: float) -> Scatter:
    """The scatter around the law that explains the points best.

    Args:
        fitted: at least one law with a degree of freedom.
        points: what they were fitted to.
        level: of the interval that the quantile is for.
    """
    from scipy.stats import t

    able = [one for one in fitted if one.law.coefficients < points.count]
    freedom = np.array([points.count - one.law.coefficients for one in able], np.float64)
    variance = np.array([one.misfit for one in able]) / freedom[:, np.newaxis]
    least = np.argmin(variance, axis=0)
    smallest = np.take_along_axis(variance, least[np.newaxis], axis=0)[0]
    never_below = 1.0 if points.variance_measured else ROUNDING**2
    return Scatter(
        variance=np.maximum(smallest, never_below),
        new_variance=points.new_relative_variance,
        quantile=np.asarray(t.ppf(0.5 + level / 2, freedom), np.float64)[least],
        degrees_of_freedom=freedom[least],
    )


def complications(form: Form) -> float:
    """Return the complications for which a case of a law counts.

    A floor over everything has one coefficient and no branch to be complicated. With fewer than
    three resolutions on the branch nothing tells a straight one from a bent one: both count alike.
    """
    if form.branch_unseen:
        return 0
    if form.branch_untested:
        return min(form.law.complications, 1)
    return form.law.complications + FOURTH_COEFFICIENT * (form.coefficients > 3)


def scores(fitted: Sequence[FittedLaw], scatter: Scatter) -> list[Floats]:
    """Misfit in squared scatters plus the price, of each law: cases × series.

    Signs are not looked at: a case with a negative coefficient has a better score than its law.
    """
    price = scatter.quantile**2 - LEAST_ERRORS**2
    return [
        np.array(
            [fit.misfit / scatter.variance + price * complications(fit.form) for fit in one.fits]
        )
        for one in fitted
    ]


def best_scores(fitted: Sequence[FittedLaw], score: Sequence[Floats]) -> Floats:
    """The best score of a case without negative coefficients: laws × series."""
    return np.array(
        [
            np.min(np.where([fit.admissible for fit in one.fits], cases, np.inf), axis=0)
            for one, cases in zip(fitted, score, strict=True)
        ]
    )


def corrected_aic(one: FittedLaw, points: Points) -> Floats:
    """AICc of the best case, the scatter being a coefficient too (Hurvich and Tsai 1989).

    Infinite where there are too few resolutions for it.
    """
    count, k = points.count, one.coefficients + 1
    spare = count - k - 1
    misfit = np.maximum(one.misfit, count * ROUNDING**2 * np.min(points.relative_variance))
    penalty = 2 * k + 2 * k * (k + 1) / np.where(spare > 0, spare, np.nan)
    return np.where(spare > 0, count * np.log(misfit / count) + penalty, np.inf)


LEFT_OUT = (1, 2)
"""How many of the largest resolutions are left out, one after the other."""

FEWEST_LEFT = 3
"""Resolutions that have to be left."""

LEVEL = 0.99
"""Share of left-out values in which a true law is not refuted."""


class BackTest(NamedTuple):
    """A law predicting left-out resolutions.

    Attributes:
        law: which.
        errors: predicted over observed, minus one: series × predictions; first the largest
            resolution predicted without itself, then the largest two without both.
        passed: whether no left-out value refutes the law, of each series.
    """

    law: Law
    errors: Floats
    passed: npt.NDArray[np.bool_]

    @property
    def typical_error(self) -> Floats:
        """Root of the mean squared error, of each series."""
        return np.asarray(np.sqrt(np.mean(self.errors**2, axis=1)), np.float64)


def back_test(fitted: Sequence[FittedLaw], points: Points, scatter: Scatter) -> list[BackTest]:
    """Try laws on the largest resolutions.

    Args:
        fitted: laws, on all points.
        points: with enough resolutions to leave `FEWEST_LEFT`.
        scatter: around the best of them.

    Raises:
        ValueError: too few resolutions.
    """
    from scipy.stats import t

    if points.count < FEWEST_LEFT + max(LEFT_OUT):
        raise ValueError(f"{points.count} resolutions are too few to leave two of them out")
    strict = np.asarray(t.ppf(0.5 + LEVEL / 2, scatter.degrees_of_freedom), np.float64)
    trials = [_trial(fitted, points, left_out, scatter, strict) for left_out in LEFT_OUT]
    return [
        BackTest(
            one.law,
            np.hstack([trial[index][0] for trial in trials]),
            np.all([trial[index][1] for trial in trials], axis=0),
        )
        for index, one in enumerate(fitted)
    ]


def _trial(
    fitted: Sequence[FittedLaw], points: Points, left_out: int, scatter: Scatter, strict: Floats
) -> list[tuple[Floats, npt.NDArray[np.bool_]]]:
    """Errors and verdict of each law; one with too many coefficients is not tried and passes."""
    side, observed = points.side_px[-left_out:], points.values[:, -left_out:]
    refitted = {
        one.law: one
        for one in fit_laws([one.law for one in fitted], points.without_largest(left_out))
    }
    results = []
    for law in (one.law for one in fitted):
        if law not in refitted:
            untried = np.full(observed.shape, np.nan)
            results.append((untried, np.ones(len(observed), np.bool_)))
            continue
        one = refitted[law]
        misfit = np.array([fit.misfit for fit in one.fits])
        budgets = strict**2 - (misfit - one.misfit) / scatter.variance
        bounds = envelope(one.fits, budgets, scatter, side)
        inside = (bounds.low <= observed) & (observed <= bounds.high)
        results.append((one.predict(side) / observed - 1, np.all(inside, axis=1)))
    return results


TIE = 1.0
"""Difference of scores, in squared scatters, below which they say nothing."""


class Selection(NamedTuple):
    """The verdict of the evidence on each law.

    Attributes:
        allowed: passes the back-test, or all fail: laws × series.
        chosen: index of the law chosen, of each series.
        by_aicc: whether AICc had to decide, of each series.
        budgets: what each case may lose before it is refuted, in squared scatters: the squared
            quantile for the law chosen, -inf for laws that are out: cases of all laws × series.
        score: misfit plus price of each law: laws × series.
        aicc: of each law: laws × series.
    """

    allowed: npt.NDArray[np.bool_]
    chosen: npt.NDArray[np.int64]
    by_aicc: npt.NDArray[np.bool_]
    budgets: Floats
    score: Floats
    aicc: Floats


def select(
    fitted: Sequence[FittedLaw],
    points: Points,
    scatter: Scatter,
    tests: Sequence[BackTest] | None,
) -> Selection:
    """Weigh the laws.

    Args:
        fitted: laws on all points.
        points: what they were fitted to.
        scatter: around the best of them.
        tests: back-test of each, None where there are too few resolutions for one.
    """
    allowed = _allowed(fitted, points, tests)
    by_case = scores(fitted, scatter)
    score = best_scores(fitted, by_case)
    aicc = np.array([corrected_aic(one, points) for one in fitted])
    # rounded, lest laws that are the same on these points are told apart by the last digit
    among = np.round(np.where(allowed, score, np.inf), 6)
    best = np.min(among, axis=0)
    tied = among <= best + TIE
    by_score = np.argmin(among, axis=0)
    # AICc is infinite for all where there are too few points for it
    of_tied = np.round(np.where(tied, aicc, np.inf), 6)
    by_aicc = np.argmin(of_tied, axis=0)
    known = np.isfinite(np.min(of_tied, axis=0))
    chosen = np.where(known, by_aicc, by_score)
    # measured from the law chosen, so that it has its whole interval where AICc preferred it
    reference = np.take_along_axis(score, chosen[np.newaxis], axis=0)[0]
    budgets = [
        np.where(allow, scatter.quantile**2 + reference - cases, -np.inf)
        for allow, cases in zip(allowed, by_case, strict=True)
    ]
    return Selection(
        allowed, chosen, (np.sum(tied, axis=0) > 1) & known, np.vstack(budgets), score, aicc
    )


def _allowed(
    fitted: Sequence[FittedLaw], points: Points, tests: Sequence[BackTest] | None
) -> npt.NDArray[np.bool_]:
    if tests is None:
        return np.ones((len(fitted), points.series), np.bool_)
    passed = np.array([test.passed for test in tests])
    return np.asarray(passed | ~np.any(passed, axis=0), np.bool_)
