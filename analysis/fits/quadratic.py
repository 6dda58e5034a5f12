"""The paper's model: least squares for y = b0 + b1·s + b2·s², s the side length in px.

Of an image that is not square the side is the square root of its pixels.

It always stands beside the laws of `analysis.fits.growth` and is never weighed against them; and
`analysis.memory_extrapolation` judges it by exact counts.
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
        root: of their covariance in units of the variance of an observation, which is root · rootᵀ.
        side_px: sides it was fitted to.
        observed: what it was fitted to.
        fitted: its values there.
    """

    coefficients: tuple[float, ...]
    root: Floats
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
        return np.asarray(np.polyval(self.coefficients[::-1], np.asarray(side_px)), np.float64)

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
        leverage = np.sum((np.vander(side, COEFFICIENTS, increasing=True) @ self.root) ** 2, axis=1)
        scatter = np.sum((self.observed - self.fitted) ** 2) / freedom
        half_width = t.ppf(0.975, freedom) * np.sqrt(scatter * (1 + leverage))
        return self.predict(side) - half_width, self.predict(side) + half_width


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
    largest = np.max(np.abs(side))  # the unit in which its powers are of one size
    unit = largest ** np.arange(COEFFICIENTS)
    columns = np.vander(side / largest, COEFFICIENTS, increasing=True)
    orthogonal, triangle = np.linalg.qr(columns)
    found, root = np.linalg.solve(triangle, orthogonal.T @ values), np.linalg.inv(triangle)
    coefficients = tuple((found / unit).tolist())
    return QuadraticFit(coefficients, root / unit[:, np.newaxis], side, values, columns @ found)


def fit_if_enough(side_px: npt.ArrayLike, observed: npt.ArrayLike) -> QuadraticFit | None:
    """The parabola; None with fewer than three different side lengths."""
    enough = len(np.unique(np.asarray(side_px))) >= COEFFICIENTS
    return fit_quadratic(side_px, observed) if enough else None


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
    errors: list[float] = []
    for left_out in (1, 2):
        fit = fit_if_enough(side[:-left_out], values[:-left_out]) if np.all(values > 0) else None
        predicted = fit.predict(side[-left_out:]) if fit else np.full(left_out, np.nan)
        errors += (predicted / values[-left_out:] - 1).tolist()
    return tuple(errors)
