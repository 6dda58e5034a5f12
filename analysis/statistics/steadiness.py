"""Is the mean of a run a number that one may publish?

It is where the times have one level, or the next run would find another mean. The verdict looks
for a drift (`analysis.statistics.drift`) and for two groups of times (`analysis.statistics.modes`),
and counts outliers. Autocorrelation alone is no fault: the intervals allow for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from . import drift, modes
from .drift import DriftTest, drift_tests
from .mean_error import Floats
from .modes import Modes, find_modes

SteadinessVerdict = Literal["drifting", "bimodal", "too_short", "steady"]

FEWEST_IMAGES = max(drift.FEWEST_IMAGES, modes.FEWEST_IMAGES)
"""Images below which nothing is claimed."""

FENCE = 3.0
"""Quartile ranges beyond a quartile at which an outlier begins.

Tukey's outer fences (Exploratory Data Analysis, 1977, chapter 2): of normal times 1 in 425 000.
"""


@dataclass(frozen=True)
class Steadiness:
    """What a series of times looks like.

    Attributes:
        verdict: `drifting` before `bimodal`, since a step makes two groups too; `too_short` below
            `FEWEST_IMAGES`; else `steady`.
        evidence: why, in words and numbers.
        outliers: images beyond Tukey's outer fences; they are counted, and kept.
        tests: answers of the drift tests; empty where the series is too short.
        groups: the two groups of times, where there are two.
    """

    verdict: SteadinessVerdict
    evidence: str
    outliers: int
    tests: tuple[DriftTest, ...] = ()
    groups: Modes | None = None


def check_steadiness(values: Floats, series_count: int = 1) -> Steadiness:
    """Judge one series.

    Args:
        values: times in the order of measurement.
        series_count: how many series are looked at for one verdict, see `drift_tests`.
    """
    outliers = count_outliers(values)
    if len(values) < FEWEST_IMAGES:
        what = f"{len(values)} images are too few to tell a drift; {FEWEST_IMAGES} are needed"
        return Steadiness("too_short", what, outliers)
    tests, groups = tuple(drift_tests(values, series_count)), find_modes(values)
    found = [test for test in tests if test.found]
    verdict: SteadinessVerdict = "drifting" if found else "bimodal" if groups else "steady"
    if found:
        evidence = _drift_words(min(found, key=lambda test: test.p_value / test.limit))
    elif groups:
        evidence = _group_words(groups, float(values.mean()))
    else:
        evidence = _steady_words(tests)
    return Steadiness(verdict, evidence, outliers, tests, groups)


def check_processes(processes: Sequence[Floats]) -> Steadiness:
    """Judge the series of several processes: the worst of them, with their outliers together.

    Args:
        processes: for each process its times in the order of measurement.

    Raises:
        ValueError: there is no process.
    """
    if not processes:
        raise ValueError("there are no times to judge")
    found = [check_steadiness(values, len(processes)) for values in processes]
    order: list[SteadinessVerdict] = ["drifting", "bimodal", "too_short", "steady"]
    number = min(range(len(found)), key=lambda index: order.index(found[index].verdict))
    worst, outliers = found[number], sum(one.outliers for one in found)
    evidence = worst.evidence
    if len(found) > 1:
        same = sum(one.verdict == worst.verdict for one in found)
        evidence = f"{same} of {len(found)} processes, such as process {number + 1}: {evidence}"
    return Steadiness(worst.verdict, evidence, outliers, worst.tests, worst.groups)


def count_outliers(values: Floats) -> int:
    """Number of times beyond Tukey's outer fences."""
    if len(values) == 0:
        return 0
    low, high = np.quantile(values, (0.25, 0.75))
    reach = FENCE * (high - low)
    return int(np.sum((values < low - reach) | (values > high + reach)))


def _drift_words(test: DriftTest) -> str:
    size = f"{abs(test.change_share):.1%} {'slower' if test.change_share > 0 else 'faster'}"
    what = {
        "thirds": f"the last third of the images is {size} than the first",
        "trend": f"the images become {size} over the run",
        "step": f"from image {(test.after_images or 0) + 1} on they are {size} than before",
        "wander": f"the level of the times wanders up and down by {test.change_share:.1%}",
    }[test.kind]
    return f"{what} (p = {test.p_value:.2g}, alarm at {test.limit:.2g})"


def _group_words(groups: Modes, mean: float) -> str:
    distance = (groups.slow - groups.fast) / mean
    return (
        f"two groups of times with a gap between them: {groups.slow_share:.0%} of the images are "
        f"slower than the others by {distance:.1%} of the mean "
        f"(statistic {groups.statistic:.1f}, alarm at {groups.limit:.1f})"
    )


def _steady_words(tests: tuple[DriftTest, ...]) -> str:
    thirds = next(test for test in tests if test.kind == "thirds")
    return (
        f"the last third differs from the first by {thirds.change_share:+.1%} "
        f"(p = {thirds.p_value:.2g}); no trend, step or wandering that matters, one group of times"
    )
