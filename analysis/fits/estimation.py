"""Laws fitted to points, for one series or for thousands at once: misfit, price, choice, band.

Relative errors are what is alike at all resolutions: a point counts by 1 / (y² · v), v its relative
variance. All arrays begin with the series; a single one is a batch of one. Weighting by what was
observed instead of what is true costs a bias of the order of the squared relative error (0.1 % at
3 % noise).

The scatter σ is that of the law with the least misfit per degree of freedom; where variances were
measured, it is not below them. The score of a case is its misfit in σ² plus a price for each
complication of its law; the law with the lowest is chosen. The price is set so that a law with one
complication more which fits no better is in the band with `LEAST_ERRORS` standard errors of its own
prediction, and with more, the better it fits: with √(LEAST_ERRORS² + gain), gain being the misfit
that the complication removes; and with its whole interval from the gain on at which it becomes the
best itself. That is a profile likelihood over all laws, with a price: the band holds what no law
can say without fitting worse than the best by more than Student's t allows.

A case that may lose `budget` units of fit (squared scatters) moves its prediction by up to
√budget · √(variance of the prediction + variance of one more measurement), as any least squares fit
does, provided that no coefficient becomes negative on the way. If one would, the case in which it
is zero is another in the list and speaks for itself. So the largest and the smallest prediction
over all cases are those of the laws with coefficients that cannot be negative, in closed form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .models import POWER, TWO_SLOPES, Case, Floats, Law, Sides, cases

ROUNDING = 1e-6
"""Relative scatter below which two numbers are taken as equal: counted bytes have none at all."""

LEAST_ERRORS = 0.5
"""Standard errors with which a more complicated law is in the band that fits no better."""

LEVEL = 0.95
"""Share of new measurements that the interval and the band are to hold."""

TIE = 1.0
"""Difference of scores, in σ², below which the law with fewer complications is chosen."""

MISFIT_LEVEL = 0.99
"""Share of draws of a law in the list in which the misfit of the best law is called chance."""


PRIOR_FREEDOM = 4.0
"""Degrees of freedom with which the mean variance of the series stands beside that of a point.

Relative errors are alike at all resolutions, and a variance of three values says little: as a
weight of its own it would let chance decide which points count (Smyth 2004, moderated variances).
"""


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
        degrees_of_freedom: of all these variances together, infinite where they are known; 0
            where they were not measured.
    """

    side_px: Floats
    values: Floats
    relative_variance: Floats
    degrees_of_freedom: float

    @property
    def measured(self) -> Sides:
        """The sides, which scale the terms of laws."""
        return Sides(tuple(float(side) for side in self.side_px))

    def without_largest(self, left_out: int) -> Points:
        """The points below the largest resolutions."""
        end = len(self.side_px) - left_out
        return Points(
            self.side_px[:end],
            self.values[:, :end],
            self.relative_variance[:, :end],
            self.degrees_of_freedom,
        )


def make_points(
    side_px: object, values: object, relative_std: object = None, degrees_of_freedom: object = None
) -> Points:
    """Check points and bring them into shape.

    Args:
        side_px: measured sides in px, ascending.
        values: one for each; or series × sides.
        relative_std: standard deviation of each value divided by it; None where unknown.
        degrees_of_freedom: of each of these or of all, positive; None where they are known exactly.

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
        return Points(side, observed, np.ones_like(observed), 0)
    std = np.broadcast_to(np.asarray(relative_std, np.float64), observed.shape)
    if not np.all(np.isfinite(std)) or np.any(std <= 0):
        raise PointsError("standard deviations must be positive")
    if degrees_of_freedom is None:
        return Points(side, observed, std**2, np.inf)
    of_each = np.broadcast_to(np.asarray(degrees_of_freedom, np.float64), observed.shape[-1:])
    pooled = (std**2 @ of_each / np.sum(of_each))[:, np.newaxis]
    variance = (of_each * std**2 + PRIOR_FREEDOM * pooled) / (of_each + PRIOR_FREEDOM)
    return Points(side, observed, variance, float(np.sum(of_each)))


class Fit(NamedTuple):
    """A case of a law, fitted without regard to signs.

    Attributes:
        case: which.
        coefficients: series × coefficients, in units of y.
        covariance: of them, in squared scatters: series × coefficients × coefficients.
        misfit: weighted sum of squared relative residuals of the law itself, of each series. Where
            the parts of the case do not meet between the resolutions that they are fitted to, this
            is the misfit of the larger of both, not of the two parts.
        admissible: whether no coefficient is negative that cannot be, of each series.
    """

    case: Case
    coefficients: Floats
    covariance: Floats
    misfit: Floats
    admissible: npt.NDArray[np.bool_]

    def predict(self, side_px: Floats) -> Floats:
        """Series × sides."""
        return self.case.curve(self.coefficients, side_px)


def fit_case(case: Case, points: Points) -> Fit:
    """Fit one case of a law by weighted least squares."""
    design, root = case.design(points.side_px), case.law.root
    # relative errors of a power are that many times as large
    sums, spread = points.values**root, np.sqrt(points.relative_variance)
    weight = 1 / (root * sums * spread)
    orthogonal, triangle = np.linalg.qr(design * weight[..., np.newaxis])
    inverse = np.linalg.inv(triangle)
    found = np.einsum("dpq,dmq,dm->dp", inverse, orthogonal, sums * weight)
    misfit = np.sum(((case.curve(found, points.side_px) / points.values - 1) / spread) ** 2, axis=1)
    # a coefficient that is zero up to rounding is not negative
    least = -1e-12 * np.max(sums, axis=1, keepdims=True)
    admissible = np.all((found >= least) | case.may_be_negative, axis=1)
    return Fit(case, found, inverse @ np.swapaxes(inverse, 1, 2), misfit, admissible)


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
        discrepancy: relative deviation of the points from all laws beyond what was measured; 0
            where chance explains it, or nothing was measured.
    """

    variance: Floats
    new_variance: Floats
    quantile: Floats
    discrepancy: Floats


def scatter_of(fits: Sequence[Fit], points: Points) -> Scatter:
    """The scatter around the law that explains the points best.

    Laws that bend where they like follow the noise, too: their scatter counts where its variance is
    less than a quarter of any other's.
    """
    from scipy.stats import f, t

    count, known = len(points.side_px), points.degrees_of_freedom
    able = [law for law in dict.fromkeys(fit.case.law for fit in fits) if len(law.symbols) < count]
    spare = np.array([count - len(law.symbols) for law in able], np.float64)
    misfit = np.array([np.where(fit.admissible, fit.misfit, np.inf) for fit in fits])
    ratio = np.array([
        np.min(misfit[[fit.case.law is law for fit in fits]], axis=0) / (count - len(law.symbols))
        for law in able
    ])  # fmt: skip
    weight = np.array([4 if law in (TWO_SLOPES, POWER) else 1 for law in able])[:, np.newaxis]
    least = np.argmin(weight * ratio, axis=0)
    scatter = np.take_along_axis(ratio, least[np.newaxis], axis=0)[0]
    new, chance = np.mean(points.relative_variance, axis=1), np.min(ratio, axis=0)
    limit = np.full(len(able), np.inf)
    if known:
        limit = np.asarray(f.ppf(MISFIT_LEVEL, spare, min(known, 1e9)), np.float64)
    excess = np.where(chance > limit[np.argmin(ratio, axis=0)], np.maximum(chance - 1, 0), 0)
    return Scatter(
        variance=np.maximum(scatter, 1.0 if known else ROUNDING**2),
        new_variance=new,
        quantile=np.asarray(t.ppf(0.5 + LEVEL / 2, spare), np.float64)[least],
        discrepancy=np.sqrt(excess * new),
    )


class Weighed(NamedTuple):
    """Laws weighed against each other.

    Attributes:
        points: what they were fitted to.
        laws: those that have a case.
        fits: all cases of them.
        scatter: around the best.
        best: index of the best case of each law: laws × series.
        score: misfit in σ² plus price of that case: laws × series.
        chosen: index of the law with the lowest score, of each series.
        budgets: what each case may lose before it is refuted, in σ²: cases × series.
        shares: of its interval that each law may use for the band, 0 to 1: laws × series.
    """

    points: Points
    laws: tuple[Law, ...]
    fits: list[Fit]
    scatter: Scatter
    best: npt.NDArray[np.int64]
    score: Floats
    chosen: npt.NDArray[np.int64]
    budgets: Floats
    shares: Floats

    def predict(self, side_px: Floats) -> Floats:
        """Estimates of the best case of each law: laws × series × sides."""
        values = np.array([fit.predict(side_px) for fit in self.fits])
        return np.asarray(np.take_along_axis(values, self.best[..., np.newaxis], axis=0))

    def predicted(self, side_px: Floats) -> Floats:
        """Estimates of the law chosen: series × sides."""
        of_laws = self.predict(side_px)
        return np.asarray(np.take_along_axis(of_laws, self.chosen[np.newaxis, :, np.newaxis], 0)[0])

    def band(self, side_px: Floats) -> Bounds:
        """Where one more measurement lies, whichever of the laws not refuted is true."""
        bounds = envelope(self.fits, self.budgets, self.scatter, side_px)
        wider = 1 + self.scatter.discrepancy[:, np.newaxis] * beyond(side_px, self.points.measured)
        return Bounds(bounds.low / wider, bounds.high * wider)


def beyond(side_px: Floats, measured: Sides) -> Floats:
    """How many times as large a deviation from the law may be there as at the points.

    Residuals that a line in ln n leaves grow beyond the points like the Chebyshev polynomial of
    the second degree: no parabola that is bounded at the points grows faster.
    """
    middle = np.sqrt(measured.px[0] * measured.px[-1])
    x = np.log(side_px / middle) / np.log(measured.px[-1] / middle)
    return np.asarray(2 * np.maximum(x**2 - 1, 0), np.float64)


def fit_laws(laws: Sequence[Law], points: Points) -> list[Fit]:
    """Fit all cases; laws with more coefficients than there are resolutions are left out."""
    able = [law for law in laws if len(law.symbols) <= len(points.side_px)]
    return [fit_case(case, points) for law in able for case in cases(law, points.measured)]


def weigh(laws: Sequence[Law], points: Points) -> Weighed:
    """Fit laws, choose one, and say how much of each is in the band.

    Raises:
        ValueError: no law has a degree of freedom.
    """
    fits = fit_laws(laws, points)
    scatter = scatter_of(fits, points)
    price = scatter.quantile**2 - LEAST_ERRORS**2
    by_case = np.array([fit.misfit / scatter.variance + price * fit.case.price for fit in fits])
    admissible = np.where([fit.admissible for fit in fits], by_case, np.inf)
    fitted = tuple(dict.fromkeys(fit.case.law for fit in fits))
    of_law = np.array([[fit.case.law is law for fit in fits] for law in fitted])
    of_laws = np.where(of_law[..., np.newaxis], admissible, np.inf)
    score = np.min(of_laws, axis=1)
    tied = score <= np.min(score, axis=0) + TIE
    # rounded, lest laws that are the same on these points are told apart by the last digit
    rank = 1e3 * np.array([[law.complications] for law in fitted]) + np.round(score, 6)
    chosen = np.argmin(np.where(tied, rank, np.inf), axis=0)
    # measured from the law chosen, so that it has its whole interval where it won a tie
    of_chosen = np.take_along_axis(score, chosen[np.newaxis], axis=0)[0]
    # a law that bends where it likes follows the noise, too: to refute others it pays once more
    doubt = price * np.array([[law in (TWO_SLOPES, POWER)] for law in fitted])
    squared, reference = scatter.quantile**2, np.maximum(of_chosen, np.min(score + doubt, axis=0))
    budgets = np.minimum(squared + reference - by_case, squared + TIE)
    shares = np.sqrt(np.clip(1 - (score - reference) / squared, 0, 1))
    best = np.argmin(of_laws, axis=1)
    return Weighed(points, fitted, fits, scatter, best, score, chosen, budgets, shares)


def envelope(fits: Sequence[Fit], budgets: Floats, scatter: Scatter, side_px: Floats) -> Bounds:
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
        some = budget > 0
        if np.any(some):
            one = _of_case(fit, budget, scatter, side_px)
            low[some] = np.fmin(low, one.low)[some]
            high[some] = np.fmax(high, one.high)[some]
    nothing = low > high
    return Bounds(np.where(nothing, np.nan, np.maximum(low, 0)), np.where(nothing, np.nan, high))


def _of_case(fit: Fit, budget: Floats, scatter: Scatter, side_px: Floats) -> Bounds:
    """Bounds of one case; nan where it has none."""
    case, root = fit.case, fit.case.law.root
    parts = case.parts(side_px)
    sums = fit.coefficients @ np.swapaxes(parts, 1, 2)
    larger = np.argmax(sums, axis=0)
    total = np.max(sums, axis=0)
    gradient = np.swapaxes(parts, 0, 1)[np.arange(len(side_px)), larger]
    direction = np.einsum("dpq,dsq->dsp", fit.covariance, gradient)
    radius = np.sqrt(np.maximum(budget, 0))[:, np.newaxis]
    variance = scatter.variance[:, np.newaxis]
    # one more measurement of the sum, whose relative error is `root` times that of the quantity
    new = scatter.new_variance[:, np.newaxis] * (root * total) ** 2
    of_law = np.maximum(np.sum(direction * gradient, axis=2), 0)
    deviation = np.sqrt(variance * (of_law + new))
    if case.branch_unseen:
        # a branch that starts below the floor rises at most with its highest power
        most = np.maximum(side_px / case.measured.px[-1], 1) ** (2 * case.law.degree)
        return Bounds(total - radius * deviation, (total + radius * deviation) * most)
    step = radius * variance / np.where(deviation > 0, deviation, np.inf)
    center = fit.coefficients[:, np.newaxis, :]
    least = -1e-9 * np.max(np.abs(center), axis=2, keepdims=True)
    up, down = (
        np.all(
            (center + way * step[..., np.newaxis] * direction >= least) | case.may_be_negative,
            axis=2,
        )
        for way in (1, -1)
    )
    # where a full step would make a coefficient negative, the estimate itself still counts
    alone = np.where(fit.admissible[:, np.newaxis], radius * np.sqrt(variance * new), np.nan)
    low = np.fmin(np.where(down, total - radius * deviation, np.nan), total - alone)
    high = np.fmax(np.where(up, total + radius * deviation, np.nan), total + alone)
    return Bounds(np.maximum(low, 0) ** (1 / root), np.maximum(high, 0) ** (1 / root))


def doubtful_branch(weighed: Weighed) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Whether the branch of a floor may be unseen, or seen at fewer than three resolutions.

    Returns:
        both, of each series: whether a case of that kind is not refuted.
    """
    credible = (weighed.budgets > 0) & np.array([fit.admissible for fit in weighed.fits])
    unseen = np.array([fit.case.branch_unseen for fit in weighed.fits])
    untested = np.array([fit.case.branch_untested for fit in weighed.fits]) & ~unseen
    return np.any(credible[unseen], axis=0), np.any(credible[untested], axis=0)
