"""The paper's model: least squares for y = b0 + b1·s + b2·s², s the side length in px.

It always stands beside the laws of `analysis.fits.growth` and is never weighed against them; and
`analysis.fits.memory_extrapolation` judges it by exact counts.

What an extrapolation turned out to be worth, in plain words.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

MODEL = "quadratic in side, least squares"
"""Name of the model in tables."""

COEFFICIENTS = 3
"""Coefficients of the model, and the fewest resolutions that determine it."""

ENOUGH_FOR_INTERVAL = 5
"""Resolutions below which a prediction interval would say nothing."""


@dataclass(frozen=True)
class QuadraticFit:
    """A fitted parabola.

    Attributes:
        coefficients: b0, b1, b2 for the side in px; units of y, y per px, y per px².
        side_px: sides it was fitted to.
        fitted: its values there.
        observed: what it was fitted to.
    """

    coefficients: tuple[float, float, float]
    side_px: Floats
    fitted: Floats
    observed: Floats

    @property
    def degrees_of_freedom(self) -> int:
        """Observations beyond those that determine the coefficients."""
        return len(self.side_px) - COEFFICIENTS

    @property
    def max_relative_residual(self) -> float | None:
        """Largest |observed − fitted| / |observed|; None where an observation is 0."""
        if not np.all(self.observed):
            return None
        return float(np.max(np.abs((self.observed - self.fitted) / self.observed)))

    @property
    def r_squared(self) -> float | None:
        """Share of the variance that the fit explains; None where nothing varies."""
        around_mean = float(np.sum((self.observed - np.mean(self.observed)) ** 2))
        if around_mean == 0:
            return None
        return 1 - float(np.sum((self.observed - self.fitted) ** 2)) / around_mean

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

        if self.degrees_of_freedom < 1:
            raise ValueError("three resolutions determine the parabola and leave no scatter")
        scale_px = _scale_px(self.side_px)
        _, triangle = np.linalg.qr(_design(self.side_px, scale_px))
        sides = np.atleast_1d(np.asarray(side_px, np.float64))
        leverage = np.linalg.solve(triangle.T, _design(sides, scale_px).T)
        squares = float(np.sum((self.observed - self.fitted) ** 2))
        scatter = np.sqrt(squares / self.degrees_of_freedom)
        quantile = float(t.ppf(0.5 + level / 2, self.degrees_of_freedom))
        half_width = quantile * scatter * np.sqrt(1 + np.sum(leverage**2, axis=0))
        center = self.predict(sides)
        return center - half_width, center + half_width


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
    scale_px = _scale_px(side)
    design = _design(side, scale_px)
    orthogonal, triangle = np.linalg.qr(design)
    scaled = np.linalg.solve(triangle, orthogonal.T @ values)
    c0, c1, c2 = (float(value) for value in scaled)
    coefficients = (c0, c1 / scale_px, c2 / scale_px**2)
    return QuadraticFit(coefficients, side, design @ scaled, values)


def hold_out_errors(
    side_px: npt.ArrayLike, observed: npt.ArrayLike
) -> tuple[float | None, float | None, float | None]:
    """Return the parabola's errors at the largest resolutions, fitted without them.

    Args:
        side_px: side lengths, ascending.
        observed: one value each, none of them 0.

    Returns:
        predicted over observed minus one: of the largest from all below it; of the second largest
        and of the largest from those below both. None where fewer than three are left.
    """
    side, values = np.asarray(side_px, np.float64), np.asarray(observed, np.float64)
    errors: list[float | None] = []
    for left_out in (1, 2):
        if len(side) - left_out < COEFFICIENTS:
            errors += [None] * left_out
            continue
        fit = fit_quadratic(side[:-left_out], values[:-left_out])
        errors += list(fit.predict(side[-left_out:]) / values[-left_out:] - 1)
    one, lower, upper = (None if error is None else float(error) for error in errors)
    return one, lower, upper


def _scale_px(side_px: Floats) -> float:
    """Unit of length in which the columns of the design are of one size."""
    return float(np.max(np.abs(side_px)))


def _design(side_px: Floats, scale_px: float) -> Floats:
    scaled = side_px / scale_px
    return np.column_stack([np.ones_like(scaled), scaled, scaled**2])


SMALL_ERROR = 0.01
"""Relative error up to which the paper's model is called right."""

NO_ALARM_FROM = 0.99
"""R² that is commonly taken for a good fit."""

SAME_POWER = 0.1
"""How near to 2 a power counts as quadratic."""


def verdict(fit: QuadraticFit, at_px: int, counted: int, growth_power: float | None) -> str:
    """Says whether the parabola held where it was extrapolated to, and if not, what it missed.

    Args:
        fit: through the counts at the paper's resolutions.
        at_px: side length it is judged at.
        counted: the exact count there, in bytes.
        growth_power: with which power of the side the counts grow beyond the fit.
    """
    if len({*fit.observed.tolist(), float(counted)}) == 1:
        return f"constant: {'the same' if counted else '0 bytes'} at every resolution"
    predicted = float(fit.predict(at_px))
    if counted and abs(predicted / counted - 1) < SMALL_ERROR:
        return f"quadratic: error below {SMALL_ERROR * 100:g} %"
    parts = [_growth(growth_power, fit), _miss(predicted, counted), _alarm(fit)]
    return f"not quadratic: {'; '.join(part for part in parts if part)}"


def _growth(power: float | None, fit: QuadraticFit) -> str:
    if power is None:
        return ""
    grows = f"grows with the power {power:.1f} of the side"
    if abs(power - 2) >= SAME_POWER:
        return grows
    # one parabola for small images, another for large ones
    return f"{grows}, but not yet from {min(fit.side_px):.0f} to {max(fit.side_px):.0f} px"


def _miss(predicted: float, counted: int) -> str:
    if predicted <= 0:
        return "the quadratic falls to zero or below"
    if not counted:
        return "nothing is counted where the quadratic gives something"
    percent = abs(predicted / counted - 1) * 100
    direction = "little" if predicted < counted else "much"
    return f"the quadratic gives {percent:.{0 if percent >= 10 else 1}f} % too {direction}"


def _alarm(fit: QuadraticFit) -> str:
    if fit.r_squared is None or fit.r_squared < NO_ALARM_FROM:
        return ""
    return f"R² of {fit.r_squared:.3f} raised no alarm"
