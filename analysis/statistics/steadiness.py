"""Is the mean of a run a number that one may publish?

It is where the times have one level, or the next run would find another mean. The verdict looks
for a drift (`analysis.statistics.drift`), for a level that wanders (`adscale.wandering`) and for
two groups of times, and counts outliers. A correlation that dies out soon is no fault: the
intervals allow for it.

Where the times fall into two groups with a gap between them the mean describes neither: two clocks,
two algorithms, or two kinds of images take turns.

A distribution with one mode is at least as dense in any interval as it is on one of its two sides.
The test looks for an interval that is wide and yet holds few times, and counts the times in the
densest intervals of the same width on its left and on its right. 2·(√dense − √few), where `dense`
is the smaller of the two counts, compares them on a scale on which counts scatter alike (Tukey's
root). It is compared with its 98 % quantile for even noise without any mode, which of all
one-humped distributions has the most false valleys (as for Hartigan's dip, Annals of Statistics 13,
1985): normal, skewed and heavy-tailed series practically never raise an alarm. The idea of counting
in intervals is that of multiscale tests for modes (Dümbgen and Walther, Annals of Statistics 36,
2008). In simulation it finds a second mode with a fifth of 100 times, eight standard deviations
away, in 89 of 100 series, the dip in 26. A group of k images can be found if 2·(√k − 1) is above
its quantile: from 9 of 30, 14 of 100, 18 of 300, 22 of 1000 images on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np

from adscale.mean_error import Floats
from adscale.wandering import Wandering, find_wandering

from ..numbers import percent
from . import drift
from .drift import DriftTest, drift_tests

FEWEST_GROUPED = 30
"""Images below which groups cannot be told from chance."""

LEAST_SHARE = 0.05
"""Share of the images that a group has at least; fewer are outliers."""

LEAST_DISTANCE = 0.01
"""Smallest distance between the groups, as a share of the mean, that is worth a word."""

_SIZES = (30, 50, 100, 200, 500, 1000, 2000)
_CRITICAL = (4.0, 4.64, 5.42, 6.0, 6.72, 7.17, 7.6)
"""98 % quantiles of the statistic for even noise, by size."""


class Modes(NamedTuple):
    """Two groups of times.

    Attributes:
        fast: median of the fast group, in the unit of the times.
        slow: median of the slow group.
        slow_share: share of the images in the slow group.
        statistic: 2·(√dense − √few).
        limit: what it has to exceed.
    """

    fast: float
    slow: float
    slow_share: float
    statistic: float
    limit: float


def find_modes(values: Floats) -> Modes | None:
    """Find two groups of times.

    Args:
        values: times in any order, at least `FEWEST_IMAGES`.

    Returns:
        None where one group explains them, or the two lie too close to matter.

    Raises:
        ValueError: there are too few times.
    """
    if len(values) < FEWEST_GROUPED:
        raise ValueError(f"groups need at least {FEWEST_IMAGES} images")
    ordered = np.sort(values)
    statistic, split = valley(ordered)
    limit = float(np.interp(np.log(len(values)), np.log(_SIZES), _CRITICAL))
    fast, slow = float(np.median(ordered[:split])), float(np.median(ordered[split:]))
    if statistic <= limit or slow - fast < LEAST_DISTANCE * abs(float(values.mean())):
        return None
    return Modes(fast, slow, 1 - split / len(values), statistic, limit)


def valley(ordered: Floats) -> tuple[float, int]:
    """The clearest valley of sorted times.

    Returns:
        The statistic, and how many times lie on the left of the valley's widest gap.
    """
    spread = _without_ties(ordered)
    size = len(spread)
    aside = int(np.ceil(LEAST_SHARE * size))
    best, split = -np.inf, size // 2
    few = 1
    while few <= size // 8:
        starts = np.arange(aside - 1, size - aside - few + 1)
        start = starts[int(np.argmax(spread[starts + few] - spread[starts]))]
        statistic = _contrast(spread, start, few)
        if statistic > best:
            gaps = np.diff(spread[start : start + few + 1])
            best, split = statistic, int(start + 1 + np.argmax(gaps))
        few *= 2
    return float(best), split


def _contrast(ordered: Floats, start: int, few: int) -> float:
    """Compares the interval between times `start` and `start + few` with its neighbourhood."""
    width = ordered[start + few] - ordered[start]
    if width <= 0:
        return -np.inf
    first = np.arange(len(ordered))
    counts = np.searchsorted(ordered, ordered + width, side="right") - first
    left = np.minimum(counts[: start + 1], start + 1 - first[: start + 1])
    dense = min(left.max(), counts[start + few :].max())
    return float(2 * (np.sqrt(dense) - np.sqrt(few)))


def _without_ties(ordered: Floats) -> Floats:
    """Spread times that the clock could not tell apart evenly over its tick.

    Else each tick would be a mode. The tick is the smallest difference there is, to nine digits.
    """
    scale = float(np.abs(ordered).max())
    if scale == 0:
        return ordered
    distinct, which, counts = np.unique(
        np.round(ordered / scale, 9), return_inverse=True, return_counts=True
    )
    if len(distinct) in {1, len(ordered)}:
        return ordered
    tick = scale * float(np.diff(distinct).min())
    within = np.arange(len(ordered)) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.asarray(ordered + tick * ((within + 0.5) / counts[which] - 0.5), np.float64)


SteadinessVerdict = Literal["drifting", "wandering", "bimodal", "too_short", "steady"]

SEVERITY: tuple[SteadinessVerdict, ...] = get_args(SteadinessVerdict)
"""The verdicts, the worst first."""

FEWEST_IMAGES = max(drift.FEWEST_IMAGES, FEWEST_GROUPED)
"""Images below which nothing is claimed."""

TELLING_IMAGES = 300
"""Images with which 1/f noise is found in 95 of 100 series; with fewer a word says so."""

FENCE = 3.0
"""Quartile ranges beyond a quartile at which an outlier begins.

Tukey's outer fences (Exploratory Data Analysis, 1977, chapter 2): of normal times 1 in 425 000.
"""


@dataclass(frozen=True)
class Steadiness:
    """The steadiness of a series of times.

    Attributes:
        verdict: `drifting` before `wandering`, since a trend wanders too; both before `bimodal`,
            since a step makes two groups; `too_short` below `FEWEST_IMAGES`; else `steady`.
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
    wandering = find_wandering(values, series_count)
    found = [test for test in tests if test.found]
    verdict: SteadinessVerdict = "steady"
    if found:
        verdict = "drifting"
        evidence = _drift_words(min(found, key=lambda test: test.p_value / test.limit))
    elif wandering.matters:
        verdict, evidence = "wandering", _wandering_words(wandering)
    elif groups:
        verdict, evidence = "bimodal", _group_words(groups, float(values.mean()))
    else:
        evidence = _steady_words(tests, len(values))
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
    number = min(range(len(found)), key=lambda index: SEVERITY.index(found[index].verdict))
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
    size = f"{percent(abs(test.change_share), 1)} {'slower' if test.change_share > 0 else 'faster'}"
    what = {
        "thirds": f"the last third of the images is {size} than the first",
        "trend": f"the images become {size} over the run",
        "step": f"from image {(test.after_images or 0) + 1} on they are {size} than before",
    }[test.kind]
    return f"{what} (p = {test.p_value:.2g}, alarm at {test.limit:.2g})"


def _wandering_words(found: Wandering) -> str:
    so = "its intervals are wider" if found.forgotten else "a run this long has no interval"
    return (
        f"the level of the times wanders by about {percent(found.height_share, 1)}, more slowly "
        f"than an interval of its images allows for; {so} (statistic {found.statistic:.1f}, "
        f"alarm at {found.limit:.1f})"
    )


def _group_words(groups: Modes, mean: float) -> str:
    distance = (groups.slow - groups.fast) / mean
    return (
        f"two groups of times with a gap between them: {percent(groups.slow_share)} of the images "
        f"are slower than the others by {percent(distance, 1)} of the mean "
        f"(statistic {groups.statistic:.1f}, alarm at {groups.limit:.1f})"
    )


def _steady_words(tests: tuple[DriftTest, ...], images: int) -> str:
    thirds = next(test for test in tests if test.kind == "thirds")
    blind = (
        ""
        if images >= TELLING_IMAGES
        else f"; {images} images may miss a slow wandering, {TELLING_IMAGES} seldom do"
    )
    return (
        f"the last third differs from the first by {percent(thirds.change_share, 1, signed=True)} "
        f"(p = {thirds.p_value:.2g}); no trend, step or wandering that matters, one group of "
        f"times{blind}"
    )
