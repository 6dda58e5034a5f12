"""Numbers as people read them: as many digits as are known, and no zero with a sign.

The page has the same rule in its script `dom.js`.
"""

from __future__ import annotations

import math
import re

DIGITS = 4
"""Significant digits of a number of which no uncertainty is known."""

MOST_DIGITS = 6
"""More are never shown, however well a number is known."""

TWO_DIGITS = 3.55
"""Half-widths that begin with less have two digits."""

_ZERO = re.compile(r"^-(?=[0,.]*(?:e[-+]\d+)?\s?%?$)")
"""The sign of a number whose digits are all zero."""


def unsigned_zero(text: str) -> str:
    """A formatted number, without the sign that is left of a small one: 0.0 for -0.0."""
    return _ZERO.sub("", text)


def known(
    value: float,
    low: float | None = None,
    high: float | None = None,
    digits: int = DIGITS,
    most: int = MOST_DIGITS,
) -> str:
    """A number in the digits that its 95 % interval leaves.

    Of half of the interval's width two digits are shown if it begins with less than 3.55, else one
    (Particle Data Group, "Review of Particle Physics", introduction, section 5.3, rounding).

    Args:
        value: the number.
        low: lower end; None or NA, like `high`, where it has none.
        high: upper end.
        digits: significant ones, where there is no interval, or none of a width.
        most: significant digits where there is one.
    """
    return _decimal(value, places(value, low, high, digits, most))


def known_interval(
    value: float, low: float | None, high: float | None, digits: int = DIGITS
) -> tuple[str, str, str]:
    """A number and both ends of its interval, to the same place; empty where there is none.

    Args:
        value: the number.
        low: lower end.
        high: upper end.
        digits: as for `known`.
    """
    if _is_missing(value):
        return "", "", ""
    place = places(value, low, high, digits)
    # the number keeps its first digit; an end far from it has no more digits for that
    of_width = place if _is_missing(high) else min(place, places(float(high), low, high, digits))  # type: ignore[arg-type]
    ends = [
        "" if _is_missing(end) else _decimal(float(end), max(of_width, -_exponent(float(end))))  # type: ignore[arg-type]
        for end in (low, high)
    ]
    return _decimal(value, place), ends[0], ends[1]


def places(
    value: float,
    low: float | None = None,
    high: float | None = None,
    digits: int = DIGITS,
    most: int = MOST_DIGITS,
) -> int:
    """Decimal places to which a number is shown; negative: it is rounded before the point."""
    largest = _exponent(value)
    if _is_missing(low) or _is_missing(high) or not float(high) > float(low):  # type: ignore[arg-type]
        return digits - 1 - largest if value else 0
    half_width = (float(high) - float(low)) / 2  # type: ignore[arg-type]
    last = _exponent(half_width)
    digits = 2 if half_width / 10.0**last < TWO_DIGITS else 1
    # a number keeps its first digit, even where it is not known
    return max(min(digits - 1 - last, most - 1 - largest), -largest)


def percent(share: float, decimals: int = 0, *, signed: bool = False) -> str:
    """A share in percent: `12%`, `+0.3%`, and `0.0%` whatever the sign."""
    text = f"{share:{'+' if signed else ''}.{decimals}%}"
    return text if text.strip("+-0.%") else text.lstrip("+-")


def _decimal(value: float, place: int) -> str:
    """Without trailing zeros behind the digits that are known, and without an exponent."""
    rounded = round(value, place) if math.isfinite(value) else value
    return unsigned_zero(f"{rounded:,.{min(max(place, 0), 15)}f}")


def _exponent(value: float) -> int:
    """Of the first digit: 2 for 123, -1 for 0.5; 0 for 0."""
    if value == 0 or not math.isfinite(value):
        return 0
    return int(f"{value:e}".partition("e")[2])


def _is_missing(value: object) -> bool:
    """None, NA, NaN or infinite."""
    try:
        return not math.isfinite(value)  # type: ignore[arg-type]
    except TypeError:  # None, NA
        return True
