"""What the measured times of one or several processes say: one definition per number.

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
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .estimate import Estimate
from .mean_error import Floats, mean_error, t_quantile
from .percentile import percentile_estimates, sample_percentiles

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
