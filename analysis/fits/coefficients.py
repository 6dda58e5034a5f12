"""Coefficients of a law with their units, and its knee, from the scaled ones of a fitted case."""

from __future__ import annotations

import math
from collections.abc import Iterable
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


def physical_coefficients(case: Case, found: Floats, unit: str) -> tuple[Coefficient, ...]:
    """All coefficients of the law, those that are zero too.

    A power of the pixels is told as the one that has the value and the slope of its two neighbours
    at the largest measured side.

    Args:
        case: that was fitted.
        found: its coefficients in units of y.
        unit: of y.
    """
    law, pixels = case.law, case.measured[-1] ** 2
    unit = f"({unit})²" if law.root > 1 else unit
    lower, upper, beside = _by_term(case, found)
    if case.branch_unseen:
        return (Coefficient(law.symbols[0], lower[0], unit),)
    if law is BORDER:  # a + b·u + c·u², u = s / largest - origin, in s and n
        (a, b, c), largest = upper.values(), case.measured[-1]
        origin = case.measured[0] / 4 / largest
        values = [a - b * origin + c * origin**2, (b - 2 * c * origin) / largest, c / pixels]
        units = [unit, f"{unit} per px of half the perimeter", f"{unit} per pixel"]
    elif law is POWER:
        constant, *powers = upper.values()
        total = sum(powers)
        p = sum(map(mul, POWERS, powers)) / total if total else 1.0
        values, units = [constant, total / pixels**p, p], [unit, f"{unit} per pixel^p", ""]
    else:
        terms = [*lower.items(), *upper.items(), *beside.items()]
        values = [value / pixels**power for power, value in terms]
        units = [unit + ("", " per pixel", " per pixel²")[power] for power, _ in terms]
    return tuple(map(Coefficient, law.symbols, values, units))


def in_the_side(values: Iterable[float], unit: str) -> tuple[Coefficient, ...]:
    """The coefficients of a parabola in the side in px, for values of the unit."""
    units = (unit, f"{unit} per px of side", f"{unit} per px² of side")
    return tuple(map(Coefficient, "abc", values, units))


def knee_px(case: Case, found: Floats) -> float | None:
    """Side at which the upper part rises above the lower; None without one of them."""
    if not case.below or case.branch_unseen:
        return None
    lower, upper, _ = _by_term(case, found)
    above, b, c = (upper.get(power, 0.0) - lower.get(power, 0.0) for power in (0, 1, 2))
    # the root that stays finite as c goes to 0
    divisor = b + math.sqrt(max(b * b - 4 * c * above, 0))
    if divisor <= 0 or above > 0:
        return None
    return math.sqrt(-2 * above / divisor) * case.measured[-1]


def _by_term(case: Case, found: Floats) -> list[dict[Any, float]]:
    """Coefficients by term, of the lower part, of the upper one, and of what is beside them.

    Those that are zero, too. A constant of any sign is a power of the pixels like others, 0.
    """
    values, law = iter(found.tolist()), case.law
    parts = zip((law.lower, law.terms, law.beside), case.terms, strict=True)
    return [
        {0 if term == "±1" else term: next(values) if term in own else 0.0 for term in every}
        for every, own in parts
    ]
