"""Coefficients of a law, with their units, from the scaled ones of a fitted case."""

from __future__ import annotations

import math
from typing import NamedTuple

from .estimation import FormFit
from .models import Floats, MeasuredRange, Term


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


def physical_coefficients(fit: FormFit, unit: str, series: int = 0) -> tuple[Coefficient, ...]:
    """All coefficients of the law, those that are zero too.

    Args:
        fit: a fitted case.
        unit: of the quantity.
        series: which one.
    """
    found = _by_term(fit, series)
    floor = (Coefficient("f", float(fit.coefficients[series, 0]), unit),)
    first = floor if fit.form.on_floor else ()
    if fit.form.branch_unseen:
        return first
    if "u" in fit.form.law.terms:
        return first + _in_the_side(found, fit.measured, unit)
    return first + _in_the_pixels(found, fit, unit)


def knee_px(fit: FormFit, series: int = 0) -> float | None:
    """Side at which the branch rises above the floor; None without one, or without the other."""
    if not fit.form.on_floor or fit.form.branch_unseen:
        return None
    found = _by_term(fit, series)
    above = float(fit.coefficients[series, 0]) - found.get("1", 0.0)
    b = found.get("n", 0.0)
    c = found.get("n²", 0.0) if "n²" in fit.form.branch else 0.0
    # the root that stays finite as c goes to 0
    divisor = b + math.sqrt(max(b * b + 4 * c * above, 0))
    if divisor <= 0 or above < 0:
        return None
    return math.sqrt(2 * above / divisor) * fit.measured.largest_px


def _by_term(fit: FormFit, series: int) -> dict[Term, float]:
    branch: Floats = fit.coefficients[series, bool(fit.form.on_floor) :]
    return dict(zip(fit.form.terms, (float(value) for value in branch), strict=True))


def _in_the_pixels(found: dict[Term, float], fit: FormFit, unit: str) -> tuple[Coefficient, ...]:
    pixels = fit.measured.largest_px**2
    if fit.form.law.root > 1:
        unit = f"({unit})²"
    per: dict[Term, tuple[str, float, str]] = {
        "1": ("a", 1.0, unit),
        "n": ("b", pixels, f"{unit} per pixel"),
        "n²": ("c", pixels**2, f"{unit} per pixel²"),
        "m": ("d", pixels, f"{unit} per pixel"),
    }
    return tuple(
        Coefficient(name, found.get(term, 0.0) / scale, of)
        for term, (name, scale, of) in per.items()
        if term in fit.form.law.terms
    )


def _in_the_side(
    found: dict[Term, float], measured: MeasuredRange, unit: str
) -> tuple[Coefficient, ...]:
    """Expand a + b·u + c·u², u = (s - origin) / largest, in powers of s."""
    a, b, c = (found.get(term, 0.0) for term in ("1", "u", "u²"))
    origin, scale = measured.origin_px / measured.largest_px, measured.largest_px
    return (
        Coefficient("a", a - b * origin + c * origin**2, unit),
        Coefficient("b", (b - 2 * c * origin) / scale, f"{unit} per px of side"),
        Coefficient("c", c / scale**2, f"{unit} per px² of side"),
    )
