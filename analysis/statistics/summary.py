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

Percentiles and their intervals are those of `adscale.percentiles`. Where the level of a process
wanders (`adscale.wandering`), its intervals are wider, or there are none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from adscale.mean_error import Floats, t_quantile
from adscale.percentiles import is_within, percentile_estimates, sample_percentiles
from adscale.wandering import Wandering, find_wandering, interval_cosines, series_error

from .unseen import unseen_share


class Estimate(NamedTuple):
    """A statistic with its 95 % confidence interval.

    Attributes:
        value: the statistic.
        low: lower end; None, like `high`, where the sample is too small to have an interval, or
            its level wanders.
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
        standard_error: of the mean; None where the mean has no interval.
        degrees_of_freedom: of the Student's t of the mean's interval; None without one.
        median: middle value.
        median_standard_error: of the median; None where it has no interval.
        median_degrees_of_freedom: of the Student's t that it comes with.
        p90: 90th percentile; None, like the next two, where it would be the largest time.
        p95: 95th percentile.
        p99: 99th percentile.
        std: standard deviation of the images within a process (n − 1); None below two images.
        process_std: standard deviation of the processes' means; None with one process.
        minimum: smallest time of all.
        maximum: largest time of all.
        effective_images: independent images that would know the mean as well; fewer than `images`
            where neighbours are alike, and never more. None below two images, where the mean has
            no interval because its level wanders, and with several processes.
        unseen: what events too rare to be seen could add to the mean, see `unseen_share`.
    """

    processes: int
    images: int
    mean: Estimate
    standard_error: float | None
    degrees_of_freedom: int | None
    median: Estimate
    median_standard_error: float | None
    median_degrees_of_freedom: int | None
    p90: Estimate | None
    p95: Estimate | None
    p99: Estimate | None
    std: float | None
    process_std: float | None
    minimum: float
    maximum: float
    effective_images: float | None
    unseen: float


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
    wandering = find_wandering(values)
    error = series_error(values, wandering) if len(values) > 1 else None
    if len(values) > 1:
        std = float(values.std(ddof=1))
    if std is not None and error is not None:
        standard_error = float(error.standard_error)
        estimate = _by_student(mean, standard_error, error.degrees)
        effective = float(len(values))
        if standard_error > 0:  # what scatters against its neighbours is no more than its images
            effective = min(effective, (std / standard_error) ** 2)
    median, p90, p95, p99 = _percentiles_of_one(values, wandering)
    median_error, median_degrees = _median_error(median, len(values), wandering)
    return SeriesSummary(
        processes=1,
        images=len(values),
        mean=estimate,
        standard_error=None if error is None else float(error.standard_error),
        degrees_of_freedom=None if error is None else error.degrees,
        median=median,
        median_standard_error=median_error,
        median_degrees_of_freedom=median_degrees,
        p90=p90,
        p95=p95,
        p99=p99,
        std=std,
        process_std=None,
        minimum=float(values.min()),
        maximum=float(values.max()),
        effective_images=effective,
        unseen=unseen_share(len(values)) * median.value,
    )


def _percentiles_of_one(
    values: Floats, wandering: Wandering
) -> tuple[Estimate, Estimate | None, Estimate | None, Estimate | None]:
    median, *upper = (
        Estimate(*one) for one in percentile_estimates(values, PERCENTILES, wandering)
    )
    p90, p95, p99 = (
        one if is_within(len(values), share) else None
        for one, share in zip(upper, PERCENTILES[1:], strict=True)
    )
    return median, p90, p95, p99


def _median_error(
    median: Estimate, size: int, wandering: Wandering
) -> tuple[float | None, int | None]:
    """Standard error and degrees of freedom of the median of one process; None without interval.

    The number of images behind the interval has been reduced by (z/t)², so that half of its width
    is t standard errors.
    """
    if median.low is None or median.high is None:
        return None, None
    degrees = min(interval_cosines(size, wandering))  # those of the more cautious interval
    return (median.high - median.low) / 2 / t_quantile(degrees), degrees


def _summarize_several(series: Sequence[Floats]) -> SeriesSummary:
    means = np.array([values.mean() for values in series])
    percentiles = np.array([sample_percentiles(values, PERCENTILES) for values in series])
    stds = [values.std(ddof=1) for values in series if len(values) > 1]
    fewest = min(len(values) for values in series)
    median, *upper = (
        _over_processes(percentiles[:, column], _suffices(fewest, share))
        for column, share in enumerate(PERCENTILES)
    )
    p90, p95, p99 = (
        one if is_within(fewest, share) else None
        for one, share in zip(upper, PERCENTILES[1:], strict=True)
    )
    median_error = None
    if median.low is not None:
        median_error = float(percentiles[:, 0].std(ddof=1)) / len(means) ** 0.5
    return SeriesSummary(
        processes=len(series),
        images=sum(len(values) for values in series),
        mean=_over_processes(means),
        standard_error=float(means.std(ddof=1)) / len(means) ** 0.5,
        degrees_of_freedom=len(means) - 1,
        median=median,
        median_standard_error=median_error,
        median_degrees_of_freedom=None if median_error is None else len(means) - 1,
        p90=p90,
        p95=p95,
        p99=p99,
        std=float(np.mean(stds)) if stds else None,
        process_std=float(means.std(ddof=1)),
        minimum=float(min(values.min() for values in series)),
        maximum=float(max(values.max() for values in series)),
        effective_images=None,
        unseen=unseen_share(sum(len(values) for values in series)) * median.value,
    )


def _suffices(size: int, share: float) -> bool:
    beyond = size * min(share, 1 - share)
    return beyond >= FEWEST_BEYOND_PER_PROCESS - 1e-9  # 20·(1 − 0.9) is 1.9999…


def _over_processes(numbers: Floats, with_interval: bool = True) -> Estimate:
    """Mean of one number per process; its interval is Student's, over the processes."""
    mean, count = float(numbers.mean()), len(numbers)
    if not with_interval:
        return Estimate(mean)
    return _by_student(mean, float(numbers.std(ddof=1)) / count**0.5, count - 1)


def _by_student(mean: float, standard_error: float, degrees: int) -> Estimate:
    """An estimate with Student's interval."""
    half_width = t_quantile(degrees) * standard_error
    return Estimate(mean, mean - half_width, mean + half_width)
