"""Do the intervals hold what they promise, and does the check flag where they cannot?

Simulated times with known truth, mean 1, coefficient of variation 3 %, so that a coverage can be
counted. Nothing here is fitted to these series: seeds differ from those of the tests.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from adscale.mean_error import mean_error, t_quantile
from adscale.percentiles import percentile_estimates
from analysis.statistics.steadiness import check_steadiness
from analysis.statistics.summary import PERCENTILES, summarize_series
from profiling.sampling import AdaptiveRule
from tests.analysis.series import Floats, noise, times
from tests.bench.bootstraps import block_bootstrap, hierarchical_bootstrap

SIZES = (30, 100, 300, 1000)
VARIATION = 0.03
SLOW_SHARE, SLOWER = 0.3, 0.2
NAMES = ("mean", "median", "p90", "p95", "p99")


class Case(NamedTuple):
    """A kind of series."""

    name: str
    make: Callable[[np.random.Generator, int, int], Floats]
    """From a source, a number of series and of images, one series per row."""
    truth: tuple[float, ...]
    """Mean, median, p90, p95, p99."""
    holds: bool
    """Whether the assumption holds: one level, whatever the distribution."""


def _normal(mean: float = 1.0) -> tuple[float, ...]:
    return (mean, *(mean + VARIATION * ndtri(np.array(PERCENTILES))))


def _lognormal() -> tuple[float, ...]:
    return (float(np.exp(0.125)), *np.exp(0.5 * ndtri(np.array(PERCENTILES))))


def _two_groups() -> tuple[float, ...]:
    def below(value: float) -> float:
        fast, slow = ndtr((value - 1) / VARIATION), ndtr((value - 1 - SLOWER) / VARIATION)
        return float((1 - SLOW_SHARE) * fast + SLOW_SHARE * slow)

    points = [brentq(lambda x, p=share: below(x) - p, 0.5, 2.0) for share in PERCENTILES]
    return (1 + SLOW_SHARE * SLOWER, *points)


CASES = (
    Case("independent", times, _normal(), True),
    Case("autocorrelated 0.3", lambda r, s, n: times(r, s, n, 0.3), _normal(), True),
    Case("autocorrelated 0.6", lambda r, s, n: times(r, s, n, 0.6), _normal(), True),
    Case("skewed (lognormal), 0.3", lambda r, s, n: np.exp(0.5 * noise(r, s, n, 0.3)),
         _lognormal(), True),
    Case("two groups 70:30", lambda r, s, n: times(r, s, n)
         + SLOWER * (r.uniform(size=(s, n)) < SLOW_SHARE), _two_groups(), True),
    Case("trend of 3 %, truth: its end", lambda r, s, n: times(r, s, n)
         + 0.03 * (np.arange(n) / n - 1), _normal(), False),
    Case("slow wandering below noise", lambda r, s, n: 1 + VARIATION
         * (noise(r, s, n) + noise(r, s, n, 0.97)) / np.sqrt(2), _normal(), False),
    Case("warm-up of 8 %, truth: after", lambda r, s, n: times(r, s, n)
         + 0.08 * np.exp(-np.arange(n) / (n / 4)), _normal(), False),
)  # fmt: skip


def main(rounds: int) -> None:
    """Prints all tables; 64 simulated series per round."""
    series = 64 * rounds
    error = 100 * np.sqrt(0.05 * 0.95 / series)
    print(f"{series} series per line unless told; a coverage of 95 % has a standard error of")
    print(f"{error:.1f} points. Wanted: 93 to 97 % where the assumption holds, else a flag.")
    _print_coverage(series)
    _print_power(max(series // 4, 100))
    _print_adaptive(series)
    _print_processes(max(series // 2, 100))
    _print_speed()


def _print_coverage(series: int) -> None:
    print("\ncoverage of the 95 % intervals, %, and share of series that the check flags, %")
    print(
        f"{'series':<30}{'n':>5} |{'mean':>6}{'median':>7}{'p90':>6}{'p95':>6}{'p99':>6}"
        f" |{'drift':>6}{'wander':>7}{'groups':>7} |{'Student':>8}"
        f"{'block boot.':>12} |{'width':>6}{'asked':>6}"
    )
    random, outside = np.random.default_rng(20), []
    margin = 200 * np.sqrt(0.05 * 0.95 / series)  # two standard errors, in %
    for case in CASES:
        for size in SIZES:
            all_series = case.make(random, series, size)
            covered, width = _coverages(all_series, case.truth)
            verdicts = [check_steadiness(values).verdict for values in all_series]
            drifting, wandering, groups = (
                100 * np.mean([verdict == name for verdict in verdicts])
                for name in ("drifting", "wandering", "bimodal")
            )
            rivals = _rivals(all_series, case.truth[0], random)
            cells = "".join(
                f"{'–' if share is None else f'{share:.1f}':>{place}}"
                for share, place in zip(covered, (6, 7, 6, 6, 6), strict=True)
            )
            print(
                f"{case.name:<30}{size:>5} |{cells} |"
                f"{drifting:>6.1f}{wandering:>7.1f}{groups:>7.1f} |"
                f"{rivals[0]:>8.1f}{rivals[1]:>12.1f} |{width:>6.2f}"
                f"{'yes' if case.holds else 'no':>6}",
                flush=True,
            )
            outside += [
                f"{name} of {case.name}, n = {size}: {share:.1f}"
                for name, share in zip(NAMES, covered, strict=True)
                if case.holds and share is not None and not 93 - margin <= share <= 97 + margin
            ]
    print("–: too few images for an interval. width: of the mean's interval over Student's.")
    print("outside of 93 to 97 % where asked for, by more than two standard errors:")
    print(f"{'; '.join(outside) or 'none'}")


def _coverages(all_series: Floats, truth: Sequence[float]) -> tuple[list[float | None], float]:
    """Coverage of each statistic in %, None where no interval is given; width over Student's."""
    inside: list[list[bool]] = [[] for _ in NAMES]
    widths = []
    for values in all_series:
        found = summarize_series([values])
        for index, name in enumerate(NAMES):
            estimate = getattr(found, name)
            if estimate is not None and estimate.low is not None:
                inside[index].append(estimate.low <= truth[index] <= estimate.high)
        if found.mean.low is not None:
            widths.append((found.mean.high - found.mean.low) / _student_width(values))
    return [100 * float(np.mean(hits)) if hits else None for hits in inside], (
        float(np.mean(widths)) if widths else float("nan")
    )


def _student_width(values: Floats) -> float:
    return 2 * t_quantile(len(values) - 1) * float(values.std(ddof=1)) / len(values) ** 0.5


def _rivals(all_series: Floats, truth: float, random: np.random.Generator) -> tuple[float, float]:
    """Coverage of Student's interval and of the block bootstrap's, in %."""
    student = [abs(one.mean() - truth) <= _student_width(one) / 2 for one in all_series]
    boot = [block_bootstrap(one, random) for one in all_series[: max(len(all_series) // 2, 100)]]
    return 100 * np.mean(student), 100 * np.mean([low <= truth <= high for low, high in boot])


def _print_power(series: int) -> None:
    print(f"\nshare of drifting series that the check flags, %, noise of 3 %, {series} series")
    sizes = SIZES[1:]
    head = "".join(f"{f'{size} images':>22}" for size in sizes)
    print(f"{'drift':<22}{head}\n{'autocorrelation':<22}{'      0.0    0.3  best' * len(sizes)}")
    random = np.random.default_rng(21)
    shapes: dict[str, Callable[[Floats], Floats]] = {
        "trend": lambda place: place,
        "step in the middle": lambda place: (place >= 0.5).astype(float),
        "step at 80 %": lambda place: (place >= 0.8).astype(float),
        "warm-up over 10 %": lambda place: np.exp(-place / 0.1),
        "three waves": lambda place: np.sin(6 * np.pi * place) / 2,
    }
    for name, shape in shapes.items():
        for size in (0.02, 0.03, 0.05):
            cells = ""
            for images in sizes:
                drift = size * shape(np.arange(images) / images)
                found = [
                    100 * _flagged(times(random, series, images, rho) + drift) for rho in (0.0, 0.3)
                ]
                cells += f"{found[0]:>9.0f}{found[1]:>7.0f}{100 * _best(drift):>6.0f}"
            print(f"{f'{name}, {size:.0%}':<22}{cells}", flush=True)
    print("best: the most powerful test of independent times that knows shape, place and noise,")
    print("at the same 2 % of false alarms.")


def _flagged(all_series: Floats) -> float:
    verdicts = [check_steadiness(row).verdict for row in all_series]
    return float(np.mean([verdict in {"drifting", "wandering"} for verdict in verdicts]))


def _best(drift: Floats) -> float:
    """Power of the two-sided test for a known shape in independent normal noise."""
    shift = np.linalg.norm(drift - drift.mean()) / VARIATION
    return float(ndtr(shift - ndtri(0.99)) + ndtr(-shift - ndtri(0.99)))


def _print_adaptive(series: int) -> None:
    print(
        f"\nadaptive: images until ±1 % and coverage of the median's interval then, {series} series"
    )
    print(
        f"{'autocorrelation':<16}{'variation':>10} |{'images':>8}{'5 to 95 %':>14}"
        f"{'of 1000':>9}{'precision':>10} |{'covered':>8}{'at each image':>15}"
    )
    random = np.random.default_rng(22)
    for rho in (0.0, 0.3, 0.6):
        for variation in (0.005, 0.01, 0.02, 0.03, 0.05):
            all_series = times(random, series, 1000, rho, variation=variation)
            counts, reasons, covered = _adapt(all_series)
            naive = _stop_at_once(all_series[: max(series // 2, 100)])
            low, high = np.quantile(counts, (0.05, 0.95))
            middle = f"{low:.0f} – {high:.0f}"
            print(
                f"{rho:<16}{variation:>10.1%} |{np.mean(counts):>8.0f}{middle:>14}"
                f"{1000 / np.mean(counts):>8.1f}×{reasons:>9.0f}% |{covered:>7.1f}%{naive:>14.1f}%",
                flush=True,
            )
    print("precision: runs that stopped for it, the others at 1000 images. covered: wanted 93 to")
    print(
        "97 %. at each image: coverage of the mean's interval if one stopped at the first image at"
    )
    print("which it is narrow enough, which is what the rule is there to avoid.")


def _adapt(all_series: Floats) -> tuple[list[int], float, float]:
    """Images, share in % that stopped for precision, coverage in %."""
    counts, reasons, inside = [], [], []
    for values in all_series:
        rule, images = AdaptiveRule(len(values)), 0
        while (reason := rule.check(images, 0.0)) is None:
            rule.record(values[images : images + 1].tolist())
            images += 1
        found = percentile_estimates(values[:images], (0.5,))[0]
        counts.append(images)
        reasons.append(reason == "precision")
        if found.low is not None and found.high is not None:
            inside.append(found.low <= 1 <= found.high)
    return counts, 100 * float(np.mean(reasons)), 100 * float(np.mean(inside))


def _stop_at_once(all_series: Floats) -> float:
    """Coverage in % of stopping at the first image whose interval is narrow enough."""
    running, inside = np.arange(len(all_series)), 0
    for images in range(30, all_series.shape[1] + 1):
        seen = all_series[running, :images]
        means, widths = seen.mean(axis=1), mean_error(seen).half_width
        done = (widths <= 0.01 * means) | (images == all_series.shape[1])
        inside += int(np.sum(np.abs(means[done] - 1) <= widths[done]))
        running = running[~done]
        if not len(running):
            break
    return 100 * inside / len(all_series)


def _print_processes(cases: int) -> None:
    print(f"\nseveral processes of 100 images, autocorrelated 0.3: coverage, %, {cases} cases")
    print(f"{'processes':<10}{'they differ by':>16} |{'mean':>6}{'median':>8}{'p90':>6}", end="")
    print(f" |{'hier. bootstrap of the mean':>28}")
    random = np.random.default_rng(23)
    for count in (3, 5, 10):
        for between in (0.0, 0.01, 0.06):
            images = times(random, cases * count, 100, 0.3).reshape(cases, count, 100)
            images = images + between * random.normal(size=(cases, count, 1))
            found = [summarize_series(list(case)) for case in images]
            cells = [
                100 * np.mean([getattr(one, name).low <= truth <= getattr(one, name).high
                               for one in found])
                for name, truth in zip(NAMES[:3], _normal(), strict=False)
            ]  # fmt: skip
            boot = [hierarchical_bootstrap(case, random) for case in images[:300]]
            rival = 100 * np.mean([low <= 1 <= high for low, high in boot])
            print(
                f"{count:<10}{between:>15.0%}  |{cells[0]:>6.1f}{cells[1]:>8.1f}{cells[2]:>6.1f}"
                f" |{rival:>28.1f}",
                flush=True,
            )


def _print_speed() -> None:
    random = np.random.default_rng(24)
    all_series = times(random, 90 * 12, 1000, 0.3)
    start_s = time.perf_counter()
    for values in all_series:
        summarize_series([values])
    summary_s = time.perf_counter() - start_s
    for values in all_series:
        check_steadiness(values)
    check_s = time.perf_counter() - start_s - summary_s
    print(f"\n90 runs of 12 ranges of 1000 images: {summary_s:.1f} s to summarise", end="")
    print(f", {check_s:.1f} s to check")
    took_us = 1e6 * np.min([_record_and_check_s() for _ in range(5)], axis=0)
    looks_us = took_us[took_us > 20]
    print(
        f"adaptive rule, 12 submodules: {np.median(took_us):.1f} µs between two images, "
        f"{len(looks_us)} looks of {np.median(looks_us):.0f} µs, at most {looks_us.max():.0f} µs"
    )


def _record_and_check_s() -> list[float]:
    """What the adaptive rule takes after each of 999 images of 12 submodules, in seconds."""
    rule, took_s = AdaptiveRule(1000), []
    rows = times(np.random.default_rng(25), 12, 999, variation=0.3).T.tolist()
    for images, row in enumerate(rows, start=1):
        start_s = time.perf_counter()
        rule.record(row)
        rule.check(images, 0.0)
        took_s.append(time.perf_counter() - start_s)
    return took_s
