"""The cases of the laws: which there are, and that they are the laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.fits.models import (
    CONSTANT,
    FLOOR_LINEAR,
    FLOOR_QUADRATIC,
    LINEAR,
    QUADRATIC,
    RIVALS,
    ROUNDED_FLOOR,
    SIDE,
    Form,
    Law,
    MeasuredRange,
    forms,
)

SIDES_PX = np.arange(256.0, 1025.0, 128.0)
MEASURED = MeasuredRange(256, 1024)
coefficient = st.floats(0, 100)


@pytest.mark.parametrize(
    ("law", "cases"),
    [
        (CONSTANT, 1),
        (LINEAR, 3),  # 1; n; both
        (QUADRATIC, 7),
        (SIDE, 7),
        (ROUNDED_FLOOR, 7),
        # n or 1 and n above a floor over 1 to 5 resolutions, n above one over 6, none above all
        (FLOOR_LINEAR, 2 * 5 + 1 + 1),
        # 7 subsets less the constant; without the full one over 5; n and n² alone over 6; none
        (FLOOR_QUADRATIC, 6 * 4 + 5 + 2 + 1),
    ],
)
def test_number_of_cases(law: Law, cases: int) -> None:
    found = list(forms(law, 7))
    assert len(found) == len(set(found)) == cases


def test_no_case_has_more_coefficients_than_resolutions_or_a_step_for_a_branch() -> None:
    for law in RIVALS:
        for form in forms(law, 7):
            assert 0 < form.coefficients <= 7
            assert form.on_floor == 0 or form.terms != ("1",)
            assert len(form.terms) <= form.on_branch


@given(coefficient, coefficient, coefficient)
def test_the_design_is_the_curve_at_the_measured_sides(a: float, b: float, c: float) -> None:
    for law in (QUADRATIC, SIDE):
        form = Form(law, law.terms, 0, 7)
        design = form.design(SIDES_PX, MEASURED)
        curve = form.curve(np.array([[a, b, c]]), SIDES_PX, MEASURED)
        assert design @ [a, b, c] == pytest.approx(curve[0])


def test_terms_in_units_of_the_range() -> None:
    sides = np.array([64.0, 512.0, 1024.0])
    pixels = Form(QUADRATIC, ("1", "n", "n²"), 0, 7).design(sides, MEASURED)
    assert pixels.tolist() == [[1, 1 / 256, 1 / 65536], [1, 1 / 4, 1 / 16], [1, 1, 1]]
    # the origin of the side is at a quarter of the smallest, 64 px
    side = Form(SIDE, ("u", "u²"), 0, 7).design(sides, MEASURED)
    assert side.tolist() == [[0, 0], [7 / 16, 49 / 256], [15 / 16, 225 / 256]]


def test_a_floor_is_a_column_of_its_own_and_the_curve_the_larger_of_both() -> None:
    form = Form(FLOOR_LINEAR, ("n",), 3, 7)
    design = form.design(SIDES_PX, MEASURED)
    assert design[:, 0].tolist() == [1, 1, 1, 0, 0, 0, 0]
    assert design[:, 1].tolist() == [0, 0, 0, *((SIDES_PX[3:] / 1024) ** 2)]
    curve = form.curve(np.array([[0.25, 1.0]]), np.array([256.0, 512.0, 3000.0]), MEASURED)
    assert curve[0].tolist() == [0.25, 0.25, (3000 / 1024) ** 2]


def test_a_root() -> None:
    form = Form(ROUNDED_FLOOR, ("1", "n²"), 0, 7)
    assert form.curve(np.array([[9.0, 16.0]]), np.array([1024.0]), MEASURED) == [[5.0]]
    # no root of what is negative
    assert form.curve(np.array([[-9.0, 1.0]]), np.array([1024.0]), MEASURED) == [[0.0]]


def test_what_is_known_of_a_branch() -> None:
    assert Form(FLOOR_LINEAR, (), 7, 7).branch_unseen
    assert not Form(LINEAR, ("1",), 0, 7).branch_unseen
    assert Form(FLOOR_LINEAR, ("n",), 5, 7).branch_untested
    assert not Form(FLOOR_LINEAR, ("n",), 4, 7).branch_untested
    assert not Form(LINEAR, ("1",), 0, 2).branch_untested
