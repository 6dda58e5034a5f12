"""Coefficients of a law with their units, and its knee, from the scaled ones of a fitted case."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

from .models import BORDER, POWER, Case, Floats, Term


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
    law, pixels, by_term = case.law, case.measured[-1] ** 2, _by_term(case, found)
    unit = f"({unit})²" if law.root > 1 else unit
    lower, upper, _ = by_term
    if case.branch_unseen:
        return (Coefficient(law.symbols[0], lower[0], unit),)
    if law is BORDER:  # a + b·u + c·u², u = s / largest - origin, in s and n
        a, b, c = (upper.get(term, 0.0) for term in law.terms)
        scale, origin = case.measured[-1], case.measured[0] / 4 / case.measured[-1]
        values = (a - b * origin + c * origin**2, (b - 2 * c * origin) / scale, c / scale**2)
        units = (unit, f"{unit} per px of half the perimeter", f"{unit} per pixel")
        return tuple(map(Coefficient, law.symbols, values, units))
    if law is POWER:
        powers = {float(power): value for power, value in upper.items() if power}
        total = sum(powers.values())
        p = sum(power * value for power, value in powers.items()) / total if total else 1.0
        values = (upper.get(0, 0.0), total / pixels**p, p)
        return tuple(map(Coefficient, law.symbols, values, (unit, f"{unit} per pixel^p", "")))
    parts = zip((law.lower, law.terms, law.beside), by_term, strict=True)
    terms = [(_power(term), of.get(_power(term), 0.0)) for part, of in parts for term in part]
    return tuple(
        Coefficient(symbol, value / pixels**power, unit + ("", " per pixel", " per pixel²")[power])
        for symbol, (power, value) in zip(law.symbols, terms, strict=True)
    )


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


def _power(term: Term) -> Any:
    """The constant of any sign is a power of the pixels, too."""
    return 0 if term == "±1" else term


def _by_term(case: Case, found: Floats) -> list[dict[Any, float]]:
    """Coefficients by term, of the lower part, of the upper one, and of what is beside them."""
    values = iter(found.tolist())
    return [{_power(term): next(values) for term in part} for part in case.terms]
