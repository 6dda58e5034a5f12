"""Numbers of the measured times of one or several processes: one definition per number.

With one process the images are the sample, and the intervals allow for autocorrelation.

With several processes the processes are the sample. Memory layout, the order of initialisation and
the choice of algorithms are drawn anew by each process and then kept, so that images of one
process, however many, say nothing of the next one. Each number is therefore the mean, over the
processes, of that number in each process, with Student's t over the processes (Kalibera and Jones,
"Rigorous benchmarking in reasonable time", ISMM 2013, the interval from the means of the highest
level of repetition). What happens within a process, autocorrelation too, is contained in how the
processes differ.

The hierarchical bootstrap, which those authors use for ratios, was tried and not taken: where
processes differ it draws from too few values, and holds the truth in 72 of 100 cases with three
processes, in 92 with ten (`make bench ARGS=statistics`).

Percentiles of a series and intervals for them that hold under autocorrelation.

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
(Woodruff, JASA 47, 1952; Korn and Graubard, Survey Methodology 24, 1998).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from adscale.mean_error import Floats, cosine_count, mean_error, t_quantile


class Estimate(NamedTuple):
    """A statistic with its 95 % confidence interval.

    Attributes:
        value: the statistic.
        low: lower end; None, like `high`, where the sample is too small to have an interval.
        high: upper end.
    """

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def half_width_share(self) -> float | None:
        """Half of the interval's width as a share of the value: 0.01 for ±1 %."""
        if self.low is None or self.high is None or self.value == 0:
            return None
        return (self.high - self.low) / 2 / abs(self.value)


FEWEST_BEYOND = 7.0
"""Independent images expected beyond a percentile, after (z/t)², for its interval to be given.

Decided by the size of the sample alone: an interval that is left out when the data look bad
would no longer hold 95 % where it is given. At 7 it exists in 99 of 100 series up to an
autocorrelation of 0.6.
"""

_BISECTIONS = 36


def percentile_estimates(values: Floats, shares: Sequence[float]) -> list[Estimate]:
    """Percentiles of one series, with 95 % intervals.

    Args:
        values: times in the order of measurement, at least one.
        shares: the percentiles as shares: 0.5 for the median.

    Returns:
        One estimate per share; without an interval where the sample is too small to have one.
    """
    points = sample_percentiles(values, shares)
    wanted = [index for index, share in enumerate(shares) if has_interval(len(values), share)]
    estimates = [Estimate(float(point)) for point in points]
    if not wanted:
        return estimates
    chosen = np.asarray(shares, np.float64)[wanted]
    sizes = effective_sizes(values, points[wanted])
    lows, highs = _interval_levels(sizes, chosen)
    ordered = np.sort(values)
    for index, low, high in zip(wanted, lows, highs, strict=True):
        ends = _order_statistic(ordered, low), _order_statistic(ordered, high)
        if ends[0] is not None and ends[1] is not None:
            estimates[index] = Estimate(float(points[index]), ends[0], ends[1])
    return estimates


def sample_percentiles(values: Floats, shares: Sequence[float]) -> Floats:
    """Percentiles of a sample, by rank (n + 1/3)·p + 1/3."""
    return np.asarray(np.quantile(values, shares, method="median_unbiased"), np.float64)


def has_interval(size: int, share: float) -> bool:
    """Whether a percentile of one series of this size gets an interval.

    From 29 images for the median, 97 for p90, 174 for p95, 755 for p99.
    """
    if size < 2:
        return False
    beyond = size * min(share, 1 - share)
    return beyond * _price_of_estimating(cosine_count(size)) >= FEWEST_BEYOND


def effective_sizes(values: Floats, points: Floats) -> Floats:
    """How many independent images say as much about each percentile.

    Args:
        values: the series.
        points: its percentiles.
    """
    size = len(values)
    below = (values <= points[:, np.newaxis]).astype(np.float64)
    held = below.mean(axis=1)
    error = mean_error(below)
    independent = held * (1 - held) / (size - 1)  # variance of the mean of independent 0 and 1
    varies = independent > 0  # not where a tie makes the percentile the largest value
    effect = np.divide(error.standard_error**2, independent, out=np.ones(len(held)), where=varies)
    price = _price_of_estimating(error.degrees)
    return np.asarray(size / np.maximum(effect, 1e-6) * price)


def _price_of_estimating(degrees: int) -> float:
    """(z/t)²: the share of a sample's size that is left when its variance has to be estimated."""
    from scipy.special import ndtri

    return float((ndtri(0.975) / t_quantile(degrees)) ** 2)


def _interval_levels(sizes: Floats, shares: Floats) -> tuple[Floats, Floats]:
    """Levels u at which x_(u·(n + 1)) is below, or above, the percentile with 97.5 %.

    For m effective images that is where Beta(u·(m + 1), (1 − u)·(m + 1)) has 97.5 % or 2.5 % of its
    probability below p. The function falls with u, so halving an interval finds it.
    """
    from scipy.special import betainc

    ends = []
    for below in (0.975, 0.025):
        low, high = np.full(len(sizes), 1e-12), np.full(len(sizes), 1 - 1e-12)
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            left = betainc((sizes + 1) * middle, (sizes + 1) * (1 - middle), shares) > below
            low, high = np.where(left, middle, low), np.where(left, high, middle)
        ends.append((low + high) / 2)
    return ends[0], ends[1]


def _order_statistic(ordered: Floats, level: float) -> float | None:
    """Value at rank level·(n + 1), interpolated; None beyond the smallest or largest value."""
    rank = level * (len(ordered) + 1)
    if not 1 <= rank <= len(ordered):
        return None
    return float(np.interp(rank, np.arange(1, len(ordered) + 1), ordered))


PERCENTILES = (0.5, 0.9, 0.95, 0.99)
"""Median, p90, p95, p99."""

FEWEST_BEYOND_PER_PROCESS = 2.0
"""Images of each process expected beyond a percentile, for the interval from several processes.

With fewer, the percentile of a process is little more than its largest value, and its bias does
not become smaller with the number of processes.
"""


@dataclass(frozen=True)
class SeriesSummary:
    """Statistics of measured times, in the unit of the times.

    Attributes:
        processes: processes with at least one image.
        images: images of all processes together.
        mean: arithmetic mean.
        median: middle value.
        p90: 90th percentile.
        p95: 95th percentile.
        p99: 99th percentile.
        std: standard deviation of the images within a process (n − 1); None below two images.
        process_std: standard deviation of the processes' means; None with one process.
        minimum: smallest time of all.
        maximum: largest time of all.
        effective_images: independent images that would know the mean as well; fewer than `images`
            where neighbours are alike. None below two images and with several processes.
    """

    processes: int
    images: int
    mean: Estimate
    median: Estimate
    p90: Estimate
    p95: Estimate
    p99: Estimate
    std: float | None
    process_std: float | None
    minimum: float
    maximum: float
    effective_images: float | None


def summarize_series(processes: Sequence[Floats]) -> SeriesSummary:
    """Summarise the times of one range.

    Args:
        processes: for each process its times in the order of measurement. Those without images
            are left out.

    Raises:
        ValueError: there is no image at all, or a time is not a finite number.
    """
    series = [np.asarray(values, np.float64) for values in processes if len(values)]
    if not series:
        raise ValueError("there are no times to summarise")
    if not all(np.isfinite(values).all() for values in series):
        raise ValueError("a time is missing or not finite")
    return _summarize_one(series[0]) if len(series) == 1 else _summarize_several(series)


def _summarize_one(values: Floats) -> SeriesSummary:
    mean = float(values.mean())
    std, effective, estimate = None, None, Estimate(mean)
    if len(values) > 1:
        std = float(values.std(ddof=1))
        error = mean_error(values)
        half_width, standard_error = float(error.half_width), float(error.standard_error)
        estimate = Estimate(mean, mean - half_width, mean + half_width)
        effective = (std / standard_error) ** 2 if standard_error > 0 else float(len(values))
    median, p90, p95, p99 = percentile_estimates(values, PERCENTILES)
    return SeriesSummary(
        processes=1,
        images=len(values),
        mean=estimate,
        median=median,
        p90=p90,
        p95=p95,
        p99=p99,
        std=std,
        process_std=None,
        minimum=float(values.min()),
        maximum=float(values.max()),
        effective_images=effective,
    )


def _summarize_several(series: Sequence[Floats]) -> SeriesSummary:
    means = np.array([values.mean() for values in series])
    percentiles = np.array([sample_percentiles(values, PERCENTILES) for values in series])
    stds = [values.std(ddof=1) for values in series if len(values) > 1]
    fewest = min(len(values) for values in series)
    median, p90, p95, p99 = (
        _over_processes(percentiles[:, column], _suffices(fewest, share))
        for column, share in enumerate(PERCENTILES)
    )
    return SeriesSummary(
        processes=len(series),
        images=sum(len(values) for values in series),
        mean=_over_processes(means),
        median=median,
        p90=p90,
        p95=p95,
        p99=p99,
        std=float(np.mean(stds)) if stds else None,
        process_std=float(means.std(ddof=1)),
        minimum=float(min(values.min() for values in series)),
        maximum=float(max(values.max() for values in series)),
        effective_images=None,
    )


def _suffices(size: int, share: float) -> bool:
    beyond = size * min(share, 1 - share)
    return beyond >= FEWEST_BEYOND_PER_PROCESS - 1e-9  # 20·(1 − 0.9) is 1.9999…


def _over_processes(numbers: Floats, with_interval: bool = True) -> Estimate:
    """Mean of one number per process; its interval is Student's, over the processes."""
    mean, count = float(numbers.mean()), len(numbers)
    if not with_interval:
        return Estimate(mean)
    half_width = t_quantile(count - 1) * float(numbers.std(ddof=1)) / count**0.5
    return Estimate(mean, mean - half_width, mean + half_width)
