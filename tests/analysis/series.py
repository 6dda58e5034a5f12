"""Made-up series of times with known truth, one series per row."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

BURN_IN = 200
"""Values dropped until an autoregression has forgotten its start."""


def noise(
    random: np.random.Generator, series: int, images: int, autocorrelation: float = 0.0
) -> Floats:
    """Normal noise of mean 0 and standard deviation 1, a first-order autoregression."""
    from scipy.signal import lfilter

    shocks = random.normal(size=(series, images + BURN_IN))
    values = lfilter([1.0], [1.0, -autocorrelation], shocks, axis=1)[:, BURN_IN:]
    return np.asarray(values * np.sqrt(1 - autocorrelation**2), np.float64)


def times(
    random: np.random.Generator,
    series: int,
    images: int,
    autocorrelation: float = 0.0,
    *,
    variation: float = 0.03,
) -> Floats:
    """Times of mean 1 with a coefficient of variation."""
    return 1 + variation * noise(random, series, images, autocorrelation)
