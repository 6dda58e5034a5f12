"""Coefficients of a law with their units, and its knee, from the scaled ones of a fitted case."""

from __future__ import annotations

import math
from typing import NamedTuple

from .estimation import Fit
from .models import POWER, Term

Found = dict[Term, float]


class Coefficient(NamedTuple):
    """One coefficient of a law.

    Attributes:
        name: as in the formula of the law.
        value: in the unit.
        unit: that of the quantity, or per pixel, per pixel², per px of side, per px² of side.
    """

    name: str
    value: float
    unit: str


def physical_coefficients(fit: Fit, unit: str, series: int = 0) -> tuple[Coefficient, ...]:
    """All coefficients of the law, those that are zero too.

    A power of the pixels is told as the one that has the value and the slope of its two neighbours
    at the largest measured side.
    """
    law, found = fit.case.law, _by_term(fit, series)
    unit = f"({unit})²" if law.root > 1 else unit
    if fit.case.branch_unseen:
        return (Coefficient(law.symbols[0], found[0][0], unit),)
    if "u" in law.terms:
        return _in_the_side(fit, found[1], unit)
    pixels = fit.case.measured.px[-1] ** 2
    if law is POWER:
        powers = {power: value for power, value in found[1].items() if power}
        total = sum(powers.values())
        p = sum(_power(power) * value for power, value in powers.items()) / total if total else 1.0
        b = Coefficient("b", total / pixels**p, f"{unit} per pixel^p")
        return Coefficient("a", found[1].get(0, 0.0), unit), b, Coefficient("p", p, "")
    terms = zip((law.lower, law.terms, law.beside), found, strict=True)
    values = [(_power(term), of.get(term, 0.0)) for part, of in terms for term in part]
    return tuple(
        Coefficient(symbol, value / pixels**power, unit + ("", " per pixel", " per pixel²")[power])
        for symbol, (power, value) in zip(law.symbols, values, strict=True)
    )


def knee_px(fit: Fit, series: int = 0) -> float | None:
    """Side at which the upper part rises above the lower; None without one of them."""
    if not fit.case.below or fit.case.branch_unseen:
        return None
    lower, upper, _ = (
        {_power(term): value for term, value in part.items()} for part in _by_term(fit, series)
    )
    above, b, c = (upper.get(power, 0.0) - lower.get(power, 0.0) for power in (0, 1, 2))
    # the root that stays finite as c goes to 0
    divisor = b + math.sqrt(max(b * b - 4 * c * above, 0))
    if divisor <= 0 or above > 0:
        return None
    return math.sqrt(-2 * above / divisor) * fit.case.measured.px[-1]


def _power(term: Term) -> int:
    """Of the pixels; the constant of any sign is one, too."""
    return 0 if isinstance(term, str) else term  # type: ignore[return-value]


def _by_term(fit: Fit, series: int) -> tuple[Found, ...]:
    """By term, of the lower part, of the upper one, and of what is beside them."""
    values = iter(fit.coefficients[series].tolist())
    return tuple({term: next(values) for term in part} for part in fit.case.terms)


def _in_the_side(fit: Fit, found: Found, unit: str) -> tuple[Coefficient, ...]:
    """Expand a + b·u + c·u², u = (s - origin) / largest, in powers of s."""
    a, b, c = found.get(0, 0.0), found.get("u", 0.0), found.get("u²", 0.0)
    scale = fit.case.measured.px[-1]
    origin = fit.case.measured.origin_px / scale
    return (
        Coefficient("a", a - b * origin + c * origin**2, unit),
        Coefficient("b", (b - 2 * c * origin) / scale, f"{unit} per px of side"),
        Coefficient("c", c / scale**2, f"{unit} per px² of side"),
    )
