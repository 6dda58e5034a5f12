"""The interval that decides when to stop is the one that is reported."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.statistics import mean_error as reported
from profiling import sampling


@given(
    images=st.integers(2, 200),
    submodules=st.integers(1, 4),
    rho=st.floats(-0.5, 0.95),
    scale=st.floats(0, 10),
    more=st.integers(1, 3),
    seed=st.integers(0, 10**6),
)
def test_both_sides_compute_the_same(
    images: int, submodules: int, rho: float, scale: float, more: int, seed: int
) -> None:
    shocks = np.random.default_rng(seed).normal(size=(submodules, images))
    series = 1 + scale * (shocks + rho * np.roll(shocks, 1, axis=1))
    assert sampling.cosine_count(images) == reported.cosine_count(images)
    count = sampling.cosine_count(images)
    counts = [count, min(more * count, images - 1)]
    for ours, cosines in zip(sampling.mean_half_widths(series, counts), counts, strict=True):
        assert ours == pytest.approx(reported.mean_error(series, cosines).half_width, rel=1e-9)


@given(st.integers(2, 5000))
def test_as_many_degrees_of_freedom(images: int) -> None:
    assert sampling.cosine_count(images) == reported.cosine_count(images)
