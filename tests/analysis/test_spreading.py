"""Labels that are moved apart."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from analysis.figures.edge_labels import spread

wishes = st.lists(st.floats(0, 1), max_size=6)
gaps = st.floats(0.001, 0.15)


@given(wishes, gaps)
def test_labels_keep_their_order_their_distance_and_the_page(
    wanted: list[float], gap: float
) -> None:
    found = spread(wanted, gap)
    assert len(found) == len(wanted)
    assert all(-1e-9 <= position <= 1 + 1e-9 for position in found)
    placed = sorted(zip(wanted, found, strict=True))
    for (first, low), (second, high) in itertools.combinations(placed, 2):
        assert high - low >= gap - 1e-9 or first == second
    for low, high in itertools.pairwise(sorted(found)):
        assert high - low >= gap - 1e-9


def test_what_has_room_is_not_moved() -> None:
    assert spread([0.9, 0.1, 0.5], 0.2) == pytest.approx([0.9, 0.1, 0.5])


def test_two_that_touch_move_by_the_same() -> None:
    assert spread([0.5, 0.5], 0.1) == pytest.approx([0.45, 0.55])


def test_at_the_edge_there_is_one_way_only() -> None:
    assert spread([1.0, 0.99], 0.1) == pytest.approx([1.0, 0.9])


@given(st.lists(st.floats(0.3, 0.7), min_size=2, max_size=4), st.floats(0.01, 0.1))
def test_they_move_no_more_than_they_must(wanted: list[float], gap: float) -> None:
    """Another solver, from many starts, finds nothing nearer."""
    order = np.argsort(wanted, kind="stable")
    target = np.array(wanted)[order]
    apart = [
        {"type": "ineq", "fun": lambda x, k=k: x[k + 1] - x[k] - gap}
        for k in range(len(target) - 1)
    ]
    start = np.linspace(0.3, 0.7, len(target))
    best = minimize(lambda x: np.sum((x - target) ** 2), start, constraints=apart, tol=1e-12)
    found = np.array(spread(wanted, gap))[order]
    assert np.sum((found - target) ** 2) <= best.fun + 1e-6


def test_more_than_fit_are_as_far_apart_as_there_is_room() -> None:
    assert spread([0.5] * 5, 0.9) == pytest.approx([0, 0.25, 0.5, 0.75, 1])
