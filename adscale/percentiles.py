"""Percentiles of a series and intervals for them that hold under autocorrelation.

Point: linear interpolation between the two nearest values at the rank (n + 1/3)·p + 1/3, whose
median bias is nil whatever the distribution (Hyndman and Fan, "Sample quantiles in statistical
packages", American Statistician 50, 1996, type 8, the one they recommend). For the median that is
the middle value.

Interval: between two order statistics, the ranks of which follow from the binomial distribution
alone, so that nothing is assumed about the distribution of the times. At a whole rank that is the
textbook's exact interval; between two ranks values are interpolated, and so the probability is 95 %
and not "at least 95 %" (fractional order statistics: Hutson, Journal of Applied Statistics 26,
1999: P(x_(r) ≤ p-quantile) is the distribution function of Beta(r, n + 1 − r) at p).

Under autocorrelation n images say as much as fewer independent ones. How many follows from the
series of 0 and 1 that tells whether an image lies below the percentile: the variance of its mean
under autocorrelation over that of independent images is the design effect, and n over it takes
the place of n in the formula. The design effect is itself an estimate with few degrees of freedom,
which (z/t)² pays for. That is how surveys make intervals for quantiles from dependent answers
(Woodruff, JASA 47, 1952; Korn and Graubard, Survey Methodology 24, 1998). Where the level wanders,
`adscale.wandering` says with how many cosines the variance is estimated, or that no interval holds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from .mean_error import Floats, cosine_count, mean_error, t_quantile
from .wandering import Wandering, find_wandering, interval_cosines

FEWEST_BEYOND = 7.0
"""Independent images expected beyond a percentile, after (z/t)², for its interval to be given.

Decided by the size of the sample alone, unless the level wanders: an interval that is left out when
the data look bad would no longer hold 95 % where it is given. At 7 it exists in 99 of 100 series.
"""

_BISECTIONS = 36


class Percentile(NamedTuple):
    """A percentile with its 95 % confidence interval.

    Attributes:
        value: the percentile.
        low: lower end; None, like `high`, where it has no interval.
        high: upper end.
    """

    value: float
    low: float | None = None
    high: float | None = None


def percentile_estimates(
    values: Floats, shares: Sequence[float], wandering: Wandering | None = None
) -> list[Percentile]:
    """Percentiles of one series, with 95 % intervals.

    Args:
        values: times in the order of measurement, at least one.
        shares: the percentiles as shares: 0.5 for the median.
        wandering: what `find_wandering` says of the series; it is asked where that is not given.

    Returns:
        One estimate per share; without an interval where the sample is too small to have one, or
        the level wanders: then the median at most has one.
    """
    xp, size = values.__array_namespace__(), len(values)
    points = sample_percentiles(values, shares)
    estimates = [Percentile(float(point)) for point in points]
    cosines = interval_cosines(size, wandering or find_wandering(values))
    wanted = [
        index
        for index, share in enumerate(shares)
        if has_interval(size, share) and (len(cosines) == 1 or share == 0.5)
    ]
    if not cosines or not wanted:
        return estimates
    chosen = xp.asarray([shares[index] for index in wanted])
    fewest = _fewest(values, points[xp.asarray(wanted)], cosines)
    lows, highs = interval_levels(fewest, chosen)
    ordered = xp.sort(values)
    for index, low, high in zip(wanted, lows, highs, strict=True):
        ends = _order_statistic(ordered, float(low)), _order_statistic(ordered, float(high))
        if ends[0] is not None and ends[1] is not None:
            estimates[index] = Percentile(estimates[index].value, *ends)
    return estimates


def median_half_widths(series: Floats, *, cautious: bool) -> list[float]:
    """Half of the width of the 95 % interval of each series' median; infinite where it has none.

    Where the level wanders and no interval would hold, twice the height that it wanders by.

    Args:
        series: one per row, in the order of measurement.
        cautious: whether twice as many cosines, of which the estimate scatters less, have a say.
    """
    xp, size = series.__array_namespace__(), series.shape[1]
    wanderings = [find_wandering(values) for values in series]
    sizes = []
    for values, found in zip(series, wanderings, strict=True):
        cosines = list(interval_cosines(size, found)) if has_interval(size, 0.5) else []
        if cautious and cosines:
            cosines.append(min(2 * cosine_count(size), size - 1))
        points = sample_percentiles(values, [0.5])
        sizes.append(float(_fewest(values, points, cosines)[0]) if cosines else 0.0)
    levels = interval_levels(xp.asarray(sizes), xp.full(len(sizes), 0.5))
    widths = []
    for values, known, found, *ends in zip(series, sizes, wanderings, *levels, strict=True):
        ordered = xp.sort(values)
        low, high = (_order_statistic(ordered, float(level)) for level in ends)
        if known > 0 and low is not None and high is not None:
            widths.append((high - low) / 2)
        elif found.refused:
            widths.append(2 * found.height_share * abs(float(xp.mean(values))))
        else:
            widths.append(math.inf)
    return widths


def _fewest(values: Floats, points: Floats, cosines: Sequence[int]) -> Floats:
    """Fewest effective images of each percentile, over some numbers of cosines."""
    xp = values.__array_namespace__()
    sizes = [effective_sizes(values, points, count) for count in cosines]
    fewest: Floats = xp.min(xp.stack(sizes), axis=0)
    return fewest


def sample_percentiles(values: Floats, shares: Sequence[float]) -> Floats:
    """Percentiles of a sample, by rank (n + 1/3)·p + 1/3."""
    xp, size = values.__array_namespace__(), len(values)
    ordered = xp.sort(values)
    ranks = [min(max(_rank(size, share), 1.0), float(size)) for share in shares]
    points: Floats = xp.asarray([_at_rank(ordered, rank) for rank in ranks], dtype=xp.float64)
    return points


def is_within(size: int, share: float) -> bool:
    """Whether a percentile of so many values lies below their largest one.

    From 7 values on for p90, 14 for p95, 67 for p99.
    """
    return _rank(size, share) < size - 1e-9


def has_interval(size: int, share: float) -> bool:
    """Whether a percentile of one series of this size gets an interval.

    From 29 images for the median, 97 for p90, 174 for p95, 755 for p99.
    """
    if size < 2:
        return False
    beyond = size * min(share, 1 - share)
    return beyond * _price_of_estimating(cosine_count(size)) >= FEWEST_BEYOND


def effective_sizes(values: Floats, points: Floats, cosines: int | None = None) -> Floats:
    """How many independent images say as much about each percentile.

    Args:
        values: the series.
        points: its percentiles.
        cosines: as for `mean_error`.
    """
    xp, size = values.__array_namespace__(), len(values)
    below = xp.asarray(values <= points[:, None], dtype=xp.float64)
    held = xp.mean(below, axis=1)
    error = mean_error(below, cosines)
    independent = held * (1 - held) / (size - 1)  # variance of the mean of independent 0 and 1
    varies = independent > 0  # not where a tie makes the percentile the largest value
    effect = xp.where(varies, error.standard_error**2 / xp.where(varies, independent, 1.0), 1.0)
    sizes: Floats = size / xp.clip(effect, 1e-6, None) * _price_of_estimating(error.degrees)
    return sizes


def _price_of_estimating(degrees: int) -> float:
    """(z/t)²: the share of a sample's size that is left when its variance has to be estimated."""
    from scipy.special import ndtri

    return float((ndtri(0.975) / t_quantile(degrees)) ** 2)


def interval_levels(sizes: Floats, shares: Floats) -> tuple[Floats, Floats]:
    """Levels u at which x_(u·(n + 1)) is below, or above, the percentile with 97.5 %.

    For m effective images that is where Beta(u·(m + 1), (1 − u)·(m + 1)) has 97.5 % or 2.5 % of its
    probability below p. The function falls with u, so halving an interval finds it.
    """
    from scipy.special import betainc

    xp, ends = sizes.__array_namespace__(), []
    for below in (0.975, 0.025):
        low, high = xp.full(len(sizes), 1e-12), xp.full(len(sizes), 1 - 1e-12)
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            left = betainc((sizes + 1) * middle, (sizes + 1) * (1 - middle), shares) > below
            low, high = xp.where(left, middle, low), xp.where(left, high, middle)
        ends.append((low + high) / 2)
    return ends[0], ends[1]


def _rank(size: int, share: float) -> float:
    return (size + 1 / 3) * share + 1 / 3


def _order_statistic(ordered: Floats, level: float) -> float | None:
    """Value at rank level·(n + 1), interpolated; None beyond the smallest or largest value."""
    rank = level * (len(ordered) + 1)
    return _at_rank(ordered, rank) if 1 <= rank <= len(ordered) else None


def _at_rank(ordered: Floats, rank: float) -> float:
    """Value at a rank from 1 to n, interpolated."""
    before = min(int(rank), len(ordered) - 1)
    if before < 1:
        return float(ordered[0])
    low, high = float(ordered[before - 1]), float(ordered[before])
    return min(low + (rank - before) * (high - low), high)  # rounding must not lead beyond
