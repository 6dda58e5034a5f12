"""Laws fitted to points, for one series or for thousands at once: misfit, price, choice, band.

Relative errors are what is alike at all resolutions: a point counts by 1 / (y² · v), v its relative
variance. Axes of arrays are, as far as they depend on them: laws or cases, series, resolutions,
coefficients; a single series is a batch of one. Weighting by what was observed
instead of what is true costs a bias of the order of the squared relative error (0.1 % at
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
from itertools import chain
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .models import FLEXIBLE, Cases, Floats, Law, Size, Sizes, cases_of, sizes_of

Flags = npt.NDArray[np.bool_]

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


class Points(NamedTuple):
    """Series measured at the same resolutions.

    Attributes:
        sizes: of the images, their pixels ascending.
        values: series × resolutions, positive.
        relative_variance: of each value, of the same shape, in units of the value squared. Ones
            where it was not measured: then only their ratios mean anything.
        degrees_of_freedom: of all these variances together, infinite where they are known; 0
            where they were not measured.
    """

    sizes: Sizes
    values: Floats
    relative_variance: Floats
    degrees_of_freedom: float

    def among(self, which: slice) -> Points:
        """Those at some of the sizes."""
        sizes = Sizes(*(one[which] for one in self.sizes))
        values, variance = self.values[:, which], self.relative_variance[:, which]
        return self._replace(sizes=sizes, values=values, relative_variance=variance)


def make_points(
    size: Size, values: object, relative_std: object = None, degrees_of_freedom: object = None
) -> Points:
    """Check points and bring them into shape.

    Args:
        size: sizes of the images, or sides of squares in px; their pixels ascend.
        values: one for each; or series × sizes.
        relative_std: standard deviation of each value divided by it; None where unknown.
        degrees_of_freedom: of each of these or of all, positive; None where they are known exactly.

    Raises:
        PointsError: pixels that do not ascend, values that are not positive, or shapes that differ.
    """
    sizes, observed = sizes_of(size), np.array(values, np.float64, ndmin=2)
    side = sizes.side_px
    if observed.shape[-1] != len(side):
        raise PointsError(f"{observed.shape[-1]} values at {len(side)} resolutions")
    if not len(side) or side[0] <= 0 or np.any(np.diff(side) < 0):
        raise PointsError("resolutions must be positive and ascend")
    if not np.all(np.isfinite(observed) & (observed > 0)):
        raise PointsError("values that are not positive follow no law of growth")
    if relative_std is None:
        return Points(sizes, observed, np.ones_like(observed), 0)
    std = np.broadcast_to(np.asarray(relative_std, np.float64), observed.shape)
    if not np.all(np.isfinite(std) & (std > 0)):
        raise PointsError("standard deviations must be positive")
    if degrees_of_freedom is None:
        return Points(sizes, observed, std**2, np.inf)
    of_each = np.broadcast_to(np.asarray(degrees_of_freedom, np.float64), side.shape)
    pooled = np.average(std**2, axis=1, weights=of_each)[:, np.newaxis]
    variance = (of_each * std**2 + PRIOR_FREEDOM * pooled) / (of_each + PRIOR_FREEDOM)
    return Points(sizes, observed, variance, float(np.sum(of_each)))


class Fits(NamedTuple):
    """Cases of laws, fitted without regard to signs.

    Attributes:
        cases: which; all arrays begin with them.
        coefficients: cases × series × coefficients, in units of y; zeros behind those of a case.
        covariance: of them, in squared scatters; one more axis of coefficients.
        misfit: weighted sum of squared relative residuals of the law itself: cases × series. Where
            the parts of the case do not meet between the resolutions that they are fitted to, this
            is the misfit of the larger of both, not of the two parts.
        admissible: whether no coefficient is negative: cases × series.
    """

    cases: Cases
    coefficients: Floats
    covariance: Floats
    misfit: Floats
    admissible: Flags

    @property
    def laws(self) -> tuple[Law, ...]:
        """Those that have a case."""
        return tuple(dict.fromkeys(case.law for case in self.cases.every))

    def best(self, laws: Sequence[Law], score: Floats) -> tuple[npt.NDArray[np.int64], Floats]:
        """The admissible case with the lowest score of each law, and that score: laws × series."""
        of_law = (self.cases.of("law") == np.array(laws)).T[..., np.newaxis]
        scores = np.where(of_law & self.admissible, score, np.inf)
        return np.argmin(scores, axis=1), np.min(scores, axis=1)

    def predict(self, which: npt.NDArray[np.int64], size: Size) -> Floats:
        """Estimates of some cases, given by their index: laws × series × sizes."""
        values = self.cases.curves(self.coefficients, size)
        return np.asarray(np.take_along_axis(values, which[..., np.newaxis], axis=0))


def fit_laws(laws: Sequence[Law], points: Points) -> Fits:
    """Fit all cases; laws with more coefficients than there are resolutions are left out."""
    return fit_cases(cases_of(laws, points.sizes), points)


def fit_cases(cases: Cases, points: Points) -> Fits:
    """Fit cases of laws at the sizes of the points by weighted least squares."""
    columns, root = cases.design[:, np.newaxis], cases.of("law.root")[..., np.newaxis]
    # relative errors of a power are that many times as large
    sums, spread = points.values**root, np.sqrt(points.relative_variance)
    weight = 1 / (root * sums * spread)
    orthogonal, triangle = np.linalg.qr(columns * weight[..., np.newaxis])
    unused = np.eye(columns.shape[-1]) * ~np.any(columns, axis=-2, keepdims=True)
    inverse = np.linalg.inv(triangle + unused) - unused
    found = np.einsum("cdpq,cdmq,cdm->cdp", inverse, orthogonal, sums * weight)
    residuals = cases.curves(found, points.sizes) / points.values - 1
    # a coefficient that is zero up to rounding is not negative
    least = -1e-12 * np.max(sums, axis=-1, keepdims=True)
    admissible, misfit = np.all(found >= least, axis=-1), np.sum((residuals / spread) ** 2, axis=-1)
    return Fits(cases, found, inverse @ inverse.swapaxes(2, 3), misfit, admissible)


class Bounds(NamedTuple):
    """Lower and upper end, series × sizes."""

    low: Floats
    high: Floats


class Scatter(NamedTuple):
    """How far measurements lie from their law; one value for each series.

    Attributes:
        variance: of a relative residual, in units of the relative variances of the points.
        new_variance: relative variance of one more measurement, in the same unit.
        quantile: of Student's t, of the level asked for.
        discrepancy: relative deviation of the points from all laws beyond what was measured, or,
            where nothing was, beyond that from a smooth curve; 0 where chance explains it.
    """

    variance: Floats
    new_variance: Floats
    quantile: Floats
    discrepancy: Floats


def scatter_of(fits: Fits, points: Points) -> Scatter:
    """The scatter around the law that explains the points best.

    Laws that bend where they like follow the noise, too: their scatter counts where its variance is
    less than a quarter of any other's.
    """
    from scipy.stats import f, t

    count, known = points.values.shape[1], points.degrees_of_freedom
    laws = [law for law in fits.laws if len(law.symbols) < count]
    spare = np.array([[count - len(law.symbols)] for law in laws])
    ratio = fits.best(laws, fits.misfit)[1] / spare
    least = np.argmin(np.where([[law in FLEXIBLE] for law in laws], 4, 1) * ratio, axis=0)
    new, chance = np.mean(points.relative_variance, axis=1), np.min(ratio, axis=0)
    noise, freedom = (1.0, min(known, 1e9)) if known else _around_a_smooth_curve(points)
    left, shared = spare[np.argmin(ratio, axis=0), 0], 0 if known else freedom
    more = np.maximum(left - shared, 1)  # what the curve leaves is in the misfit of a law, too
    is_beyond = chance * left - noise * shared > noise * more * f.ppf(MISFIT_LEVEL, more, freedom)
    excess = np.where(is_beyond, np.maximum(chance - noise, 0), 0)
    return Scatter(
        variance=np.maximum(ratio[least, np.arange(len(new))], 1 if known else ROUNDING**2),
        new_variance=new,
        quantile=np.asarray(t.ppf(0.5 + LEVEL / 2, spare[least, 0]), np.float64),
        discrepancy=np.sqrt(excess * new),
    )


def _around_a_smooth_curve(points: Points) -> tuple[Floats, int]:
    """Relative variance around a polynomial of the third degree in logarithms, and its freedom.

    It follows whatever bends slowly: what it leaves is noise, or steps. Numbers that are counted
    have neither, and are not told apart below the rounding.
    """
    powers = np.vander(np.log(points.sizes.side_px / points.sizes.side_px[-1]), 4)
    left = np.log(points.values) @ (np.eye(len(powers)) - powers @ np.linalg.pinv(powers))
    freedom = len(powers) - 4
    return np.maximum(np.sum(left**2, axis=1) / max(freedom, 1), ROUNDING**2), freedom


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
    fits: Fits
    scatter: Scatter
    best: npt.NDArray[np.int64]
    score: Floats
    chosen: npt.NDArray[np.int64]
    budgets: Floats
    shares: Floats

    def predict(self, size: Size) -> Floats:
        """Estimates of the best case of each law: laws × series × sizes."""
        return self.fits.predict(self.best, size)

    def predicted(self, size: Size) -> Floats:
        """Estimates of the law chosen: series × sizes."""
        return self.predict(size)[self.chosen, np.arange(len(self.chosen))]

    def spread(self, size: Size) -> Bounds:
        """Between the estimates of all laws that are not refuted."""
        estimates = np.where(self.shares[..., np.newaxis] > 0, self.predict(size), np.nan)
        return Bounds(np.fmin.reduce(estimates, axis=0), np.fmax.reduce(estimates, axis=0))

    def interval(self, size: Size) -> Bounds:
        """Where one more measurement lies if the law chosen is the true one."""
        best = self.best[self.chosen, np.arange(len(self.chosen))]
        least = np.take_along_axis(self.fits.misfit, best[np.newaxis], axis=0)
        of_law = self.fits.cases.of("law") == np.array(self.laws)[self.chosen]
        lost = (self.fits.misfit - least) / self.scatter.variance
        budgets = np.where(of_law, self.scatter.quantile**2 - lost, 0)
        return envelope(self.fits, budgets, self.scatter, size)

    def curves(self, size: Size) -> Floats:
        """Estimate of the law chosen, and ends of interval, spread, band: 7 × series × sizes."""
        bounds = (of(size) for of in (self.interval, self.spread, self.band))
        return np.stack([self.predicted(size), *chain(*bounds)])

    def band(self, size: Size) -> Bounds:
        """Where one more measurement lies, whichever of the laws not refuted is true."""
        low, high = envelope(self.fits, self.budgets, self.scatter, size)
        deviation = self.scatter.discrepancy[:, np.newaxis]
        wider = 1 + deviation * beyond(sizes_of(size).side_px, self.points.sizes.side_px)
        return Bounds(low / wider, high * wider)


def beyond(side_px: Floats, measured_px: Floats) -> Floats:
    """How many times as large a deviation from the law may be there as at the points.

    Residuals that a line in ln n leaves grow beyond the points like the Chebyshev polynomial of
    the second degree: no parabola that is bounded at the points grows faster.
    """
    middle = np.sqrt(measured_px[0] * measured_px[-1])
    x = np.log(side_px / middle) / np.log(measured_px[-1] / middle)
    return np.asarray(2 * np.maximum(x**2 - 1, 0), np.float64)


def weigh(laws: Sequence[Law], points: Points) -> Weighed:
    """Fit laws, choose one, and say how much of each is in the band.

    Raises:
        ValueError: no law has a degree of freedom.
    """
    fits = fit_laws(laws, points)
    scatter = scatter_of(fits, points)
    squared = scatter.quantile**2
    price = squared - LEAST_ERRORS**2
    by_case = fits.misfit / scatter.variance + price * fits.cases.of("price")
    best, score = fits.best(fits.laws, by_case)
    tied = score <= np.min(score, axis=0) + TIE
    # rounded, lest laws that are the same on these points are told apart by the last digit
    rank = 1e3 * np.array([[law.complications] for law in fits.laws]) + np.round(score, 6)
    chosen = np.argmin(np.where(tied, rank, np.inf), axis=0)
    # a law that bends where it likes follows the noise, too: to refute others it pays once more
    doubt = price * [[law in FLEXIBLE] for law in fits.laws]
    # measured from the law chosen, so that it has its whole interval where it won a tie
    reference = np.maximum(score[chosen, np.arange(len(chosen))], np.min(score + doubt, axis=0))
    budgets = np.minimum(squared + reference - by_case, squared + TIE)
    shares = np.sqrt(np.clip(1 - (score - reference) / squared, 0, 1))
    return Weighed(points, fits.laws, fits, scatter, best, score, chosen, budgets, shares)


def envelope(fits: Fits, budgets: Floats, scatter: Scatter, size: Size) -> Bounds:
    """The lowest and the highest value that a case with a budget left allows.

    Args:
        fits: cases of laws.
        budgets: what each may lose, in squared scatters: cases × series; nothing if not positive.
        scatter: of the measurements.
        size: where; numbers are sides of squares in px.

    Returns:
        bounds, not below 0; nan for a series in which no case has a budget.
    """
    sizes = sizes_of(size)
    cases, center, columns = (
        fits.cases,
        fits.coefficients[:, :, np.newaxis],
        fits.cases.parts(sizes),
    )
    names = ("law.root", "law.degree", "branch_unseen")
    root, degree, unseen = (cases.of(name)[..., np.newaxis] for name in names)
    lower, upper = np.einsum("cdk,cpsk->pcds", fits.coefficients, columns)
    total, is_upper = np.maximum(lower, upper), (upper > lower)[..., np.newaxis]
    gradient = np.where(is_upper, columns[:, 1, np.newaxis], columns[:, 0, np.newaxis])
    direction = np.einsum("cdpq,cdsq->cdsp", fits.covariance, gradient)
    variance, new = scatter.variance[:, np.newaxis], scatter.new_variance[:, np.newaxis]
    # one more measurement of the sum, whose relative error is `root` times that of the quantity
    noise = variance * new * (root * total) ** 2
    of_law = variance * np.maximum(np.sum(direction * gradient, axis=-1), 0)
    deviation = np.sqrt(of_law + noise)
    radius = np.sqrt(np.where(budgets > 0, budgets, np.nan))[..., np.newaxis]
    step = (radius * variance / np.where(deviation > 0, deviation, np.inf))[..., np.newaxis]
    least = -1e-9 * np.max(np.abs(center), axis=-1, keepdims=True)
    any_step = unseen[..., np.newaxis]
    # where a full step would make a coefficient negative, the estimate itself still counts
    alone = np.where(fits.admissible[..., np.newaxis], radius * np.sqrt(noise), np.nan)
    down, up = (
        np.fmax(alone, np.where(np.all(moved, axis=-1), radius * deviation, np.nan))
        for moved in ((center + way * step * direction >= least) | any_step for way in (-1, 1))
    )
    # a branch that starts below the floor rises at most with its highest power
    most = np.where(
        unseen, np.maximum(sizes.side_px / cases.measured.side_px[-1], 1) ** (2 * degree), 1
    )
    low, high = (np.maximum(end, 0) ** (1 / root) for end in (total - down, (total + up) * most))
    return Bounds(np.fmin.reduce(low, axis=0), np.fmax.reduce(high, axis=0))


def doubtful_branch(weighed: Weighed) -> tuple[Flags, Flags]:
    """Whether the branch of a floor may be unseen, or seen at fewer than three resolutions.

    Returns:
        both, of each series: whether a case of that kind is not refuted.
    """
    cases, credible = weighed.fits.cases, (weighed.budgets > 0) & weighed.fits.admissible
    unseen, untested = cases.of("branch_unseen"), cases.of("branch_untested")
    return np.any(credible & unseen, axis=0), np.any(credible & untested, axis=0)
