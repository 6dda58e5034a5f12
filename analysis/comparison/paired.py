"""Ratios of rows side by side, whose p-values all rows of a call have a say in."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from ..statistics.ratio import Ratio, Statistic, compared_values, ratio_of_means
from .moderation import moderated


class Compared(NamedTuple):
    """Two rows side by side.

    Attributes:
        statistic: what is compared of them.
        ratio: of what is compared; None where one of them has no time. Its interval is that of the
            two runs, its p-value that of `analysis.comparison.moderation`.
        p_degrees: degrees of freedom of its p-value; None without one, or where nothing scatters.
    """

    statistic: Statistic
    ratio: Ratio | None
    p_degrees: float | None


def compare_rows(
    pairs: Sequence[Mapping[Hashable, Any]], suffixes: tuple[str, str]
) -> list[Compared]:
    """Ratios of all pairs of rows of `runtime.csv`.

    Args:
        pairs: of a call: rows that are judged together.
        suffixes: behind the columns of the row that is divided by, and of the other.
    """
    values = [compared_values(pair, suffixes) for pair in pairs]
    sides = [
        moderated(
            [(one[1], one[2])[number] for one in values],
            [_processes(pair, one[0], suffix) for pair, one in zip(pairs, values, strict=True)],
        )
        for number, suffix in enumerate(suffixes)
    ]
    found = []
    for (statistic, below, above), *pulled in zip(values, *sides, strict=True):
        if below is None or above is None:
            found.append(Compared(statistic, None, None))
            continue
        ratio = ratio_of_means(below, above)
        by_all = ratio_of_means(*(one or below for one in pulled))
        degrees = [one.degrees for one in pulled if one and one.standard_error]
        has_p = by_all.p_value is not None and degrees
        found.append(
            Compared(
                statistic,
                ratio._replace(p_value=by_all.p_value),
                min(degrees) if has_p else None,
            )
        )
    return found


def _processes(pair: Mapping[Hashable, Any], statistic: str, suffix: str) -> tuple[float, ...]:
    """The statistic of each process; empty where there is one, or tables made before."""
    listed = pair[f"process_{statistic}s_ms{suffix}"]
    return () if pd.isna(listed) else tuple(float(value) for value in str(listed).split())
