"""The paper's model: least squares for y = b0 + b1·s + b2·s², s the side length in px.

Of an image that is not square the side is the square root of its pixels.

It always stands beside the laws of `analysis.fits.growth` and is never weighed against them; and
`analysis.fits.memory_extrapolation` judges it by exact counts.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

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
        side_px: sides it was fitted to.
        fitted: its values there.
        observed: what it was fitted to.
    """

    coefficients: tuple[float, ...]
    side_px: Floats
    fitted: Floats
    observed: Floats

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
        side = np.asarray(side_px, np.float64)
        b0, b1, b2 = self.coefficients
        return np.asarray(b0 + side * (b1 + side * b2), np.float64)

    def prediction_interval(
        self, side_px: npt.ArrayLike, level: float = 0.95
    ) -> tuple[Floats, Floats]:
        """Return the interval of one new observation with this probability, if the model is right.

        Student's t with n − 3 degrees of freedom; the scatter is taken to be the same at all
        resolutions. (Draper & Smith, Applied Regression Analysis, 3rd ed., section 3.2.)

        Raises:
            ValueError: there is no degree of freedom.
        """
        from scipy.stats import t

        freedom = len(self.side_px) - COEFFICIENTS
        if freedom < 1:
            raise ValueError("three resolutions determine the parabola and leave no scatter")
        sides, scale_px = np.atleast_1d(np.asarray(side_px, np.float64)), _scale_px(self.side_px)
        _, triangle = np.linalg.qr(_powers(self.side_px / scale_px))
        leverage = np.linalg.solve(triangle.T, _powers(sides / scale_px).T)
        scatter = np.sqrt(np.sum((self.observed - self.fitted) ** 2) / freedom)
        quantile = float(t.ppf(0.5 + level / 2, freedom))
        half_width = quantile * scatter * np.sqrt(1 + np.sum(leverage**2, axis=0))
        return self.predict(sides) - half_width, self.predict(sides) + half_width


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
    design = _powers(side / _scale_px(side))
    orthogonal, triangle = np.linalg.qr(design)
    scaled = np.linalg.solve(triangle, orthogonal.T @ values)
    coefficients = scaled / _scale_px(side) ** np.arange(COEFFICIENTS)
    return QuadraticFit(tuple(coefficients.tolist()), side, design @ scaled, values)


def _scale_px(side_px: Floats) -> float:
    """Unit of length in which the powers of the side are of one size."""
    return float(np.max(np.abs(side_px)))


def _powers(side: Floats) -> Floats:
    return np.vander(side, COEFFICIENTS, increasing=True)


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
