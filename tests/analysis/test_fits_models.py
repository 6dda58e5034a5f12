"""The cases of the laws: which there are, and that they are the laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.fits.models import (
    BORDER,
    CONSTANT,
    FLOOR_LINEAR,
    FLOOR_QUADRATIC,
    FOURTH_COEFFICIENT,
    LINEAR,
    POWER,
    POWERS,
    QUADRATIC,
    RIVALS,
    ROUNDED_FLOOR,
    TWO_SLOPES,
    Case,
    Floats,
    Law,
    Term,
    cases_of,
    prior_of_whole,
    sizes_of,
)
from tests.analysis.fitted_cases import curve, only

SIDES_PX = np.arange(256.0, 1025.0, 128.0)
coefficient = st.floats(0, 100)


def case(law: Law, terms: tuple[Term, ...], below: int = 0, lower: tuple[Term, ...] = (0,)) -> Case:
    columns = (*((0, term) for term in lower if below), *((1, term) for term in terms))
    return Case(law, columns, below, len(SIDES_PX) - below)


@pytest.mark.parametrize(
    ("law", "count"),
    [
        (CONSTANT, 1),
        (LINEAR, 3),  # 1; n; both
        (QUADRATIC, 7),
        (BORDER, 7),
        (ROUNDED_FLOOR, 7),
        # n or 1 and n above a floor over 1 to 5 resolutions, n above one over 6, none above all
        (FLOOR_LINEAR, 2 * 5 + 1 + 1),
        # 7 subsets less the constant; without the full one over 5; n and n² alone over 6; none
        (FLOOR_QUADRATIC, 6 * 4 + 5 + 2 + 1),
        # three lower lines, three steeper ones (n; 1 and n; -1 and n), 2 to 5 resolutions below
        (TWO_SLOPES, 3 * 3 * 4),
        # 18 powers and 17 pairs of neighbours, each with a constant or without
        (POWER, 2 * (18 + 17)),
    ],
)
def test_number_of_cases(law: Law, count: int) -> None:
    found = cases_of([law], sizes_of(SIDES_PX)).every
    assert len(found) == len(set(found)) == count


@pytest.mark.parametrize("count", range(2, 8))
def test_every_case_is_determined_by_the_resolutions_and_no_branch_is_a_step(count: int) -> None:
    """Where a floor and a bend add up, one case has twice the same column."""
    measured = sizes_of(SIDES_PX[:count])
    whole = prior_of_whole({"backbone": "pixels", "search": "pixels_squared"}).laws
    cases = cases_of([*RIVALS, *whole], measured)
    for found, columns in zip(cases.every, cases.design, strict=True):
        assert np.linalg.matrix_rank(columns) == len(found.columns) > 0
        upper = {term for part, term in found.columns if part == 1}
        assert not found.below or found.branch_unseen or upper != {0}


@given(coefficient, coefficient, coefficient)
def test_the_design_is_the_curve_at_the_measured_sides(a: float, b: float, c: float) -> None:
    for law in (QUADRATIC, BORDER):
        form = case(law, tuple(term for _, term in law.columns))
        values = curve(form, np.array([[a, b, c]]), SIDES_PX)
        assert only(form).design[0] @ [a, b, c] == pytest.approx(values[0])


def test_terms_in_units_of_the_range() -> None:
    sides = np.array([64.0, 512.0, 1024.0])

    def columns(law: Law, *terms: Term) -> Floats:
        return only(case(law, terms)).parts(sides)[0, 1]

    pixels = columns(QUADRATIC, 0, 1, 2)
    assert pixels.tolist() == [[1, 1 / 256, 1 / 65536], [1, 1 / 4, 1 / 16], [1, 1, 1]]
    # the origin of the side is at a quarter of the smallest, 64 px
    side = columns(BORDER, "u", "u²")
    assert side.tolist() == [[0, 0], [7 / 16, 49 / 256], [15 / 16, 225 / 256]]
    assert columns(POWER, 0.5, 1.5)[1].tolist() == pytest.approx([1 / 2, 1 / 8])


def test_a_floor_is_a_column_of_its_own_and_the_curve_the_larger_of_both() -> None:
    form = case(FLOOR_LINEAR, (1,), below=3)
    (columns,) = only(form).design
    assert columns[:, 0].tolist() == [1, 1, 1, 0, 0, 0, 0]
    assert columns[:, 1].tolist() == [0, 0, 0, *((SIDES_PX[3:] / 1024) ** 2)]
    values = curve(form, np.array([[0.25, 1.0]]), np.array([256.0, 512.0, 3000.0]))
    assert values[0].tolist() == [0.25, 0.25, (3000 / 1024) ** 2]


def test_the_steeper_of_two_lines_may_start_below_zero() -> None:
    form = case(TWO_SLOPES, ("-1", 1), below=3, lower=(0, 1))
    # 0.2 + 0.8·g and 2·g - 0.4 meet at g = 1/2
    sides = np.array([512.0, 1024 * 0.5**0.5, 2048])
    values = curve(form, np.array([[0.2, 0.8, 0.4, 2.0]]), sides)
    assert values[0].tolist() == pytest.approx([0.4, 0.6, 7.6])


@given(st.floats(0.3, 2), coefficient.filter(lambda value: value > 0.01))
def test_two_neighbouring_powers_are_one_between_them(power: float, scale: float) -> None:
    """Those with the value and the slope of n^p at the largest side, to ten times its pixels."""
    index = int(np.clip(np.searchsorted(POWERS, power), 1, len(POWERS) - 1))
    low, high = POWERS[index - 1], POWERS[index]
    share = (power - low) / (high - low)
    form = case(POWER, (low, high))
    sides = np.array([300.0, 1024.0, 1024 * 10**0.5])
    values = curve(form, scale * np.array([[1 - share, share]]), sides)[0]
    assert values == pytest.approx(scale * (sides / 1024) ** (2 * power), rel=0.01)


def test_a_root() -> None:
    form = case(ROUNDED_FLOOR, (0, 2))
    assert curve(form, np.array([[9.0, 16.0]]), np.array([1024.0])) == [[5.0]]
    # no root of what is negative
    assert curve(form, np.array([[-9.0, 1.0]]), np.array([1024.0])) == [[0.0]]


def test_what_is_known_of_a_branch() -> None:
    assert case(FLOOR_LINEAR, (), below=7).branch_unseen
    assert not case(LINEAR, (0,)).branch_unseen
    assert case(FLOOR_LINEAR, (1,), below=5).branch_untested
    assert not case(FLOOR_LINEAR, (1,), below=4).branch_untested
    assert not Case(LINEAR, ((1, 0),), 0, 2).branch_untested


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        (case(LINEAR, (0, 1)), 0),
        (case(QUADRATIC, (1,)), 1),
        (case(FLOOR_LINEAR, (0, 1), below=4), 1),
        (case(FLOOR_QUADRATIC, (1, 2), below=4), 2),
        (case(FLOOR_QUADRATIC, (0, 1, 2), below=4), 2 + FOURTH_COEFFICIENT),
        # two resolutions do not tell a straight branch from a bent one
        (case(FLOOR_LINEAR, (1,), below=5), 1),
        (case(FLOOR_QUADRATIC, (2,), below=5), 1),
        (case(FLOOR_QUADRATIC, (), below=7), 0),
        (case(TWO_SLOPES, ("-1", 1), below=4, lower=(0, 1)), 2 + FOURTH_COEFFICIENT),
        (case(TWO_SLOPES, ("-1", 1), below=5, lower=(0, 1)), 3 + FOURTH_COEFFICIENT),
        (case(POWER, (1.1, 1.2)), 1),
        (case(POWER, (1.5, 1.6)), 2),
        (case(POWER, (0, 1.1, 1.2)), 2),
    ],
)
def test_what_a_case_counts_for(form: Case, expected: float) -> None:
    assert form.price == expected
