"""`fits.csv`: the study's model of each submodule, and what it predicts beyond the measured sizes.

One row per quantity × clock × device × method × variant × submodule. Columns, in this order:

- `quantity`: `runtime`, `activations` or `total_memory`; `unit`: `ms` or `bytes`.
- `clock`: of a runtime (`analysis.runtime_table`); null for memory.
- `device`: null for memory, which does not depend on it.
- `method`, `variant`, `submodule`: `image` is the whole inference, `method` the sum of the
  submodules' memory.
- `model`, `b0`, `b1`, `b2`: y = b0 + b1·s + b2·s² with the side s in px; null if refused.
- `resolutions`: how many it was fitted to; `min_resolution_px`, `max_resolution_px`: from, to;
  `fitted_at_px`: which.
- `max_relative_residual`: largest |observed − fitted| / observed; null where a value is 0.
- `extrapolate_to_px`; `extrapolation_factor_pixels`: its pixels over those of the largest
  resolution fitted.
- `predicted`, `predicted_low`, `predicted_high`: in `unit`; 95 % prediction interval (Student's t).
  It holds if the model is right, which it does not test.
- `predicted_problem`: says so where the prediction is not positive, else empty.
- `fit_refused`, `interval_refused`: the reason, else empty.
- `basis`: `extrapolated`.
- `counted`: exact count at `extrapolate_to_px`, where there is one (memory only).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from analysis.fits.quadratic import (
    COEFFICIENTS,
    ENOUGH_FOR_INTERVAL,
    MODEL,
    QuadraticFit,
    fit_quadratic,
)
from analysis.tables import Schema, make_table

FITS_COLUMNS: Schema = {
    "quantity": "string",
    "unit": "string",
    "clock": "string",
    "device": "string",
    "method": "string",
    "variant": "string",
    "submodule": "string",
    "model": "string",
    "b0": "Float64",
    "b1": "Float64",
    "b2": "Float64",
    "resolutions": "Int64",
    "min_resolution_px": "Int64",
    "max_resolution_px": "Int64",
    "fitted_at_px": "string",
    "max_relative_residual": "Float64",
    "extrapolate_to_px": "Int64",
    "extrapolation_factor_pixels": "Float64",
    "predicted": "Float64",
    "predicted_low": "Float64",
    "predicted_high": "Float64",
    "predicted_problem": "string",
    "fit_refused": "string",
    "interval_refused": "string",
    "basis": "string",
    "counted": "Int64",
}
"""Columns of `fits.csv`."""

WHOLE_METHOD = "method"
"""Name under which the memory of all submodules together is fitted."""


class Series(NamedTuple):
    """One quantity over the resolution.

    Attributes:
        quantity: `runtime`, `activations` or `total_memory`.
        unit: of the values.
        clock: of a runtime, else None.
        device: of a runtime, else None.
        method: the user's label.
        variant: implementation and precision.
        submodule: or `image`, or `method`.
        side_px: resolutions, ascending.
        values: one per resolution.
        counted: exact value at the resolution extrapolated to, None where unknown.
    """

    quantity: str
    unit: str
    clock: str | None
    device: str | None
    method: str
    variant: str
    submodule: str
    side_px: tuple[int, ...]
    values: tuple[float, ...]
    counted: int | None


def fits_table(series: Iterator[Series], extrapolate_to_px: int) -> pd.DataFrame:
    """Fit every series and predict it at one resolution.

    Args:
        series: what to fit; see `analysis.fits.series`.
        extrapolate_to_px: side length to predict.
    """
    return make_table([_row(one, extrapolate_to_px) for one in series], FITS_COLUMNS)


def _row(series: Series, extrapolate_to_px: int) -> dict[str, Any]:
    known, sides = len(series.side_px), series.side_px
    fit = fit_quadratic(sides, series.values) if known >= COEFFICIENTS else None
    largest_px = max(sides, default=None)
    b0, b1, b2 = fit.coefficients if fit else (None, None, None)
    return {
        **{name: getattr(series, name) for name in ("quantity", "unit", "clock", "device")},
        **{name: getattr(series, name) for name in ("method", "variant", "submodule")},
        "model": MODEL,
        "b0": b0,
        "b1": b1,
        "b2": b2,
        "resolutions": known,
        "min_resolution_px": min(sides, default=None),
        "max_resolution_px": largest_px,
        "fitted_at_px": " ".join(map(str, sides)),
        "max_relative_residual": fit.max_relative_residual if fit else None,
        "extrapolate_to_px": extrapolate_to_px,
        "extrapolation_factor_pixels": (extrapolate_to_px / largest_px) ** 2
        if largest_px
        else None,
        **_prediction(fit, extrapolate_to_px),
        "fit_refused": _refusal(known, COEFFICIENTS, "the parabola"),
        "interval_refused": _refusal(known, ENOUGH_FOR_INTERVAL, "a prediction interval"),
        "basis": "extrapolated",
        "counted": series.counted,
    }


def _prediction(fit: QuadraticFit | None, side_px: int) -> dict[str, Any]:
    if fit is None:
        nothing = {"predicted": None, "predicted_low": None, "predicted_high": None}
        return {**nothing, "predicted_problem": ""}
    predicted = float(fit.predict(side_px))
    low, high = None, None
    if len(fit.side_px) >= ENOUGH_FOR_INTERVAL:
        low, high = (float(np.squeeze(bound)) for bound in fit.prediction_interval(side_px))
    problem = "" if predicted > 0 else "not positive: the model does not hold here"
    return {
        "predicted": predicted,
        "predicted_low": low,
        "predicted_high": high,
        "predicted_problem": problem,
    }


def _refusal(known: int, needed: int, what: str) -> str:
    if known >= needed:
        return ""
    plural = "" if known == 1 else "s"
    return f"{known} resolution{plural}: {what} needs at least {needed}"
