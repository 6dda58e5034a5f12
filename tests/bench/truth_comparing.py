"""Standard errors of few processes, and what comparisons find and miss.

Studies of 50 runs with three processes each: the mean of a process is off by an offset of its own,
and by 0.3 % that is left of the noise of its images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from adscale.mean_error import t_quantile
from analysis.comparison.sides import Side, pair_sides
from analysis.comparison.table import comparison_table
from analysis.fits.estimation import make_points, weigh
from analysis.fits.models import PIXELS
from tests.analysis.comparisons import Measured
from tests.bench.truth import Row

Floats = npt.NDArray[np.float64]
Offsets = Callable[[np.random.Generator, int], Floats]
"""Standard deviations of the offsets of so many runs."""

RUNS, STUDIES, LEFT = 50, 200, 0.003
IMAGES = 100


def constant(share: float) -> Offsets:
    """The same in all runs."""
    return lambda random, runs: np.full(runs, share)


def between(low: float, high: float) -> Offsets:
    """From one to the other, uniform in the logarithm."""
    return lambda random, runs: np.exp(random.uniform(np.log(low), np.log(high), runs))


def some(usual: float, other: float, share: float) -> Offsets:
    """Another one in a share of the runs."""
    return lambda random, runs: np.where(random.uniform(size=runs) < share, other, usual)


class Study(NamedTuple):
    """What is compared.

    Attributes:
        offsets: of the processes.
        difference: of B, as a share.
        different: runs that differ.
        processes: of each run.
    """

    offsets: Offsets
    difference: float = 0.0
    different: int = 0
    processes: int = 3


def verdicts(study: Study, studies: int) -> list[list[str]]:
    """Verdicts of the runs of many studies, those that differ first."""
    random = np.random.default_rng(7)
    template = Measured(sides_px=tuple(range(64, 64 + RUNS)), images=2, processes=2)
    found = []
    table = template.runtime(1)
    one_each = table[table["submodule"] == "image"].reset_index(drop=True)
    for _ in range(studies):
        scatter = study.offsets(random, RUNS)
        a, b = (_side(random, one_each, name, study, scatter) for name in "AB")
        found.append(list(comparison_table(*pair_sides(a, b, {}))["verdict"]))
    return found


def _side(
    random: np.random.Generator, rows: pd.DataFrame, name: str, study: Study, scatter: Floats
) -> Side:
    shape = (RUNS, study.processes)
    means = 1 + scatter[:, np.newaxis] * random.normal(size=shape)
    means += LEFT * random.normal(size=shape)
    if name == "B":
        means[: study.different] *= 1 + study.difference
    if study.processes > 1:
        errors = means.std(axis=1, ddof=1) / study.processes**0.5
        degrees = study.processes - 1
    else:  # what its images say of one process
        errors, degrees = np.full(RUNS, LEFT), 9
    runtime = rows.assign(
        mean_ms=means.mean(axis=1), standard_error_ms=errors, degrees_of_freedom=degrees,
        processes=study.processes, images=IMAGES * study.processes,
    )  # fmt: skip
    return replace(Measured(images=2).side(name, 1), runtime=runtime)


def comparing_rows(percent: int) -> Iterator[Row]:
    """What comparisons find and miss."""
    studies = max(STUDIES * percent // 100, 10)
    for share, processes, wanted in (
        (0.005, 3, 80), (0.01, 3, 80), (0.02, 3, None), (0.01, 5, 80), (0.02, 5, None),
    ):  # fmt: skip
        for difference, different in ((0.01, RUNS), (0.02, RUNS), (0.05, RUNS), (0.10, RUNS),
                                      (0.10, 5)):  # fmt: skip
            found = verdicts(Study(constant(share), difference, different, processes), studies)
            hits = _share([one == "slower" for row in found for one in row[:different]])
            goal = wanted if (difference, different) == (0.10, 5) else None
            yield Row(
                f"{share:.1%} between {processes} processes, {difference:.0%} in {different} of "
                f"{RUNS} runs",
                "found, %", "" if goal is None else f"≥ {goal}", f"{hits:.1f}",
                None if goal is None else hits >= goal,
            )  # fmt: skip
    for name, offsets in (
        ("1 % between processes", constant(0.01)),
        ("0.3 to 3 %", between(0.003, 0.03)),
        ("0.1 to 10 %", between(0.001, 0.1)),
        ("0.5 %, a fifth of the runs 3 %", some(0.005, 0.03, 0.2)),
        ("0.5 %, a twentieth 5 %", some(0.005, 0.05, 0.05)),
    ):
        for different in (0, 5):
            found = verdicts(Study(offsets, 0.10, different), studies)
            false = _share([bool({"slower", "faster"} & set(one[different:])) for one in found])
            yield Row(
                f"{name}, 10 % in {different} of {RUNS} runs, three processes",
                "studies with a false difference, %", "≤ 5", f"{false:.1f}", false <= 5,
            )  # fmt: skip
    for difference in (0.02, 0.03):
        found = verdicts(Study(constant(0.01), difference, RUNS, 1), studies)
        same = _share([one == "same" for row in found for one in row])
        yield Row(
            f"one process, 1 % between processes, {difference:.0%} in all runs",
            "called the same, %", "≤ 2.5", f"{same:.1f}", same <= 2.5,
        )  # fmt: skip


def error_rows(percent: int) -> Iterable[Row]:
    """A line in the pixels, 1 % between processes, predicted at 3000 px."""
    draws = max(600 * percent // 100, 60)
    sides = np.arange(256.0, 1025.0, 128.0)
    for processes in (3, 5):
        random = np.random.default_rng(8)
        truth = 0.1 + 0.9 * (sides / 1024) ** 2
        series = truth * (1 + 0.01 * random.normal(size=(draws, processes, len(sides))))
        means = series.mean(axis=1)
        errors = series.std(axis=1, ddof=1) / processes**0.5
        beyond = 0.1 + 0.9 * (3000 / 1024) ** 2
        new = beyond * (1 + 0.01 / processes**0.5 * random.normal(size=draws))
        ideal = _band(means, np.full_like(errors, 0.01 / processes**0.5) * truth, None)
        for name, known, degrees in (
            ("standard errors with their degrees of freedom", errors, processes - 1),
            ("as before: half-widths over 1.96", errors * t_quantile(processes - 1) / 1.96, None),
        ):
            low, high = _band(means, known, degrees)
            held = _share((low <= new) & (new <= high))
            wide = float(np.median((high - low) / (ideal[1] - ideal[0])))
            ours = degrees is not None
            yield Row(
                f"{processes} processes, {name}",
                "band holds, %; width over that of known errors",
                "≥ 93; ≤ 1.3" if ours else "",
                f"{held:.0f}; {wide:.2f}",
                (held >= 93 and wide <= 1.3) if ours else None,
            )


def _band(means: Floats, errors: Floats, degrees: int | None) -> tuple[Floats, Floats]:
    points = make_points(np.arange(256.0, 1025.0, 128.0), means, errors / means, degrees)
    band = weigh(PIXELS.laws, points).band(np.array([3000.0]))
    return band.low[:, 0], band.high[:, 0]


def _share(hits: Iterable[bool] | npt.NDArray[np.bool_]) -> float:
    return 100 * float(np.mean(list(hits)))
