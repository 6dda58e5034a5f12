"""Rivals of the intervals in `analysis.statistics`: the bootstraps one would think of first."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

RESAMPLINGS = 500
TAILS = (0.025, 0.975)


def block_bootstrap(values: Floats, random: np.random.Generator) -> tuple[float, float]:
    """Percentile interval of the mean, from circular blocks of automatic length."""
    size, length = len(values), block_length(values)
    blocks = -(-size // length)
    sums = np.concatenate([[0.0], np.cumsum(np.concatenate([values, values[:length]]))])
    starts = random.integers(size, size=(RESAMPLINGS, blocks))
    means = (sums[starts + length] - sums[starts]).sum(axis=1) / (blocks * length)
    low, high = np.quantile(means, TAILS)
    return float(low), float(high)


def block_length(values: Floats) -> int:
    """Length of circular blocks after Politis and White (Econometric Reviews 23, 2004).

    With the correction of Patton, Politis and White (28, 2009), which for circular blocks leaves
    D = 4/3·g(0)². Flat-top window; its width is twice the lag after which autocorrelations are
    negligible.
    """
    size = len(values)
    deviations = values - values.mean()
    most = int(np.ceil(np.sqrt(size))) + max(5, int(np.ceil(np.sqrt(np.log10(size)))))
    lags = np.arange(min(most, size - 1) + 1)
    covariances = np.array([deviations[lag:] @ deviations[: size - lag] for lag in lags]) / size
    if covariances[0] == 0:
        return 1
    run = max(5, int(np.ceil(np.sqrt(np.log10(size)))))
    small = np.abs(covariances / covariances[0]) < 2 * np.sqrt(np.log10(size) / size)
    negligible = [lag for lag in lags[:-run] if small[lag + 1 : lag + 1 + run].all()]
    width = min(2 * max(negligible[0] if negligible else lags[-1], 1), int(lags[-1]))
    window = np.clip(2 * (1 - lags[1 : width + 1] / width), 0, 1)
    tapered = window * covariances[1 : width + 1]
    spectrum = covariances[0] + 2 * tapered.sum()
    slope = 2 * float(np.sum(lags[1 : width + 1] * tapered))
    longest = int(np.ceil(min(3 * np.sqrt(size), size / 3)))
    if spectrum <= 0:
        return longest
    best = (2 * slope**2 / (4 / 3 * spectrum**2)) ** (1 / 3) * size ** (1 / 3)
    return int(np.clip(round(best), 1, longest))


def hierarchical_bootstrap(processes: Floats, random: np.random.Generator) -> tuple[float, float]:
    """Percentile interval of the mean: processes are drawn, then images within each.

    Args:
        processes: one row of images per process.
        random: source of the draws.
    """
    count, images = processes.shape
    drawn = random.integers(count, size=(RESAMPLINGS, count))
    within = random.integers(images, size=(RESAMPLINGS, count, images))
    means = processes[drawn[..., np.newaxis], within].mean(axis=(1, 2))
    low, high = np.quantile(means, TAILS)
    return float(low), float(high)
