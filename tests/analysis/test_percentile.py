"""Percentiles and their intervals, against the binomial distribution and in coverage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from adscale.percentiles import (
    effective_sizes,
    has_interval,
    interval_levels,
    median_half_widths,
    percentile_estimates,
    sample_percentiles,
)
from adscale.wandering import Wandering
from tests.analysis.series import noise

QUIET = Wandering(0.0, 1.0, 0.0, forgotten=False)
"""A level that was not found to wander."""

SHARES = (0.5, 0.9, 0.95, 0.99)


def test_points_by_rank() -> None:
    """1 … 10: rank (10 + 1/3)·0.9 + 1/3 = 9.6333; the median lies between 5 and 6."""
    found = sample_percentiles(np.arange(10.0, 0, -1), (0.5, 0.9))
    assert found == pytest.approx([5.5, 9 + 0.6 + 1 / 30])


@pytest.mark.parametrize("share", SHARES)
def test_ends_are_the_textbooks_order_statistics(share: float) -> None:
    """Where a rank is whole, P(x_(r) ≤ quantile) is that r or more of n lie below it: binomial.

    Solved for a real rank, the two whole ranks around it enclose the wanted probability.
    """
    from scipy.stats import binom

    size = 1000
    low, high = interval_levels(np.array([float(size)]), np.array([share]))
    for level, wanted in ((low[0], 0.975), (high[0], 0.025)):
        rank = level * (size + 1)
        at_least = binom.sf(np.array([np.floor(rank), np.ceil(rank)]) - 1, size, share)
        assert at_least[1] <= wanted <= at_least[0]


def test_published_levels() -> None:
    """Median of the Feather River's 59 floods (Hutson 1999, vignette of R's QuantileNPCI).

    R's solver stops within 1e-4.
    """
    low, high = interval_levels(np.array([59.0]), np.array([0.5]))
    assert (low[0], high[0]) == pytest.approx((0.3750191, 0.6249809), abs=1e-4)


@pytest.mark.parametrize(
    ("share", "smallest"), [(0.5, 29), (0.9, 97), (0.95, 174), (0.99, 755), (0.1, 97)]
)
def test_smallest_samples_with_an_interval(share: float, smallest: int) -> None:
    assert has_interval(smallest, share)
    assert not has_interval(smallest - 1, share)
    values = noise(np.random.default_rng(3), 2, smallest)[0]
    assert percentile_estimates(values, (share,), QUIET)[0].low is not None
    assert percentile_estimates(values[1:], (share,), QUIET)[0].low is None


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=200))
@example([0.99999, 0.3])
def test_ends_enclose_the_point_and_lie_within_the_sample(values: list[float]) -> None:
    series = np.array(values)
    for found in percentile_estimates(series, SHARES):
        assert series.min() <= found.value <= series.max()
        if found.low is not None:
            assert found.high is not None
            assert series.min() <= found.low <= found.high <= series.max()


def test_ends_enclose_the_point() -> None:
    for series in noise(np.random.default_rng(4), 50, 1000, 0.3):
        for found in percentile_estimates(series, SHARES, QUIET):
            assert found.low is not None
            assert found.high is not None
            assert found.low < found.value < found.high


def test_equal_values_have_an_interval_of_no_width() -> None:
    for found in percentile_estimates(np.full(1000, 2.0), SHARES):
        assert found == (2.0, 2.0, 2.0)


def test_autocorrelated_images_say_as_much_as_fewer_independent_ones() -> None:
    """Signs of a normal autoregression have autocorrelations (2/π)·asin(ρ^k) (Sheppard 1899)."""
    lags = 0.6 ** np.arange(1, 60)
    effect = 1 + 2 * np.sum(2 / np.pi * np.arcsin(lags))
    sizes = [
        float(effective_sizes(series, np.array([np.median(series)]))[0])
        for series in noise(np.random.default_rng(5), 300, 1000, 0.6)
    ]
    price = (1.959964 / 2.021075) ** 2  # z and t with 40 degrees of freedom (table)
    assert 1000 / np.mean(1000 / np.array(sizes)) == pytest.approx(1000 / effect * price, rel=0.06)


@pytest.mark.parametrize(
    ("images", "share"), [(30, 0.5), (100, 0.9), (300, 0.5), (1000, 0.95), (1000, 0.99)]
)
@pytest.mark.parametrize("rho", [0.0, 0.3, 0.6])
def test_the_interval_holds_the_percentile_in_93_to_97_of_100_series(
    images: int, share: float, rho: float
) -> None:
    """Of a skewed distribution: nothing is assumed about its shape."""
    from scipy.special import ndtri

    truth = np.exp(ndtri(share))
    all_series = np.exp(noise(np.random.default_rng(6), 1200, images, rho))
    inside, held = 0, 0
    for series in all_series:
        found = percentile_estimates(series, (share,), QUIET)[0]
        if found.low is not None and found.high is not None:
            held += 1
            inside += found.low <= truth <= found.high
    assert held >= 0.99 * len(all_series)
    error = 0.013  # two standard errors of the simulation
    assert 0.93 - error <= inside / held <= 0.97 + error


def test_medians_of_many_series_have_the_widths_of_each() -> None:
    all_series = 5 + noise(np.random.default_rng(7), 6, 120, 0.2)
    found = median_half_widths(all_series, cautious=False)
    for width, series in zip(found, all_series, strict=True):
        alone = percentile_estimates(series, (0.5,))[0]
        assert alone.low is not None
        assert alone.high is not None
        assert width == pytest.approx((alone.high - alone.low) / 2)
    cautious = median_half_widths(all_series, cautious=True)
    assert np.all(np.array(cautious) >= found)
    assert median_half_widths(all_series[:, :28], cautious=True) == [np.inf] * 6
    wave = 100 + 2 * np.cos(6 * np.pi * (np.arange(300) + 0.5) / 300)  # 4 from top to bottom
    assert median_half_widths(wave[np.newaxis], cautious=True) == [pytest.approx(8)]
