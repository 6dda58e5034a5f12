"""Fit without the largest one and the largest two resolutions, predict them, compare.

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

from .bands import Scatter, envelope
from .estimation import Points
from .evidence import FittedLaw, fit_laws
from .models import Floats, Law

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
