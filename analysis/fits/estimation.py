"""Weighted least squares of the cases of a law, for one series or for thousands at once.

Relative errors are what is alike at all resolutions: a point counts by 1 / (y² · v), v its relative
variance. All arrays begin with the series; a single one is a batch of one. Weighting by what was
observed instead of what is true costs a bias of the order of the squared relative error (0.1 % at
3 % noise).

Where one more measurement may lie, given how far each case of each law is believed.

A case that may lose `budget` units of fit (squared scatters) moves its prediction by up to
√budget · √(variance of the prediction + variance of one more measurement), as any least squares
fit does, provided that no coefficient becomes negative on the way. If one would, the case in which
it is zero is another in the list and speaks for itself. So the largest and the smallest prediction
over all cases are those of the laws with coefficients that cannot be negative, in closed form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .models import Floats, Form, Law, MeasuredRange, forms

ROUNDING = 1e-6
"""Relative scatter below which two numbers are taken as equal: counted bytes have none at all."""


class PointsError(ValueError):
    """Points that no law of growth can be fitted to; the message says why."""


@dataclass(frozen=True)
class Points:
    """Series measured at the same resolutions.

    Attributes:
        side_px: ascending.
        values: series × resolutions, positive.
        relative_variance: of each value, of the same shape, in units of the value squared. Ones
            where it was not measured: then only their ratios mean anything.
        variance_measured: whether they are variances, which the scatter cannot be below, or ones.
    """

    side_px: Floats
    values: Floats
    relative_variance: Floats
    variance_measured: bool

    @property
    def series(self) -> int:
        """How many series there are."""
        return len(self.values)

    @property
    def count(self) -> int:
        """How many resolutions there are."""
        return len(self.side_px)

    @property
    def measured(self) -> MeasuredRange:
        """The measured interval, from the smallest to the largest side."""
        return MeasuredRange(float(self.side_px[0]), float(self.side_px[-1]))

    @property
    def new_relative_variance(self) -> Floats:
        """Relative variance of one more measurement, in the unit of the points: their mean."""
        return np.asarray(np.mean(self.relative_variance, axis=1), np.float64)

    def without_largest(self, left_out: int) -> Points:
        """The points below the largest resolutions."""
        end = self.count - left_out
        return Points(
            self.side_px[:end],
            self.values[:, :end],
            self.relative_variance[:, :end],
            self.variance_measured,
        )


def make_points(side_px: object, values: object, relative_std: object = None) -> Points:
    """Check points and bring them into shape.

    Args:
        side_px: measured sides in px, ascending.
        values: one for each; or series × sides.
        relative_std: standard deviation of each value divided by it; None where unknown.

    Raises:
        PointsError: sides that do not ascend, values that are not positive, or shapes that differ.
    """
    side = np.atleast_1d(np.asarray(side_px, np.float64))
    observed = np.atleast_2d(np.asarray(values, np.float64))
    if observed.shape[-1] != len(side):
        raise PointsError(f"{observed.shape[-1]} values at {len(side)} resolutions")
    if len(side) == 0 or np.any(np.diff(side) <= 0) or side[0] <= 0:
        raise PointsError("resolutions must be positive and ascend, each once")
    if not np.all(np.isfinite(observed)) or np.any(observed <= 0):
        raise PointsError("values that are not positive follow no law of growth")
    if relative_std is None:
        return Points(side, observed, np.ones_like(observed), variance_measured=False)
    std = np.broadcast_to(np.asarray(relative_std, np.float64), observed.shape)
    if not np.all(np.isfinite(std)) or np.any(std <= 0):
        raise PointsError("standard deviations must be positive")
    return Points(side, observed, std**2, variance_measured=True)


class FormFit(NamedTuple):
    """A case of a law, fitted without regard to signs.

    Attributes:
        form: the case.
        coefficients: series × coefficients, in units of y.
        triangle: R of the weighted design = QR: series × coefficients × coefficients.
        misfit: weighted sum of squared relative residuals of the law itself, of each series. Where
            the floor of the case and its branch do not meet between the resolutions that they are
            fitted to, this is the misfit of max(floor, branch), not of the two parts.
        admissible: whether no coefficient is negative, of each series.
        measured: scale of the terms.
    """

    form: Form
    coefficients: Floats
    triangle: Floats
    misfit: Floats
    admissible: np.typing.NDArray[np.bool_]
    measured: MeasuredRange

    def predict(self, side_px: Floats) -> Floats:
        """Series × sides."""
        return self.form.curve(self.coefficients, side_px, self.measured)

    def reach(self, side_px: Floats) -> Reach:
        """Return the sum of the terms, and how far it moves for a given loss of fit."""
        branch = self._reach(side_px, on_branch=True)
        if not self.form.on_floor:
            return branch
        floor = self._reach(side_px, on_branch=False)
        if self.form.branch_unseen:
            return floor
        higher = branch.predicted > floor.predicted
        return Reach(
            np.where(higher, branch.predicted, floor.predicted),
            np.where(higher, branch.variance, floor.variance),
            np.where(higher[..., np.newaxis], branch.direction, floor.direction),
        )

    def _reach(self, side_px: Floats, *, on_branch: bool) -> Reach:
        gradient = self.form.gradient(on_branch, side_px, self.measured)
        right = np.broadcast_to(gradient.T, (len(self.triangle), *gradient.T.shape))
        half = np.linalg.solve(np.swapaxes(self.triangle, 1, 2), right)
        direction = np.swapaxes(np.linalg.solve(self.triangle, half), 1, 2)
        return Reach(self.coefficients @ gradient.T, np.sum(half**2, axis=1), direction)


class Reach(NamedTuple):
    """Sum of the terms of a case at some sides: the prediction, for a law with a root its square.

    Attributes:
        predicted: series × sides.
        variance: of it, in units of the squared scatter: series × sides.
        direction: covariance of coefficients and sum in the same unit: series × sides ×
            coefficients.
    """

    predicted: Floats
    variance: Floats
    direction: Floats


def fit_form(form: Form, points: Points) -> FormFit:
    """Fit one case of a law by weighted least squares."""
    design = form.design(points.side_px, points.measured)
    # relative errors of a power are that many times as large
    sums = points.values**form.law.root
    spread = np.sqrt(points.relative_variance)
    weight = 1 / (form.law.root * sums * spread)
    orthogonal, triangle = np.linalg.qr(design[np.newaxis] * weight[..., np.newaxis])
    right = np.einsum("dmp,dm->dp", orthogonal, sums * weight)
    coefficients = np.linalg.solve(triangle, right[..., np.newaxis])[..., 0]
    fitted = form.curve(coefficients, points.side_px, points.measured)
    misfit = np.sum(((fitted / points.values - 1) / spread) ** 2, axis=1)
    # a coefficient that is zero up to rounding is not negative
    negligible = 1e-12 * np.max(sums, axis=1, keepdims=True)
    admissible = np.all(coefficients >= -negligible, axis=1)
    return FormFit(form, coefficients, triangle, misfit, admissible, points.measured)


def fit_law(law: Law, points: Points) -> list[FormFit]:
    """Fit all cases of a law that leave a degree of freedom or none.

    Cases whose coefficients the points do not determine are left out: with one resolution on the
    branch of a floor, its terms cannot be told apart.
    """
    return [
        fit_form(form, points) for form in forms(law, points.count) if _determined(form, points)
    ]


def _determined(form: Form, points: Points) -> bool:
    """Whether the terms are independent at the resolutions; weights do not change that."""
    if form.coefficients > points.count:
        return False
    design = form.design(points.side_px, points.measured)
    return bool(np.linalg.matrix_rank(design) == form.coefficients)


def best_forms(fits: list[FormFit]) -> tuple[np.typing.NDArray[np.int64], Floats]:
    """Which case of a law fits best without a negative coefficient, and its misfit.

    For a law without floor this is the solution of non-negative least squares: it is the least
    squares solution in the coefficients that it does not set to zero.

    Returns:
        index into `fits` and misfit, of each series; the misfit is infinite if there is none.
    """
    misfit = np.array([np.where(fit.admissible, fit.misfit, np.inf) for fit in fits])
    index = np.argmin(misfit, axis=0)
    return index, np.take_along_axis(misfit, index[np.newaxis], axis=0)[0]


class Bounds(NamedTuple):
    """Lower and upper end, series × sides."""

    low: Floats
    high: Floats


class Scatter(NamedTuple):
    """How far measurements lie from their law; one value for each series.

    Attributes:
        variance: of a relative residual, in units of the relative variances of the points.
        new_variance: relative variance of one more measurement, in the same unit.
        quantile: of Student's t, of the level asked for.
        degrees_of_freedom: observations beyond the coefficients of the law it was taken from.
    """

    variance: Floats
    new_variance: Floats
    quantile: Floats
    degrees_of_freedom: Floats


def envelope(fits: Sequence[FormFit], budgets: Floats, scatter: Scatter, side_px: Floats) -> Bounds:
    """The lowest and the highest value that a case with a budget left allows.

    Args:
        fits: cases of laws.
        budgets: what each may lose, in squared scatters: cases × series; nothing if not positive.
        scatter: of the measurements.
        side_px: where.

    Returns:
        bounds, not below 0; nan for a series in which no case has a budget.
    """
    shape = (budgets.shape[1], len(side_px))
    low, high = np.full(shape, np.inf), np.full(shape, -np.inf)
    for fit, budget in zip(fits, budgets, strict=True):
        if np.any(budget > 0):
            one = _of_case(fit, budget, scatter, side_px)
            low, high = np.fmin(low, one.low), np.fmax(high, one.high)
    nothing = low > high
    return Bounds(np.where(nothing, np.nan, np.maximum(low, 0)), np.where(nothing, np.nan, high))


def _of_case(fit: FormFit, budget: Floats, scatter: Scatter, side_px: Floats) -> Bounds:
    """Bounds of one case; nan where it has none."""
    reach, root = fit.reach(side_px), fit.form.law.root
    radius = np.sqrt(np.maximum(budget, 0))[:, np.newaxis]
    variance = scatter.variance[:, np.newaxis]
    # one more measurement of the sum, whose relative error is `root` times that of the quantity
    new = scatter.new_variance[:, np.newaxis] * (root * reach.predicted) ** 2
    deviation = np.sqrt(variance * (reach.variance + new))
    if fit.form.branch_unseen:
        bounds = _of_unseen_branch(fit, reach.predicted, radius * deviation, side_px)
        return _where(budget[:, np.newaxis] > 0, bounds)
    step = (radius * variance / deviation)[..., np.newaxis] * reach.direction
    center = fit.coefficients[:, np.newaxis, :]
    negligible = 1e-9 * np.max(np.abs(center), axis=2, keepdims=True)
    up = np.all(center + step >= -negligible, axis=2)
    down = np.all(center - step >= -negligible, axis=2)
    # where a full step would make a coefficient negative, the estimate itself still counts
    alone = _if(fit.admissible[:, np.newaxis], radius * np.sqrt(variance * new))
    low = np.fmin(_if(down, reach.predicted - radius * deviation), reach.predicted - alone)
    high = np.fmax(_if(up, reach.predicted + radius * deviation), reach.predicted + alone)
    bounds = Bounds(np.maximum(low, 0) ** (1 / root), np.maximum(high, 0) ** (1 / root))
    return _where(budget[:, np.newaxis] > 0, bounds)


def _of_unseen_branch(fit: FormFit, floor: Floats, half_width: Floats, side_px: Floats) -> Bounds:
    """A branch that starts below the floor rises at most with its highest power."""
    beyond = np.maximum(side_px / fit.measured.largest_px, 1) ** (2 * fit.form.law.degree)
    return Bounds(floor - half_width, (floor + half_width) * beyond)


def _if(condition: np.typing.NDArray[np.bool_], values: Floats) -> Floats:
    return np.where(condition, values, np.nan)


def _where(condition: np.typing.NDArray[np.bool_], bounds: Bounds) -> Bounds:
    return Bounds(_if(condition, bounds.low), _if(condition, bounds.high))
