"""What many ratios say: their median, with an interval that assumes no distribution.

A round in which another program took the CPU yields a wild ratio. The median does not follow it,
and neither does the interval, whose ends are two of the ratios themselves.
"""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median

from scipy.stats import binom

CONFIDENCE = 0.95


def median_interval(ratios: Iterable[float]) -> tuple[float, float, float]:
    """Median, and the ends of its confidence interval of at least 95 %.

    The ends are order statistics: the number of values below the true median is binomial with
    probability 1/2 (Conover, Practical Nonparametric Statistics, section 3.2).

    Args:
        ratios: of the rounds, at least six.

    Raises:
        ValueError: fewer than six ratios have no such interval.
    """
    ordered = sorted(ratios)
    count = len(ordered)
    below = int(binom.ppf((1 - CONFIDENCE) / 2, count, 0.5))
    if binom.cdf(below - 1, count, 0.5) > (1 - CONFIDENCE) / 2:
        below -= 1
    if below < 1:
        raise ValueError(f"{count} rounds are too few for an interval; take at least 6")
    return median(ordered), ordered[below - 1], ordered[count - below]
