"""The verdict on a series and its words."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.statistics.steadiness import (
    check_processes,
    check_steadiness,
    count_outliers,
)
from tests.analysis.series import Floats, times


def steady(images: int = 200, seed: int = 6) -> Floats:
    return 5 * times(np.random.default_rng(seed), 1, images, 0.3)[0]


def test_steady() -> None:
    found = check_steadiness(steady())
    assert (found.verdict, found.outliers, found.groups) == ("steady", 0, None)
    assert "last third differs from the first" in found.evidence


def test_a_trend_is_told_in_numbers() -> None:
    found = check_steadiness(steady() + np.linspace(0, 0.5, 200))
    assert found.verdict == "drifting"
    assert "% slower" in found.evidence
    assert "p = " in found.evidence


def test_a_step_is_told_with_its_place() -> None:
    found = check_steadiness(np.where(np.arange(200) < 120, steady(), 0.9 * steady()))
    assert found.verdict == "drifting"  # although a step makes two groups of times
    assert "from image 121 on they are 10.6% faster than before" in found.evidence


def test_two_groups() -> None:
    slow = np.arange(300) % 10 < 3
    found = check_steadiness(steady(300) * np.where(slow, 1.4, 1))  # mean 5.6, distance 2
    assert found.verdict == "bimodal"
    assert "30% of the images are slower than the others by 35" in found.evidence


@pytest.mark.parametrize("images", [0, 1, 29])
def test_too_short(images: int) -> None:
    found = check_steadiness(steady()[:images])
    assert found.verdict == "too_short"
    assert f"{images} images are too few" in found.evidence


def test_outliers_are_counted_beyond_tukeys_outer_fences() -> None:
    """0 … 100 have the quartiles 25 and 75: the fences lie at −125 and 225."""
    values = np.arange(101.0)
    assert count_outliers(values) == 0
    assert count_outliers(np.concatenate([values, [-150.0, 220.0, 240.0]])) == 2
    found = check_steadiness(np.concatenate([steady(), [50.0]]))
    assert (found.verdict, found.outliers) == ("steady", 1)


def test_of_several_processes_the_worst_counts() -> None:
    good, bad = steady(seed=3), steady(seed=2) + np.linspace(0, 1, 200)
    found = check_processes([good, bad, good])
    assert found.verdict == "drifting"
    assert found.evidence.startswith("1 of 3 processes, such as process 2: ")
    assert check_processes([good, good]).verdict == "steady"
    assert check_processes([good]) == check_steadiness(good)
    assert check_processes([good, good[:5]]).verdict == "too_short"


def test_many_processes_do_not_make_many_alarms() -> None:
    """Five series without a correction: 9 of 100."""
    all_series = times(np.random.default_rng(5), 4000, 60, 0.3).reshape(800, 5, 60)
    alarms = [check_processes(list(run)).verdict == "drifting" for run in all_series]
    assert np.mean(alarms) <= 0.045


def test_no_process() -> None:
    with pytest.raises(ValueError, match="no times"):
        check_processes([])


@given(st.lists(st.floats(0, 1e6), max_size=80))
def test_any_series_gets_a_verdict(values: list[float]) -> None:
    found = check_steadiness(np.array(values))
    assert (found.verdict == "too_short") == (len(values) < 30)
    assert 0 <= found.outliers <= len(values)
    assert found.evidence
