"""Series of known truth: what is called steady, and what intervals and early stops are worth."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from adscale.mean_error import mean_error
from adscale.percentiles import percentile_estimates
from analysis.statistics.steadiness import check_steadiness
from analysis.statistics.summary import Estimate, SeriesSummary, summarize_series
from profiling.sampling import AdaptiveRule
from tests.analysis.series import Floats, noise
from tests.bench.noises import (
    clocks,
    first_tenth,
    lognormal,
    power_law,
    sine,
    spikes,
    stalls,
)
from tests.bench.truth import Row

SIZES = (30, 100, 300, 1000)
NUMBERS = {"mean": None, "median": 0.5, "p90": 0.9, "p99": 0.99}
DRAWS, LONG_DRAWS, RUNS = 200, 100, 60
TRUTH_IMAGES, TRUTH_SERIES = 1000, 2000

Make = Callable[[np.random.Generator, int, int], Floats]


class Noise(NamedTuple):
    """A noise, and what is wanted of it."""

    name: str
    make: Make
    steady: bool = False
    """Whether it has one level that a run of any length knows, so that it is to be called so."""
    rare: bool = False
    """Whether some images are slow so rarely that a short run has none."""


NOISES = (
    Noise("log-normal 3 %", lognormal, True),
    Noise("AR(1) 0.3", lambda r, s, n: lognormal(r, s, n, rho=0.3), True),
    Noise("spikes 0.5 % of 3 to 10 times", spikes, True, True),
    Noise("a stall of 30 % every 50", lambda r, s, n: stalls(r, s, n, 50), True, True),
    Noise("AR(1) 0.7", lambda r, s, n: lognormal(r, s, n, rho=0.7)),
    Noise("AR(1) 0.9", lambda r, s, n: lognormal(r, s, n, rho=0.9)),
    Noise("1/f", lambda r, s, n: 1 + 0.03 * power_law(r, s, n, 1.0)),
    Noise("f^−0.5", lambda r, s, n: 1 + 0.03 * power_law(r, s, n, 0.5)),
    Noise("f^−1.5", lambda r, s, n: 1 + 0.03 * power_law(r, s, n, 1.5)),
    Noise("random walk", lambda r, s, n: 1 + 0.1 * power_law(r, s, n, 2.0)),
    Noise("clocks +6 %, dwell 20", lambda r, s, n: clocks(r, s, n, 20)),
    Noise("clocks +6 %, dwell 50", lambda r, s, n: clocks(r, s, n, 50)),
    Noise("clocks +6 %, dwell 200", lambda r, s, n: clocks(r, s, n, 200)),
    Noise("first tenth +5 %", first_tenth),
    Noise("wave of 40 images", lambda r, s, n: sine(r, s, n, 40)),
    Noise("wave of 200 images", lambda r, s, n: sine(r, s, n, 200)),
    Noise("log-normal 2 % and 1/f 2 %",
          lambda r, s, n: lognormal(r, s, n, 0.02) * (1 + 0.02 * power_law(r, s, n, 1.0))),
    Noise("spikes and 1/f",
          lambda r, s, n: spikes(r, s, n) * (1 + 0.03 * power_law(r, s, n, 1.0)), rare=True),
    Noise("white and AR(1) 0.97 as strong",
          lambda r, s, n: 1 + 0.03 * (noise(r, s, n) + noise(r, s, n, 0.97)) / np.sqrt(2)),
)  # fmt: skip


def series_rows(percent: int) -> Iterator[Row]:
    """Verdicts and coverage by noise and size, groups by share and size."""
    for kind in NOISES:
        truths, random = _truths(kind), np.random.default_rng(31)
        for size in SIZES:
            draws = _draws(DRAWS if size < SIZES[-1] else LONG_DRAWS, percent)
            all_series = kind.make(random, draws, size)
            summaries = [summarize_series([values]) for values in all_series]
            verdicts = np.array([check_steadiness(values).verdict for values in all_series])
            yield _series_row(kind, all_series, summaries, verdicts, truths)
    yield from _group_rows(percent)


def _series_row(
    kind: Noise,
    all_series: Floats,
    summaries: list[SeriesSummary],
    verdicts: npt.NDArray[np.str_],
    truths: dict[str, float],
) -> Row:
    steady, draws = verdicts == "steady", len(verdicts)
    told = [f"steady {_percent(steady)} (" + ", ".join(
        f"{name} {_percent(verdicts == name)}" for name in ("drifting", "wandering", "bimodal")
    ) + ")"]  # fmt: skip
    silent = {}
    for name, truth in truths.items():
        held = np.array([_holds(getattr(one, name), truth) for one in summaries])
        given = held >= 0
        if np.any(given):
            silent[name] = np.mean(steady & (held == 0))
            of_steady = (
                f", {_percent(held[given & steady])} of steady" if np.any(given & steady) else ""
            )
            told.append(f"{name} {_percent(held[given])} of {_percent(given)} given{of_steady}")
    wanted, holds = [], []
    if kind.rare:  # of these the mean's interval knows nothing: what is unseen stands beside it
        silent.pop("mean", None)
        inside = np.array([_with_unseen(one, truths["mean"]) for one in summaries])
        told.append(f"mean with unseen_ms {_percent(inside)}")
        wanted.append("mean with unseen_ms ≥ 95")
        holds.append(np.mean(inside) >= 0.95 - _error(0.95, draws))
    worst = max(silent.values(), default=0.0)
    told.append(f"steady and wrong {100 * worst:.0f}")
    wanted.append("steady and wrong ≤ 10")
    holds.append(worst <= 0.1 + _error(0.1, draws))
    if kind.steady:
        width = _width(all_series, summaries)
        told.append(f"width {width:.2f}")
        wanted += ["steady ≥ 95", "width ≤ 1.1"]
        holds += [np.mean(steady) >= 0.95 - _error(0.95, draws), width <= 1.1]
    what = f"{kind.name}, {all_series.shape[1]} images, {draws} series"
    return Row(what, "verdicts, intervals that hold, %", ", ".join(wanted), "; ".join(told),
               all(holds))  # fmt: skip


def _percent(which: npt.NDArray[Any]) -> str:
    return f"{100 * np.mean(which):.0f}"


def _width(all_series: Floats, summaries: list[SeriesSummary]) -> float:
    """Width of the mean's interval over that without a look for wandering."""
    widths = [
        (one.mean.high - one.mean.low) / 2 / float(mean_error(values).half_width)
        for one, values in zip(summaries, all_series, strict=True)
        if one.mean.low is not None and one.mean.high is not None
    ]
    return float(np.mean(widths))


def _truths(kind: Noise) -> dict[str, float]:
    """Mean and percentiles of a long record of it; of a slow start what comes after it."""
    if kind.make is first_tenth:
        values = lognormal(np.random.default_rng(30), TRUTH_SERIES, TRUTH_IMAGES, 0.02)
    else:
        values = kind.make(np.random.default_rng(30), TRUTH_SERIES, TRUTH_IMAGES)
    return {
        name: float(values.mean() if share is None else np.quantile(values, share))
        for name, share in NUMBERS.items()
    }


def _holds(found: Estimate | None, truth: float) -> int:
    """1 if its interval holds the truth, 0 if not, −1 without one."""
    if found is None or found.low is None or found.high is None:
        return -1
    return int(found.low <= truth <= found.high)


def _with_unseen(found: SeriesSummary, truth: float) -> bool:
    low, high = found.mean.low, found.mean.high
    if low is None or high is None:
        return True
    return low <= truth <= high + found.unseen


def _group_rows(percent: int) -> Iterator[Row]:
    """Two groups eight standard deviations apart, in random order."""
    random, draws = np.random.default_rng(32), _draws(DRAWS, percent)
    for size, least in ((30, 0.5), (50, 0.4), (100, 0.2), (300, 0.1), (1000, 0.1)):
        found = {}
        for share in (0.05, 0.1, 0.125, 0.2, 0.3, 0.4, 0.5):
            slow = random.uniform(size=(draws, size)) < share
            all_series = lognormal(random, draws, size, 0.01) * np.where(slow, 1.08, 1)
            found[share] = np.mean(
                [check_steadiness(one).verdict == "bimodal" for one in all_series]
            )
        words = ", ".join(f"{share:.1%}: {100 * part:.0f}" for share, part in found.items())
        yield Row(f"two groups, {size} images, {draws} series", "bimodal by share of the slow, %",
                  f"at least 80 from {least:.0%}", words, found[least] >= 0.8)  # fmt: skip


ADAPTIVE = (*NOISES[:3], *NOISES[4:7], *NOISES[10:14], NOISES[16])


def adaptive_rows(percent: int) -> Iterator[Row]:
    """Runs at a target of 1 % that end at 1000 images at the latest."""
    draws = _draws(RUNS * 2, percent)
    for kind in ADAPTIVE:
        truth = _truths(kind)["median"]
        all_series = kind.make(np.random.default_rng(33), draws, 1000)
        ends = [_end(values) for values in all_series]
        precise = np.array([reason == "precision" for _, reason in ends])
        images = np.array([images for images, _ in ends])
        held = np.array([
            _holds(Estimate(*percentile_estimates(values[:end], (0.5,))[0]), truth) == 1
            for values, end in zip(all_series, images, strict=True)
        ])  # fmt: skip
        medians = [np.median(values[:end]) for values, end in zip(all_series, images, strict=True)]
        off = precise & (np.abs(np.array(medians) / truth - 1) > 0.01)
        low, high = np.quantile(images, (0.05, 0.95))
        wrong = float(np.mean(precise & ~held))
        told = f"images {images.mean():.0f} ({low:.0f} to {high:.0f}), precise {_percent(precise)}"
        wanted, holds = "precise and wrong ≤ 10", wrong <= 0.1 + _error(0.1, draws)
        if np.any(precise):
            told += f", of these the median held {_percent(held[precise])}"
        if kind.steady:
            wanted = "the median held ≥ 93"
            holds = np.mean(held[precise]) >= 0.93 - _error(0.93, int(precise.sum()))
        yield Row(f"{kind.name}, {draws} runs", "stops at 1 %, %", wanted,
                  f"{told}, precise and wrong {100 * wrong:.0f}, "
                  f"precise and off by more than 1 % {_percent(off)}", bool(holds))  # fmt: skip


def _end(values: Floats) -> tuple[int, str]:
    rule, images = AdaptiveRule(len(values)), 0
    while (reason := rule.check(images, 0.0)) is None:
        rule.record(values[images : images + 1].tolist())
        images += 1
    return images, reason


def _draws(usual: int, percent: int) -> int:
    return max(20, usual * percent // 100)


def _error(share: float, draws: int) -> float:
    """Two standard errors of a share."""
    return float(2 * np.sqrt(share * (1 - share) / draws))
