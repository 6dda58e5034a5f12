"""The scatter between processes, known of many runs together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import kstest

from analysis.statistics.moderation import FEWEST_RUNS, common_variance
from tests.analysis.comparisons import PARTS, Measured, compare


@pytest.mark.parametrize("freedom", [3.0, 8.0, 1e6])
def test_the_distribution_of_variances_is_found_or_trusted_less(freedom: float) -> None:
    """Drawn from the scaled inverse χ² that is assumed, 4000 runs of three processes."""
    generator = np.random.default_rng(3)
    true = 2e-4 * freedom / generator.chisquare(freedom, 4000)
    found = common_variance(true * generator.chisquare(2, 4000) / 2, [2] * 4000, range(4000))
    assert found is not None
    assert found.variance == pytest.approx(2e-4, rel=0.15)
    assert 0.6 * min(freedom, 20) <= found.degrees <= min(1.05 * freedom, 8000)


def test_a_moderated_t_is_a_t() -> None:
    """With the degrees of freedom that it is given, where the variances are as assumed."""
    generator = np.random.default_rng(4)
    true = 4 / generator.chisquare(4, 3000)
    estimates = true * generator.chisquare(2, 3000) / 2
    found = common_variance(estimates, [2] * 3000, range(3000))
    assert found is not None
    both = [found.moderated(float(one), 2) for one in estimates]
    t = generator.normal(size=3000) * np.sqrt(true) / np.sqrt([one for one, _ in both])
    assert kstest(t, "t", args=(both[0][1],)).pvalue > 0.01


def test_what_is_of_one_run_counts_once() -> None:
    few, many = FEWEST_RUNS - 1, 20
    assert common_variance([1.0] * 200, [2] * 200, [number % few for number in range(200)]) is None
    copied = common_variance([1.0, 2.0] * 100, [2] * 200, [n % many for n in range(200)])
    single = common_variance([1.0, 2.0] * 10, [2] * 20, range(20))
    assert copied is not None
    assert copied == pytest.approx(single)


def test_runs_that_do_not_scatter_at_all_say_nothing() -> None:
    assert common_variance([0.0] * 50, [2] * 50, range(50)) is None


SIDES_PX = tuple(range(256, 256 + 32 * 16, 32))
MANY = Measured(sides_px=SIDES_PX, images=30, processes=3, process_noise=0.01, noise=0.016)
"""48 rows of 16 runs; each process' mean has 0.3 % of noise left."""


def test_a_difference_in_few_rows_is_found_with_three_processes() -> None:
    """10 % in 3 of 48 rows, at 1 % between processes: found in 7 % without the other rows."""
    found = []
    for seed in range(4):
        b = replace(MANY, ms=lambda part, side: MANY.ms(part, side) * (1.1 if side == 256 else 1))
        verdicts = list(compare(MANY, b, (2 * seed, 2 * seed + 1))["verdict"])
        found += verdicts[: len(PARTS)]
        assert "faster" not in verdicts
    assert np.mean([one == "slower" for one in found]) >= 0.8


def test_where_nothing_differs_nothing_is_found() -> None:
    for seed in range(4):
        assert set(compare(MANY, MANY, (2 * seed, 2 * seed + 1))["verdict"]) <= {"same", "unclear"}
