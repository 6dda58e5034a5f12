"""Half of the width of a mean's 95 % interval, while the series still grows.

The same interval that `analysis.statistics.mean_error` reports, where its reasons and sources are:
equal-weighted cosines (Lazarus, Lewis, Stock and Watson 2018) with a correction of first order for
autocorrelation. It is written a second time because `profiling` and `analysis` share files only; a
test holds the two against each other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.fft import dct
from scipy.special import stdtrit

Floats = npt.NDArray[np.float64]


def cosine_count(size: int) -> int:
    """Degrees of freedom of the interval: 0.4·n^(2/3), at least four, fewer than values."""
    return min(size - 1, max(4, round(0.4 * math.pow(size, 2 / 3))))


def mean_half_widths(series: Floats, cosines: Sequence[int]) -> Floats:
    """Half-width of the 95 % confidence interval of each mean.

    Args:
        series: one row per series, in the order of measurement; at least two values each.
        cosines: degrees of freedom of each interval; the reported one has `cosine_count`.

    Returns:
        One row per number of cosines, one column per series.
    """
    size, most = series.shape[-1], max(cosines)
    deviations = series - series.mean(axis=-1, keepdims=True)
    squares = dct(deviations, type=2, norm="ortho", axis=-1)[..., 1 : most + 1] ** 2
    rho = _autocorrelation(deviations)
    lag_one = rho[..., np.newaxis]
    waves = np.cos(np.pi * np.arange(1, most + 1) / size)
    spectra = squares * (1 + lag_one**2 - 2 * lag_one * waves) / (1 - lag_one) ** 2
    end_effect = 1 - 2 * rho * (1 - rho**size) / (size * (1 - rho**2))
    return np.array(
        [
            stdtrit(count, 0.975) * np.sqrt(spectra[..., :count].mean(axis=-1) * end_effect / size)
            for count in cosines
        ],
        np.float64,
    )


def _autocorrelation(deviations: Floats) -> Floats:
    """Lag-one autocorrelation, its bias of (1 + 3ρ)/n removed (Marriott and Pope 1954)."""
    size = deviations.shape[-1]
    squares = np.sum(deviations**2, axis=-1)
    products = np.sum(deviations[..., 1:] * deviations[..., :-1], axis=-1)
    rho = np.divide(products, squares, out=np.zeros_like(squares), where=squares > 0)
    return np.asarray(np.clip(rho + (1 + 3 * rho) / size, 0.0, 0.9))
