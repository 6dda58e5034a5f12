"""How well each law fits, and how far it is heard.

The scatter σ is taken from the law with the smallest misfit per degree of freedom; where variances
were measured, it is not below them. In units of σ² each law has a score: its misfit, plus a price
for each complication. The price is set so that a law with one complication more which fits no
better is heard with `HEARD` standard errors of its own prediction, and with more, the better it
fits: with √(HEARD² + gain), gain being the misfit that the complication removes; and with its whole
interval from the gain on at which it becomes the best itself.

That is a profile likelihood over all laws, with a price: the band holds what no law can say without
fitting worse than the best by more than Student's t allows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .bands import Scatter
from .estimation import ROUNDING, FormFit, Points, best_forms, fit_law
from .models import Floats, Form, Law

HEARD = 0.5
"""Standard errors with which a more complicated law is heard that fits no better."""

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
    """What the cases of a law count for.

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
    price = scatter.quantile**2 - HEARD**2
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
