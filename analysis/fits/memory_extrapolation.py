"""`memory_extrapolation.csv`: what the study assumed of memory, examined.

The study counts memory at small resolutions and extrapolates it with a parabola in the side. Here
the parabola goes through exact counts at its resolutions, and is compared with exact counts beyond.

One row per quantity × method × variant × submodule × resolution judged at. Columns, in this order:

- `quantity`: `activations` (the study's convention) or `peak` (alive at once).
- `method`, `variant`, `device_type`, `submodule`: as in `memory.csv`; `method` is the whole method:
  the sum of the activations, the largest of the peaks.
- `model`, `b0`, `b1`, `b2`: bytes = b0 + b1·s + b2·s² with the side s in px, least squares; null
  where fewer than three of the study's resolutions are counted.
- `fitted_from_px`, `fitted_to_px`, `resolutions`, `fitted_at_px`: what it goes through: from, to,
  how many, and which.
- `r_squared`, `max_relative_residual`: of the fit; null where nothing varies, or a count is 0.
- `at_px`: the resolution it is judged at.
- `predicted_bytes`, `counted_bytes`, `relative_error`: predicted / counted − 1.
- `counted_growth_power`: d log bytes / d log side from the first to the last resolution judged at,
  from the counts; with one alone, from the fitted ones to it.
- `verdict`: all that in plain words.
- `incomplete`: as in `memory.csv`: the verdict is on what was counted.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any, NamedTuple

import pandas as pd

from adscale.names import PAPER_SIDES_PX

from ..tables import Schema, make_table
from .quadratic import COEFFICIENTS, MODEL, QuadraticFit, fit_quadratic, verdict
from .series import WHOLE_METHOD

MEMORY_EXTRAPOLATION_COLUMNS: Schema = {
    "quantity": "string",
    "method": "string",
    "variant": "string",
    "device_type": "string",
    "submodule": "string",
    "model": "string",
    "b0": "Float64",
    "b1": "Float64",
    "b2": "Float64",
    "fitted_from_px": "Int64",
    "fitted_to_px": "Int64",
    "resolutions": "Int64",
    "fitted_at_px": "string",
    "r_squared": "Float64",
    "max_relative_residual": "Float64",
    "at_px": "Int64",
    "predicted_bytes": "Float64",
    "counted_bytes": "Int64",
    "relative_error": "Float64",
    "counted_growth_power": "Float64",
    "verdict": "string",
    "incomplete": "string",
}
"""Columns of `memory_extrapolation.csv`."""

STEP_PX = 128
"""Between the study's sides; a method that does not run at one is counted before the next."""

JUDGED_FROM_PX = 2048
"""The first side at which the parabola is compared with the count."""

QUANTITIES = {"activations": ("activations_bytes", "sum"), "peak": ("peak_bytes", "max")}
"""Column of `memory.csv`, and how it is taken together for the whole method."""


class _Series(NamedTuple):
    """Counted bytes by the side in px, and the names of what they are of."""

    names: Mapping[str, Any]
    counted: Mapping[int, int]


def memory_extrapolation_table(memory: pd.DataFrame, extrapolate_to_px: int) -> pd.DataFrame:
    """Judge the study's extrapolation of every submodule's memory.

    Args:
        memory: `memory.csv`.
        extrapolate_to_px: side length the study extrapolates to; the count is taken at the next
            that the method supports.

    Returns:
        Rows of `MEMORY_EXTRAPOLATION_COLUMNS`.
    """
    rows = chain.from_iterable(_rows(series, extrapolate_to_px) for series in _all_series(memory))
    return make_table(list(rows), MEMORY_EXTRAPOLATION_COLUMNS)


def study_sides(counted_px: Mapping[int, Any]) -> list[int]:
    """The sides that stand for the study's: each counted one that is next to one of them."""
    found = (
        min((side for side in counted_px if study <= side < study + STEP_PX), default=None)
        for study in PAPER_SIDES_PX
    )
    return [side for side in found if side is not None]


def _all_series(memory: pd.DataFrame) -> Iterator[_Series]:
    for quantity, (column, together) in QUANTITIES.items():
        for (method, variant), rows in memory.groupby(["method", "variant"], sort=False):
            whole = rows.groupby("resolution_px", as_index=False)[column].agg(together)
            parts = [*rows.groupby("submodule", sort=False), (WHOLE_METHOD, whole)]
            incomplete = rows["incomplete"].dropna()
            for submodule, part in parts:
                names = {
                    "quantity": quantity,
                    "method": method,
                    "variant": variant,
                    "device_type": rows["device_type"].iloc[0],
                    "submodule": submodule,
                    "incomplete": incomplete.iloc[-1] if len(incomplete) else None,
                }
                sides, sizes = part["resolution_px"].tolist(), part[column].tolist()
                yield _Series(names, dict(zip(sides, sizes, strict=True)))


def _rows(series: _Series, extrapolate_to_px: int) -> Iterator[dict[str, Any]]:
    counted = series.counted
    sides = study_sides(counted)
    judged = _judged_sides(counted, max(sides, default=0), extrapolate_to_px)
    power = _growth_power(counted, [*sides[-1:], *judged])
    fit = None
    if len(sides) >= COEFFICIENTS:
        fit = fit_quadratic(sides, [counted[side] for side in sides])
    b0, b1, b2 = fit.coefficients if fit else (None, None, None)
    for at_px in judged:
        yield {
            **series.names,
            "model": MODEL,
            "b0": b0,
            "b1": b1,
            "b2": b2,
            "fitted_from_px": min(sides, default=None),
            "fitted_to_px": max(sides, default=None),
            "resolutions": len(sides),
            "fitted_at_px": " ".join(map(str, sides)),
            "r_squared": fit.r_squared if fit else None,
            "max_relative_residual": fit.max_relative_residual if fit else None,
            "at_px": at_px,
            **_judgement(fit, at_px, counted.get(at_px), power, len(sides)),
            "counted_growth_power": power,
        }


def _judged_sides(counted: Mapping[int, int], fitted_to_px: int, last_px: int) -> list[int]:
    """The sides from the two asked for on; where nothing was counted, the ones asked for."""
    sides = {
        min((side for side in counted if side >= asked), default=asked)
        for asked in (JUDGED_FROM_PX, last_px)
    }
    return sorted(side for side in sides if side > fitted_to_px)


def _growth_power(counted: Mapping[int, int], sides: list[int]) -> float | None:
    """Between the last two of the sides."""
    if len(sides) < 2:
        return None
    (low_px, low), (high_px, high) = ((side, counted.get(side)) for side in sides[-2:])
    if not low or not high:
        return None
    return math.log(high / low) / math.log(high_px / low_px)


def _judgement(
    fit: QuadraticFit | None, at_px: int, counted: int | None, power: float | None, known: int
) -> dict[str, Any]:
    predicted = float(fit.predict(at_px)) if fit else None
    error = predicted / counted - 1 if predicted is not None and counted else None
    if fit is None:
        plural = "" if known == 1 else "s"
        words = f"not fitted: {known} resolution{plural}, the parabola needs {COEFFICIENTS}"
    elif counted is None:
        words = f"not counted at {at_px} px"
    else:
        words = verdict(fit, at_px, counted, power)
    return {
        "predicted_bytes": predicted,
        "counted_bytes": counted,
        "relative_error": error,
        "verdict": words,
    }
