"""Summaries of one and of several processes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adscale.mean_error import mean_error
from analysis.statistics.summary import Estimate, SeriesSummary, summarize_series
from analysis.statistics.unseen import unseen_share
from tests.analysis.series import noise

times_ms = st.lists(st.floats(0.5, 500), min_size=1, max_size=60)


def estimates(summary: SeriesSummary) -> list[Estimate]:
    found = [summary.mean, summary.median, summary.p90, summary.p95, summary.p99]
    return [one for one in found if one is not None]


def test_one_image_has_no_interval() -> None:
    found = summarize_series([np.array([7.0])])
    assert (found.processes, found.images) == (1, 1)
    assert (found.mean, found.median) == (Estimate(7.0), Estimate(7.0))
    assert (found.p90, found.p95, found.p99) == (None, None, None)
    assert (found.std, found.process_std, found.effective_images) == (None, None, None)
    assert (found.minimum, found.maximum) == (7.0, 7.0)


def test_one_process() -> None:
    values = noise(np.random.default_rng(0), 1, 1000, 0.3)[0]
    found = summarize_series([values])
    half_width = float(mean_error(values).half_width)
    mean = float(values.mean())
    assert found.mean == pytest.approx((mean, mean - half_width, mean + half_width))
    assert found.std == pytest.approx(values.std(ddof=1))
    assert found.median.value == pytest.approx(np.median(values))
    assert (found.minimum, found.maximum) == (values.min(), values.max())
    assert found.process_std is None
    assert all(one.low is not None for one in estimates(found))


def test_effective_images_in_closed_form() -> None:
    """Of an autoregression: n·(1 − ρ)/(1 + ρ), 250 of 1000 at 0.6; of independent images all."""
    for rho, expected in ((0.6, 250), (0.0, 1000)):
        all_series = noise(np.random.default_rng(1), 400, 1000, rho)
        found = [summarize_series([series]).effective_images for series in all_series]
        assert np.median([one for one in found if one]) == pytest.approx(expected, rel=0.06)


def test_several_processes_in_closed_form() -> None:
    """Means 2, 4, 9: mean 5, s = √13, t(0.975, 2) = 4.302653 (table)."""
    found = summarize_series([np.array([1.0, 3.0]), np.array([4.0]), np.array([8.0, 9.0, 10.0])])
    half_width = 4.302653 * np.sqrt(13 / 3)
    assert (found.processes, found.images) == (3, 6)
    assert found.mean == pytest.approx((5.0, 5 - half_width, 5 + half_width), rel=1e-6)
    assert found.process_std == pytest.approx(np.sqrt(13))
    assert found.std == pytest.approx((np.sqrt(2) + 1) / 2)  # the process of one image has none
    assert found.median == Estimate(5.0)  # one image in a process: too few
    assert (found.minimum, found.maximum) == (1.0, 10.0)
    assert found.effective_images is None


def test_percentiles_of_several_processes_need_two_images_beyond_in_each() -> None:
    processes = list(noise(np.random.default_rng(2), 3, 20))
    found = summarize_series(processes)
    assert found.median.low is not None
    assert found.p90.low is not None
    assert found.p95.low is None
    assert summarize_series([*processes[:2], processes[2][1:]]).p90.low is None


def test_a_process_without_images_is_left_out() -> None:
    values = np.array([1.0, 2.0, 4.0])
    assert summarize_series([np.empty(0), values]) == summarize_series([values])


@pytest.mark.parametrize("processes", [[], [np.empty(0)]])
def test_nothing_to_summarise(processes: list[np.ndarray]) -> None:
    with pytest.raises(ValueError, match="no times"):
        summarize_series(processes)


def test_a_missing_time_is_refused() -> None:
    with pytest.raises(ValueError, match="missing"):
        summarize_series([np.array([1.0, np.nan])])


@given(st.lists(times_ms, min_size=1, max_size=5), st.floats(0.01, 100))
def test_the_unit_does_not_matter(processes: list[list[float]], factor: float) -> None:
    series = [np.array(values) for values in processes]
    found = summarize_series(series)
    scaled = summarize_series([factor * values for values in series])
    for before, after in zip(estimates(found), estimates(scaled), strict=True):
        assert after.value == pytest.approx(factor * before.value)
        assert (after.low is None) == (before.low is None)
        if before.low is not None:
            assert after.low == pytest.approx(factor * before.low, rel=1e-6, abs=1e-6 * factor)


@given(st.lists(times_ms, min_size=2, max_size=5), st.randoms())
def test_the_order_of_processes_does_not_matter(processes: list[list[float]], random) -> None:
    series = [np.array(values) for values in processes]
    shuffled = random.sample(series, len(series))
    assert summarize_series(shuffled).mean == pytest.approx(summarize_series(series).mean)


def test_the_order_of_images_does_matter() -> None:
    """Sorted images are one long drift: nothing tells where it would go on."""
    values = 5 + noise(np.random.default_rng(3), 1, 300)[0]
    mixed, in_order = summarize_series([values]), summarize_series([np.sort(values)])
    assert mixed.effective_images is not None
    assert mixed.mean.low is not None
    assert in_order.effective_images is None
    assert [one.low for one in estimates(in_order)] == [None] * 5


@pytest.mark.parametrize(("share", "images"), [("p90", 7), ("p95", 14), ("p99", 67)])
@pytest.mark.parametrize("processes", [1, 3])
def test_a_percentile_that_would_be_the_largest_time_is_not_given(
    share: str, images: int, processes: int
) -> None:
    """Rank (n + 1/3)·p + 1/3 below n: n > (p + 1)/(3·(1 − p)), as 66.33 for p99."""
    values = list(noise(np.random.default_rng(5), 3, images))[:processes]
    found = getattr(summarize_series(values), share)
    assert found is not None
    fewer = [*values[:-1], values[-1][1:]]
    assert getattr(summarize_series(fewer), share) is None


def test_effective_images_are_at_most_the_images() -> None:
    """What alternates is known better than its scatter says."""
    values = 5 + 0.1 * noise(np.random.default_rng(6), 1, 200)[0] + np.arange(200) % 2
    assert summarize_series([values]).effective_images == 200


@pytest.mark.parametrize("images", [30, 100, 300, 1000])
def test_what_was_not_seen_is_in_the_interval_and_the_rest(images: int) -> None:
    """One of 200 images takes 3 to 10 times as long, mean 1 + 0.005·5.5."""
    random, inside = np.random.default_rng(7), []
    for _ in range(200):
        slow = np.where(random.uniform(size=images) < 0.005, random.uniform(3, 10, images), 1)
        found = summarize_series([np.exp(0.03 * random.normal(size=images)) * slow])
        low = found.mean.value if found.mean.low is None else found.mean.low
        high = found.mean.value if found.mean.high is None else found.mean.high
        inside.append(low <= 1.0275 * np.exp(0.03**2 / 2) <= high + found.unseen)
    assert np.mean(inside) >= 0.95


def test_the_rule_of_three() -> None:
    """Of 1000 images with a rate of 3 in 1000, 1 − 0.997^1000 = 95 % see one."""
    assert unseen_share(1000) == pytest.approx(0.003 * 9)
    assert unseen_share(2) == 9  # any image may have been one


@pytest.mark.parametrize("between", [0.0, 0.3, 2.0])
@pytest.mark.parametrize("count", [3, 10])
def test_intervals_of_processes_hold_in_93_to_97_of_100_cases(count: int, between: float) -> None:
    """Autocorrelated images within processes that differ by nothing, a little, or a lot."""
    random = np.random.default_rng(4)
    cases = 1500
    images = noise(random, cases * count, 100, 0.3).reshape(cases, count, 100)
    images += between * random.normal(size=(cases, count, 1))
    found = [summarize_series(list(case)) for case in images]
    error = 0.012  # two standard errors of the simulation
    for name, truth in (("mean", 0.0), ("median", 0.0), ("p90", 1.281552)):
        held = [getattr(one, name) for one in found]
        covered = np.mean([one.low <= truth <= one.high for one in held])
        assert 0.93 - error <= covered <= 0.97 + error, name


def test_width_of_an_interval_as_a_share() -> None:
    assert Estimate(2.0, 1.98, 2.02).half_width_share == pytest.approx(0.01)
    assert Estimate(2.0).half_width_share is None
    assert Estimate(0.0, -1.0, 1.0).half_width_share is None
