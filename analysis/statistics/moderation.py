"""What the scatter between processes of many runs says of the scatter of each.

Three processes know their own standard deviation to a factor of two, so that among many comparisons
hardly anything can be told. The runs of a study are alike, though: the same machine, the same way
of starting processes. Their variances are therefore taken as draws from one distribution, a scaled
inverse χ² with d₀ degrees of freedom around s₀², and the variance of each run becomes the mean of
its own and of s₀², weighted by their degrees of freedom, which add up (Smyth, "Linear models and
empirical Bayes methods for assessing differential expression in microarray experiments",
Statistical Applications in Genetics and Molecular Biology 3, 2004, sections 3 and 6.2).

d₀ follows from how much more the logarithms of the variances scatter than chance explains. Here it
follows from that excess plus `EXCESS_ERRORS` of its standard errors, because a d₀ that is too
large makes false alarms, and one that is too small only costs power.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np

FEWEST_RUNS = 8
"""Below this many runs their variances are not compared: each keeps its own."""

EXCESS_ERRORS = 2.0
"""Standard errors that are added to the excess scatter of the logarithms."""


class CommonVariance(NamedTuple):
    """The distribution that the variances of runs are drawn from.

    Attributes:
        variance: s₀².
        degrees: d₀, at most the sum of what was given.
    """

    variance: float
    degrees: float

    def moderated(self, variance: float, degrees: float) -> tuple[float, float]:
        """The variance of one run in the light of all, and its degrees of freedom."""
        both = self.degrees + degrees
        return (self.degrees * self.variance + degrees * variance) / both, both


def common_variance(
    variances: Sequence[float], degrees: Sequence[float], runs: Sequence[Hashable]
) -> CommonVariance | None:
    """The distribution that variances are drawn from.

    Args:
        variances: estimates of relative errors, so that they are comparable.
        degrees: degrees of freedom of each.
        runs: the run that each is of. What is of one run errs together and counts once.

    Returns:
        None for fewer than `FEWEST_RUNS` runs with variances above zero.
    """
    from scipy.special import digamma, polygamma

    known = [one for one in zip(variances, degrees, runs, strict=True) if min(one[:2]) > 0]
    independent = len({run for *_, run in known})
    if independent < FEWEST_RUNS:
        return None
    half = np.array([d / 2 for _, d, _ in known])
    logs = np.log([one for one, *_ in known]) - digamma(half) + np.log(half)
    squares = (logs - logs.mean()) ** 2 * independent / (independent - 1)
    chance = polygamma(1, half)
    # the error of a mean of squares: fourth cumulant and variance of a log χ²
    error = float(np.sqrt(np.mean(polygamma(3, half) + 2 * chance**2) / independent))
    excess = max(float(np.mean(squares - chance)), 0) + EXCESS_ERRORS * error
    freedom = 2 * _inverse_trigamma(excess)
    variance = float(np.exp(logs.mean() + digamma(freedom / 2) - np.log(freedom / 2)))
    return CommonVariance(variance, min(freedom, float(2 * half.mean()) * independent))


def _inverse_trigamma(value: float) -> float:
    from scipy.optimize import brentq
    from scipy.special import polygamma

    return float(brentq(lambda x: polygamma(1, x) - value, 1e-3, 1e9))
