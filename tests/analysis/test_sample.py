"""Statistics of samples against textbook values and coverage."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.statistics.sample import summarize_sample


def test_interval_of_student() -> None:
    """For 1, 2, 3, 4: s = √(5/3), t(0.975, 3) = 3.18245 (table), half width = t·s/2."""
    found = summarize_sample(np.array([1.0, 2.0, 3.0, 4.0]))
    half_width = 3.182446305 * np.sqrt(5 / 3) / 2
    assert (found.size, found.mean, found.median) == (4, 2.5, 2.5)
    assert (found.minimum, found.maximum) == (1.0, 4.0)
    assert found.std == pytest.approx(np.sqrt(5 / 3))
    assert found.ci95_low == pytest.approx(2.5 - half_width)
    assert found.ci95_high == pytest.approx(2.5 + half_width)


def test_one_value_has_no_interval() -> None:
    found = summarize_sample(np.array([7.0]))
    assert (found.mean, found.median, found.std) == (7.0, 7.0, None)
    assert (found.ci95_low, found.ci95_high) == (None, None)


def test_no_value_is_no_zero() -> None:
    found = summarize_sample(np.empty(0))
    assert found.size == 0
    assert set(found[1:]) == {None}


def test_the_interval_holds_the_mean_in_95_of_100_samples() -> None:
    random = np.random.default_rng(1)
    samples = (summarize_sample(random.normal(10, 2, 5)) for _ in range(2000))
    inside = [s.ci95_low <= 10 <= s.ci95_high for s in samples if s.ci95_low is not None]
    assert len(inside) == 2000
    assert np.mean(inside) == pytest.approx(0.95, abs=0.015)  # three standard errors
