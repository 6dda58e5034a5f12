"""Does each documented claim about numbers hold where the truth is known?

Series, laws and comparisons are simulated with a known truth, counted, and printed beside what is
wanted of them. The pages under docs claim only what this prints.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple


class Row(NamedTuple):
    """One experiment beside what is wanted of it.

    Attributes:
        experiment: what was simulated, with its size.
        number: what was counted, with its unit.
        wanted: in words, such as "at least 93".
        found: as counted.
        holds: whether found is as wanted; None where nothing is wanted and the row informs.
    """

    experiment: str
    number: str
    wanted: str
    found: str
    holds: bool | None


def _laws(percent: int) -> Iterable[Row]:
    from tests.bench import truth_laws

    return truth_laws.rows(percent)


def _series(percent: int) -> Iterable[Row]:
    from tests.bench import truth_series  # which needs Row

    return truth_series.series_rows(percent)


def _adaptive(percent: int) -> Iterable[Row]:
    from tests.bench import truth_series

    return truth_series.adaptive_rows(percent)


def _errors(percent: int) -> Iterable[Row]:
    from tests.bench import truth_comparing

    return truth_comparing.error_rows(percent)


def _comparing(percent: int) -> Iterable[Row]:
    from tests.bench import truth_comparing

    return truth_comparing.comparing_rows(percent)


PARTS: dict[str, Callable[[int], Iterable[Row]]] = {
    "series": _series,
    "adaptive": _adaptive,
    "laws": _laws,
    "standard errors": _errors,
    "comparing": _comparing,
}
"""Experiments by heading; each is given the number of draws in percent of its usual one."""


def main(rounds: int) -> None:
    """Prints all tables; the usual number of draws at 16 rounds."""
    for heading, rows in PARTS.items():
        print(f"\n### {heading}\n")
        print("| experiment | number | wanted | found | holds |")
        print("|---|---|---|---|---|")
        for row in rows(100 * rounds // 16):
            said = {True: "yes", False: "**no**", None: ""}[row.holds]
            print(f"| {row.experiment} | {row.number} | {row.wanted} | {row.found} | {said} |")
