"""What an extrapolation turned out to be worth, in plain words."""

from __future__ import annotations

from .quadratic import QuadraticFit

SMALL_ERROR = 0.01
"""Relative error up to which the study's model is called right."""

NO_ALARM_FROM = 0.99
"""R² that is commonly taken for a good fit."""

SAME_POWER = 0.1
"""How near to 2 a power counts as quadratic."""


def verdict(fit: QuadraticFit, at_px: int, counted: int, growth_power: float | None) -> str:
    """Says whether the parabola held where it was extrapolated to, and if not, what it missed.

    Args:
        fit: through the counts at the study's resolutions.
        at_px: side length it is judged at.
        counted: the exact count there, in bytes.
        growth_power: with which power of the side the counts grow beyond the fit.
    """
    if len({*fit.observed.tolist(), float(counted)}) == 1:
        return f"constant: {'the same' if counted else '0 bytes'} at every resolution"
    predicted = float(fit.predict(at_px))
    if counted and abs(predicted / counted - 1) < SMALL_ERROR:
        return f"quadratic: error below {SMALL_ERROR * 100:g} %"
    parts = [_growth(growth_power, fit), _miss(predicted, counted), _alarm(fit)]
    return f"not quadratic: {'; '.join(part for part in parts if part)}"


def _growth(power: float | None, fit: QuadraticFit) -> str:
    if power is None:
        return ""
    grows = f"grows with the power {power:.1f} of the side"
    if abs(power - 2) >= SAME_POWER:
        return grows
    # one parabola for small images, another for large ones
    return f"{grows}, but not yet from {min(fit.side_px):.0f} to {max(fit.side_px):.0f} px"


def _miss(predicted: float, counted: int) -> str:
    if predicted <= 0:
        return "the quadratic falls to zero or below"
    if not counted:
        return "nothing is counted where the quadratic gives something"
    percent = abs(predicted / counted - 1) * 100
    direction = "little" if predicted < counted else "much"
    return f"the quadratic gives {percent:.{0 if percent >= 10 else 1}f} % too {direction}"


def _alarm(fit: QuadraticFit) -> str:
    if fit.r_squared is None or fit.r_squared < NO_ALARM_FROM:
        return ""
    return f"R² of {fit.r_squared:.3f} raised no alarm"
