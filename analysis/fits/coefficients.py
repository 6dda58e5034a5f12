"""Coefficients of a law with their units, and its knee, from the scaled ones of a fitted case."""

from __future__ import annotations

import math
from collections import defaultdict
from operator import mul
from typing import Any, NamedTuple

from .models import BORDER, POWER, POWERS, Case, Floats


class Coefficient(NamedTuple):
    """One coefficient of a law.

    Attributes:
        name: as in the formula of the law.
        value: in the unit.
        unit: that of the quantity, or per pixel, pixel², pixel^p, px of side, px² of side.
    """

    name: str
    value: float
    unit: str


def physical_coefficients(
    case: Case, found: Floats, measured_px: Floats, unit: str
) -> tuple[Coefficient, ...]:
    """All coefficients of the law, those that are zero too.

    A power of the pixels is told as the one that has the value and the slope of its two neighbours
    at the largest measured side.

    Args:
        case: that was fitted.
        found: its coefficients in units of y.
        measured_px: square roots of the pixels of the measured sizes, ascending.
        unit: of y.
    """
    law, largest, by_column = case.law, float(measured_px[-1]), _by_column(case, found)
    own, unit = (
        [by_column[column] for column in law.columns],
        f"({unit})²" if law.root > 1 else unit,
    )
    if case.branch_unseen:
        return (Coefficient(law.symbols[0], own[0], unit),)
    if law is BORDER:  # a + b·u + c·u², u = s / largest - origin, in s and n
        (a, b, c), origin = own, float(measured_px[0]) / 4 / largest
        values = [a - b * origin + c * origin**2, (b - 2 * c * origin) / largest, c / largest**2]
        units = [unit, f"{unit} per px of half the perimeter", f"{unit} per pixel"]
    elif law is POWER:
        total = sum(own[1:])
        p = sum(map(mul, POWERS, own[1:])) / total if total else 1.0
        values, units = [own[0], total / largest ** (2 * p), p], [unit, f"{unit} per pixel^p", ""]
    else:
        powers = [int(power) for _, power in law.columns]
        values = [value / largest ** (2 * power) for value, power in zip(own, powers, strict=True)]
        units = [unit + ("", " per pixel", " per pixel²")[power] for power in powers]
    return tuple(map(Coefficient, law.symbols, values, units))


def knee_px(case: Case, found: Floats, measured_px: Floats) -> float | None:
    """Side at which the upper part rises above the lower; None without one of them."""
    if not case.below or case.branch_unseen:
        return None
    value = _by_column(case, found)
    above, b, c = (value[1, power] - value[0, power] for power in range(3))
    # the root that stays finite as c goes to 0
    divisor = b + math.sqrt(max(b * b - 4 * c * above, 0))
    if divisor <= 0 or above > 0:
        return None
    return math.sqrt(-2 * above / divisor) * float(measured_px[-1])


def _by_column(case: Case, found: Floats) -> dict[Any, float]:
    """Coefficients by their columns; 0 of those that the case does not have."""
    value: dict[Any, float] = defaultdict(float, zip(case.columns, found.tolist(), strict=False))
    value[1, 0] -= value[1, "-1"]
    return value
