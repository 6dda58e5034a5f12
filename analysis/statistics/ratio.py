"""Ratio of two means with its interval: how many times as long one thing takes as another.

The logarithms of the means are compared, or those of medians, in the same way. The standard error
of a mean's logarithm is the standard error of the mean over the mean (delta method), those of the
two add up as squares, and the interval is that of Student's t with the degrees of freedom of Welch
and Satterthwaite (Welch, "The generalization of 'Student's' problem when several different
population variances are involved", Biometrika 34, 1947). On logarithms b/a and a/b have the same
interval, one the reciprocal of the other.

The p-value has the degrees of freedom of the smaller sample instead, which bounds it from above
whatever the two errors are (Mickey and Brown, "Bounds on the distribution functions of the
Behrens-Fisher statistic", Annals of Mathematical Statistics 37, 1966). Welch's are an approximation
that holds for intervals of 95 %, and not for the small p-values that many comparisons at once ask
for: where the sample with the larger error is the smaller one, and its error is estimated too small
by chance, they become many. In 28 comparisons of equal things, with three noisy processes against
ten quiet ones, they give a false alarm in 25 of 100 instead of 5.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Any, Literal, NamedTuple

from adscale.mean_error import t_quantile


class Mean(NamedTuple):
    """A mean or median of times above zero, and how far it is known.

    Attributes:
        value: the mean or median.
        standard_error: of it, in its unit; None where the sample is too small to tell.
        degrees: degrees of freedom of that error; at least 1 where there is one.
    """

    value: float
    standard_error: float | None
    degrees: float


class Ratio(NamedTuple):
    """A ratio of means.

    Attributes:
        value: of the means.
        low: lower end of its 95 % interval; None, like all that follows, where a mean has no error.
        high: upper end.
        degrees: degrees of freedom of the interval; None, too, where neither mean has scattered.
        p_value: two-sided, of the ratio being 1; an upper bound.
    """

    value: float
    low: float | None = None
    high: float | None = None
    degrees: float | None = None
    p_value: float | None = None


Statistic = Literal["median", "mean"]
"""What is compared: a rare slow image moves the mean, and hardly the median."""


def compared_statistic(pair: Mapping[Hashable, Any], suffixes: tuple[str, str]) -> Statistic:
    """What is compared of two rows side by side: medians if both are known, else means."""
    medians = [mean_of_row(pair, suffix=suffix, statistic="median") for suffix in suffixes]
    known = all(one is not None and one.standard_error is not None for one in medians)
    return "median" if known else "mean"


def mean_of_row(
    row: Mapping[Hashable, Any],
    prefix: str = "",
    suffix: str = "",
    statistic: Statistic = "mean",
) -> Mean | None:
    """The mean of a row of `runtime.csv`, as `analysis.statistics.summary` has estimated it.

    Args:
        row: its columns `mean_ms`, `standard_error_ms` and `degrees_of_freedom`, or those of the
            median; a missing value is None or NA.
        prefix: before their names, in a row of two runs side by side.
        suffix: behind them.
        statistic: whether the median instead.

    Returns:
        None without a mean above zero.
    """
    import pandas as pd

    def number(name: str) -> float | None:
        value = row[f"{prefix}{name}{suffix}"]
        return None if pd.isna(value) else float(value)

    of = "median_" if statistic == "median" else ""
    mean, error = number(f"{statistic}_ms"), number(f"{of}standard_error_ms")
    degrees = number(f"{of}degrees_of_freedom")
    if mean is None or mean <= 0:
        return None
    if error is None or degrees is None:
        return Mean(mean, None, 0)
    return Mean(mean, error, degrees)


def ratio_of_means(below: Mean, above: Mean) -> Ratio:
    """`above` over `below`, which are independent.

    Args:
        below: the mean that is divided by.
        above: the one that is divided.
    """
    value = above.value / below.value
    if below.standard_error is None or above.standard_error is None:
        return Ratio(value)
    shares = [mean.standard_error / mean.value for mean in (below, above)]  # type: ignore[operator]
    error = math.hypot(*shares)
    if error == 0:
        return Ratio(value, value, value, None, float(value == 1))
    degrees = welch_satterthwaite(shares, [below.degrees, above.degrees])
    reach = math.exp(t_quantile(degrees) * error)
    fewest = min(mean.degrees for mean in (below, above) if mean.standard_error)
    p_value = two_sided_p_value(math.log(value) / error, fewest)
    return Ratio(value, value / reach, value * reach, degrees, p_value)


def welch_satterthwaite(errors: list[float], degrees: list[float]) -> float:
    """Degrees of freedom of the sum of two independent estimates of a variance.

    Args:
        errors: the standard errors of two numbers that are added; one is above 0.
        degrees: degrees of freedom of each.
    """
    largest = max(errors)
    parts = [(error / largest) ** 2 for error in errors]  # no fourth power of a small number
    squares = sum(part**2 / count for part, count in zip(parts, degrees, strict=True))
    return sum(parts) ** 2 / squares


def two_sided_p_value(t: float, degrees: float) -> float:
    """Chance that Student's t lies as far from 0 on either side."""
    from scipy.special import stdtr

    return float(2 * stdtr(degrees, -abs(t)))
