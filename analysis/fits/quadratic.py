"""The paper's model: least squares for y = b0 + b1·s + b2·s², s the side length in px.

Of an image that is not square the side is the square root of its pixels.

It always stands beside the laws of `analysis.fits.growth` and is never weighed against them; and
`analysis.fits.memory_extrapolation` judges it by exact counts.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .models import Floats

MODEL = "quadratic in side, least squares"
"""Name of the model in tables."""

COEFFICIENTS = 3
"""Coefficients of the model, and the fewest resolutions that determine it."""

ENOUGH_FOR_INTERVAL = 5
"""Resolutions below which a prediction interval would say nothing."""


class QuadraticFit(NamedTuple):
    """A fitted parabola.

    Attributes:
        coefficients: b0, b1, b2 for the side in px; units of y, y per px, y per px².
        covariance: of b2, b1, b0, in units of the variance of an observation.
        side_px: sides it was fitted to.
        observed: what it was fitted to.
        fitted: its values there.
    """

    coefficients: tuple[float, ...]
    covariance: Floats
    side_px: Floats
    observed: Floats
    fitted: Floats

    @property
    def max_relative_residual(self) -> float | None:
        """Largest |observed − fitted| / |observed|; None where an observation is 0."""
        if not np.all(self.observed):
            return None
        return float(np.max(np.abs((self.observed - self.fitted) / self.observed)))

    @property
    def r_squared(self) -> float | None:
        """Share of the variance that the fit explains; None where nothing varies."""
        around_mean = np.sum((self.observed - np.mean(self.observed)) ** 2)
        around_fit = np.sum((self.observed - self.fitted) ** 2)
        return float(1 - around_fit / around_mean) if around_mean else None

    def predict(self, side_px: npt.ArrayLike) -> Floats:
        """Values of the parabola."""
        return np.polyval(self.coefficients[::-1], np.asarray(side_px, np.float64))

    def prediction_interval(self, side_px: npt.ArrayLike) -> tuple[Floats, Floats]:
        """The interval that holds one new observation with 95 %, if the model is right.

        Student's t with n − 3 degrees of freedom; the scatter is taken to be the same at all
        resolutions. (Draper & Smith, Applied Regression Analysis, 3rd ed., section 3.2.)

        Raises:
            ValueError: there is no degree of freedom.
        """
        from scipy.stats import t

        freedom = len(self.side_px) - COEFFICIENTS
        if freedom < 1:
            raise ValueError("three resolutions determine the parabola and leave no scatter")
        side = np.array(side_px, np.float64, ndmin=1)
        powers, value = np.vander(side, COEFFICIENTS), self.predict(side)
        scatter = np.sum((self.observed - self.fitted) ** 2) / freedom
        variance = scatter * (1 + np.sum(powers @ self.covariance * powers, axis=1))
        half_width = t.ppf(0.975, freedom) * np.sqrt(variance)
        return value - half_width, value + half_width


def fit_quadratic(side_px: npt.ArrayLike, observed: npt.ArrayLike) -> QuadraticFit:
    """Fit the parabola by ordinary least squares.

    Args:
        side_px: side lengths, at least three different ones.
        observed: one value each.

    Raises:
        ValueError: fewer than three different side lengths.
    """
    side, values = np.asarray(side_px, np.float64), np.asarray(observed, np.float64)
    if len(np.unique(side)) < COEFFICIENTS:
        raise ValueError("a parabola needs three different side lengths")
    found, covariance = np.polyfit(side, values, COEFFICIENTS - 1, cov="unscaled")
    fitted = np.polyval(found, side)
    return QuadraticFit(tuple(found[::-1].tolist()), covariance, side, values, fitted)


def hold_out_errors(side_px: npt.ArrayLike, observed: npt.ArrayLike) -> tuple[float, ...]:
    """Return the parabola's errors at the largest resolutions, fitted without them.

    Args:
        side_px: side lengths, ascending.
        observed: one value each.

    Returns:
        predicted over observed minus one: of the largest from all below it; of the second largest
        and of the largest from those below both. nan where fewer than three are left, or a value
        is not positive.
    """
    side, values = np.asarray(side_px, np.float64), np.asarray(observed, np.float64)
    errors = [np.nan] * 3
    for left_out, those in ((1, slice(0, 1)), (2, slice(1, 3))):
        if len(np.unique(side[:-left_out])) >= COEFFICIENTS and np.all(values > 0):
            fit = fit_quadratic(side[:-left_out], values[:-left_out])
            errors[those] = fit.predict(side[-left_out:]) / values[-left_out:] - 1
    return tuple(errors)
