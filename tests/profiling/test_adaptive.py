"""When the adaptive measurement stops, and what its intervals are worth then."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtri

from adscale.percentiles import median_half_widths, percentile_estimates
from adscale.request import Sampling
from profiling.sampling import AdaptiveRule, measurement_rule
from tests.analysis.series import times
from tests.bench.noises import clocks, power_law, spikes


def run(
    rule: AdaptiveRule, series: npt.NDArray[np.float64], per_image_s: float = 0.0
) -> tuple[int, str]:
    """Images and reason of a measurement of these submodules, a row each."""
    images = 0
    while (reason := rule.check(images, images * per_image_s)) is None:
        rule.record(series[:, images])
        images += 1
    return images, reason


def relative_half_width(series: npt.NDArray[np.float64]) -> float:
    widths = median_half_widths(series, cautious=False)
    return float(np.max(widths / np.median(series, axis=1)))


def test_quiet_submodules_stop_at_the_least_number() -> None:
    series = times(np.random.default_rng(0), 3, 1000, variation=0.001)
    assert run(AdaptiveRule(1000), series) == (200, "precision")
    assert run(AdaptiveRule(1000, precision_images=60), series) == (60, "precision")
    assert run(AdaptiveRule(1000, least_images=300), series) == (300, "precision")
    assert run(AdaptiveRule(1000), np.ones((2, 1000))) == (200, "precision")


def test_and_not_before_the_least_duration() -> None:
    series = times(np.random.default_rng(0), 3, 1000, variation=0.001)
    assert run(AdaptiveRule(1000, precision_s=50.0), series, 0.1) == (500, "precision")
    assert run(AdaptiveRule(1000, precision_s=50.0, budget_s=30.0), series, 0.1) == (
        300, "time_budget",
    )  # fmt: skip


def test_the_rule_of_a_request() -> None:
    series = times(np.random.default_rng(0), 3, 1000, variation=0.001)
    sampling = Sampling(
        warmup_images=1, measured_images=1000, min_images=2, time_budget_s=None,
        target_precision=0.01, precision_min_images=40, precision_min_s=5.0,
    )  # fmt: skip
    assert run(measurement_rule(sampling), series, 0.1) == (50, "precision")


def test_one_noisy_submodule_keeps_all_going() -> None:
    random = np.random.default_rng(1)
    quiet = times(random, 3, 1000, variation=0.001)
    noisy = times(random, 1, 1000, variation=0.05)
    images, reason = run(AdaptiveRule(1000), np.concatenate([quiet, noisy]))
    assert reason == "precision"
    assert images > 100


def test_the_end_is_half_as_many_images_after_the_precision_is_reached() -> None:
    """Looks at 200, 267, 357 …; one that is just reached at 200 ends at 300, at 267 at 401."""
    series = times(np.random.default_rng(2), 1, 1000, variation=0.042)
    assert run(AdaptiveRule(1000), series) == (300, "precision")


def test_an_interval_that_became_too_wide_goes_on() -> None:
    """Quiet until precision is reached, then noisy: at 300 images it is not what was asked for."""
    random = np.random.default_rng(2)
    series = times(random, 1, 1000, variation=0.042)
    series[:, 205:] = times(random, 1, 795, variation=0.3)
    images, reason = run(AdaptiveRule(1000), series)
    assert images > 300
    assert reason == "image_count" or relative_half_width(series[:, :images]) <= 0.01


def test_the_limits() -> None:
    noisy = times(np.random.default_rng(4), 1, 1000, variation=0.5)
    assert run(AdaptiveRule(200), noisy) == (200, "image_count")
    assert run(AdaptiveRule(200, budget_s=50.0), noisy, 1.0) == (50, "time_budget")
    assert run(AdaptiveRule(200, budget_s=5.0), noisy, 1.0) == (30, "time_budget")
    assert run(AdaptiveRule(30), noisy) == (30, "image_count")


@given(
    most=st.integers(2, 300),
    least=st.integers(2, 60),
    budget_s=st.none() | st.floats(0.1, 200),
    variation=st.floats(0.0001, 0.2),
    target=st.floats(0.002, 0.1),
    seed=st.integers(0, 1000),
)
def test_limits_and_precision_hold_for_any_series(
    most: int, least: int, budget_s: float | None, variation: float, target: float, seed: int
) -> None:
    least = min(least, most)
    series = times(np.random.default_rng(seed), 2, most, 0.3, variation=variation)
    rule = AdaptiveRule(most, least, budget_s, target, precision_images=30)
    images, reason = run(rule, series, 1.0)
    assert least <= images <= most
    if reason == "precision":
        assert relative_half_width(series[:, :images]) <= target
    elif reason == "image_count":
        assert images == most
    else:
        assert budget_s is not None
        assert images >= budget_s


@given(st.integers(0, 1000), st.floats(1e-6, 1e6))
def test_the_unit_does_not_matter(seed: int, unit: float) -> None:
    series = times(np.random.default_rng(seed), 2, 400)
    assert run(AdaptiveRule(400), unit * series) == run(AdaptiveRule(400), series)


def test_a_time_of_nothing_is_known_exactly() -> None:
    assert run(AdaptiveRule(300), np.zeros((1, 300))) == (200, "precision")
    flicker = np.tile([[1.0, -1.0]], 150)  # median 0 with scatter: no share of it can be reached
    assert run(AdaptiveRule(300), flicker) == (300, "image_count")


def test_four_times_fewer_images_than_a_thousand() -> None:
    """3 % variation, autocorrelation 0.3."""
    all_series = times(np.random.default_rng(5), 100, 1000, 0.3)
    counts = [run(AdaptiveRule(1000), one[np.newaxis])[0] for one in all_series]
    assert 200 <= np.mean(counts) <= 260


def covered(series: npt.NDArray[np.float64], truth: float) -> tuple[bool, bool]:
    """Whether it stops for precision, and whether the median's interval then holds."""
    images, reason = run(AdaptiveRule(series.shape[1]), series)
    found = percentile_estimates(series[0, :images], (0.5,))[0]
    inside = found.low is not None and found.high is not None and found.low <= truth <= found.high
    return reason == "precision", inside


@pytest.mark.parametrize(("rho", "variation"), [(0.0, 0.05), (0.3, 0.03), (0.3, 0.05)])
def test_the_interval_after_the_stop_holds_in_93_to_97_of_100_runs(
    rho: float, variation: float
) -> None:
    all_series = times(np.random.default_rng(6), 600, 800, rho, variation=variation)
    found = np.array([covered(one[np.newaxis], 1.0) for one in all_series])
    assert np.mean(found[:, 0]) >= 0.85
    error = 0.018  # two standard errors of the simulation
    assert 0.93 - error <= np.mean(found[found[:, 0], 1]) <= 0.97 + error


def test_rare_slow_images_make_no_stop_wrong() -> None:
    """The median of that mixture is the (0.5/0.995) quantile of its quick part."""
    truth = np.exp(0.03 * ndtri(0.5 / 0.995) - 0.03**2 / 2)
    all_series = spikes(np.random.default_rng(7), 300, 600)
    found = np.array([covered(one[np.newaxis], float(truth)) for one in all_series])
    assert np.mean(found[:, 0]) >= 0.95
    assert 0.905 <= np.mean(found[found[:, 0], 1]) <= 0.995  # 0.93 to 0.97, and the error


def test_a_level_that_wanders_is_not_precise() -> None:
    random = np.random.default_rng(8)
    for all_series, most in (
        (1 + 0.03 * power_law(random, 60, 1000, 1.0), 0.25),
        (clocks(random, 60, 1000, 50), 0.45),  # some show one clock until they end
    ):
        stopped = [run(AdaptiveRule(1000), one[np.newaxis])[1] for one in all_series]
        assert np.mean([reason == "precision" for reason in stopped]) <= most


def test_every_image_has_to_be_recorded() -> None:
    rule = AdaptiveRule(100)
    assert rule.check(0, 0.0) is None
    with pytest.raises(ValueError, match="0 of 1 images"):
        rule.check(1, 0.0)


def test_the_submodules_stay_the_same() -> None:
    rule = AdaptiveRule(100)
    rule.record([1.0, 2.0])
    with pytest.raises(ValueError, match="3 submodules after 2"):
        rule.record([1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="0 submodules"):
        AdaptiveRule(100).record([])


@pytest.mark.parametrize(
    ("most", "least", "target"), [(10, 30, 0.01), (10, 1, 0.01), (100, 30, 0.0), (100, 30, -1.0)]
)
def test_contradictions(most: int, least: int, target: float) -> None:
    with pytest.raises(ValueError, match=r"need|target"):
        AdaptiveRule(most, least, target=target)


def test_the_time_left() -> None:
    """Before the first look that of the limits, then what the precision will take."""
    series = times(np.random.default_rng(11), 1, 10_000, 0.3, variation=0.1)
    rule = AdaptiveRule(10_000)
    assert rule.remaining_s(0, 0.0) is None
    left = {}
    images = 0
    while rule.check(images, images * 0.1) is None:
        rule.record(series[:, images])
        images += 1
        left[images] = rule.remaining_s(images, images * 0.1)
    assert left[10] == pytest.approx(999.0)
    for seen in (201, 310):
        assert left[seen] is not None
        assert left[seen] < 400  # of the order of 1500 images, not of 10 000
    assert left[images - 1] == pytest.approx(0.1)
