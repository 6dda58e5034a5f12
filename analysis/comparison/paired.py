"""Ratios of rows side by side; errors from several processes in the light of all runs."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

from ..statistics.moderation import common_variance
from ..statistics.ratio import (
    Mean,
    Ratio,
    Statistic,
    compared_statistic,
    mean_of_row,
    ratio_of_means,
)

Record = Mapping[Hashable, Any]
"""Two rows of `runtime.csv` side by side; what they share has no suffix."""


class Paired(NamedTuple):
    """Two rows side by side.

    Attributes:
        statistic: what is compared of them.
        ratio: of the second over the first; None where one of them has no time.
    """

    statistic: Statistic
    ratio: Ratio | None


def pair_ratios(records: Sequence[Record], suffixes: tuple[str, str]) -> list[Paired]:
    """Ratios of all pairs of a call.

    Args:
        records: the pairs.
        suffixes: behind the columns of the row that is divided by, and of the other.
    """
    statistics = [compared_statistic(record, suffixes) for record in records]
    below, above = (_means(records, statistics, suffix) for suffix in suffixes)
    return [
        Paired(statistic, ratio_of_means(a, b) if a and b else None)
        for statistic, a, b in zip(statistics, below, above, strict=True)
    ]


def column_of(record: Record, name: str, suffix: str) -> Any:
    """A column of one of the two rows."""
    return record[f"{name}{suffix}"] if f"{name}{suffix}" in record else record[name]


def _means(
    records: Sequence[Record], statistics: Sequence[Statistic], suffix: str
) -> list[Mean | None]:
    """Means or medians of one side, moderated by clock and statistic."""
    means = [
        mean_of_row(record, suffix=suffix, statistic=statistic)
        for record, statistic in zip(records, statistics, strict=True)
    ]
    groups: dict[tuple[str, Statistic], list[int]] = {}
    for number, (record, mean, statistic) in enumerate(
        zip(records, means, statistics, strict=True)
    ):
        several = mean is not None and column_of(record, "processes", suffix) > 1
        if several and mean is not None and mean.standard_error:
            clock = str(column_of(record, "clock", suffix))
            groups.setdefault((clock, statistic), []).append(number)
    for numbers in groups.values():
        _moderate(means, records, numbers, suffix)
    return means


def _moderate(
    means: list[Mean | None], records: Sequence[Record], numbers: Sequence[int], suffix: str
) -> None:
    """Replace means of a group, of several processes each, by those with moderated errors."""
    # of one process each, since the error of a mean falls with their number
    counts = [float(column_of(records[number], "processes", suffix)) for number in numbers]
    known = [_known(means[number]) for number in numbers]
    shares = [
        mean.standard_error / mean.value  # type: ignore[operator]
        for mean in known
    ]
    variances = [share**2 * count for share, count in zip(shares, counts, strict=True)]
    labels = ("device", "method", "variant", "resolution")
    runs = [
        tuple(column_of(records[number], name, suffix) for name in labels) for number in numbers
    ]
    common = common_variance(variances, [mean.degrees for mean in known], runs)
    if common is None:
        return
    for number, mean, count, variance in zip(numbers, known, counts, variances, strict=True):
        both, degrees = common.moderated(variance, mean.degrees)
        means[number] = Mean(mean.value, mean.value * math.sqrt(both / count), degrees)


def _known(mean: Mean | None) -> Mean:
    assert mean is not None
    return mean
