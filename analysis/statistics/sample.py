"""What a sample of times says about its mean."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class SampleSummary(NamedTuple):
    """Statistics of one sample; None where the sample is too small to tell.

    Attributes:
        size: number of values.
        mean: arithmetic mean.
        ci95_low: lower end of the 95 % confidence interval of the mean (Student's t, size − 1
            degrees of freedom); None below two values.
        ci95_high: its upper end.
        median: middle value.
        std: standard deviation of the sample, with size − 1 in the denominator.
        minimum: smallest value.
        maximum: largest value.
    """

    size: int
    mean: float | None
    ci95_low: float | None
    ci95_high: float | None
    median: float | None
    std: float | None
    minimum: float | None
    maximum: float | None


def summarize_sample(values: npt.NDArray[np.float64]) -> SampleSummary:
    """Summarise a sample of any size, an empty one too.

    The interval assumes independent values; images measured one after another come close to it.
    """
    count = len(values)
    if count == 0:
        return SampleSummary(0, None, None, None, None, None, None, None)
    mean = float(np.mean(values))
    std = float(np.std(values, ddof=1)) if count > 1 else None
    half_width = _half_width(std, count) if std is not None else None
    return SampleSummary(
        size=count,
        mean=mean,
        ci95_low=None if half_width is None else mean - half_width,
        ci95_high=None if half_width is None else mean + half_width,
        median=float(np.median(values)),
        std=std,
        minimum=float(np.min(values)),
        maximum=float(np.max(values)),
    )


def _half_width(std: float, count: int) -> float:
    from scipy.stats import t

    return float(t.ppf(0.975, count - 1)) * std / math.sqrt(count)
