from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from adscale.request import Sampling
from profiling.sampling import WARMUP_SHARE, StopRule


def run(rule: StopRule, per_image_s: float) -> tuple[int, str]:
    """Images and reason of a phase whose images all take the same time."""
    images = 0
    while (reason := rule.check(images, images * per_image_s)) is None:
        images += 1
    return images, reason


def test_without_a_budget_the_count_is_exact() -> None:
    sampling = Sampling(100, 1000, 1000, None)
    assert run(StopRule.for_warmup(sampling), 10.0) == (100, "image_count")
    assert run(StopRule.for_measurement(sampling), 10.0) == (1000, "image_count")


def test_the_budget_ends_a_slow_run_but_not_before_the_least_number() -> None:
    sampling = Sampling(3, 50, 4, 5.0)
    assert run(StopRule.for_measurement(sampling), 0.5) == (10, "time_budget")
    assert run(StopRule.for_measurement(sampling), 60.0) == (4, "time_budget")
    assert run(StopRule.for_warmup(sampling), 60.0) == (1, "time_budget")
    # a quarter of it, on top
    assert run(StopRule.for_warmup(Sampling(100, 100, 1, 40.0)), 1.0) == (10, "time_budget")


def test_no_warmup_where_none_was_asked_for() -> None:
    assert run(StopRule.for_warmup(Sampling(0, 1, 1, 5.0)), 1.0) == (0, "image_count")


def test_the_profiled_pass_may_measure_a_share_of_the_images_and_of_the_time() -> None:
    given = Sampling(3, 51, 3, 5.0, profiled_share=0.5)
    assert given.profiled == Sampling(3, 26, 3, 2.5, profiled_share=0.5)
    assert run(StopRule.for_measurement(given.profiled), 60.0) == (3, "time_budget")
    assert Sampling(3, 100, 1, None, profiled_share=0.07).profiled.measured_images == 7
    assert Sampling(3, 9, 3, None, profiled_share=0.1).profiled.measured_images == 3
    whole = Sampling(3, 51, 3, 5.0, 0.01)
    assert whole.profiled == whole


@given(
    most=st.integers(1, 60),
    least=st.integers(1, 60),
    budget_s=st.none() | st.floats(0.1, 20),
    per_image_s=st.floats(0.01, 30),
)
def test_limits_hold_whatever_the_speed(
    most: int, least: int, budget_s: float | None, per_image_s: float
) -> None:
    least = min(least, most)
    sampling = Sampling(most, most, least, budget_s)
    images, reason = run(StopRule.for_measurement(sampling), per_image_s)
    assert least <= images <= most
    if reason == "image_count":
        assert images == most
    else:
        assert budget_s is not None
        assert images * per_image_s >= budget_s
        assert images == least or (images - 1) * per_image_s < budget_s
    warm, _ = run(StopRule.for_warmup(sampling), per_image_s)
    assert 1 <= warm <= most
    if budget_s is not None and warm > 1:
        assert (warm - 1) * per_image_s < budget_s * WARMUP_SHARE


def test_the_time_left_is_that_of_the_limit_that_comes_first() -> None:
    rule = StopRule(most_images=10, least_images=2, budget_s=4.0)
    assert rule.remaining_s(0, 0.0) is None
    assert rule.remaining_s(1, 0.1) == 0.9  # by count: nine images of 0.1 s
    assert rule.remaining_s(2, 2.0) == 2.0  # by budget
    assert rule.remaining_s(1, 9.0) == 9.0  # one more image has to come
