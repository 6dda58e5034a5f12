"""Where one more measurement may lie, given how far each case of each law is believed.

A case that may lose `budget` units of fit (squared scatters) moves its prediction by up to
√budget · √(variance of the prediction + variance of one more measurement), as any least squares
fit does, provided that no coefficient becomes negative on the way. If one would, the case in which
it is zero is another in the list and speaks for itself. So the largest and the smallest prediction
over all cases are those of the laws with coefficients that cannot be negative, in closed form.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .estimation import FormFit
from .models import Floats


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
