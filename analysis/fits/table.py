"""`fits.csv`: what is said of each series beyond the measured sizes, and how far it can be trusted.

One row per quantity × clock × device × method × variant × submodule. Columns, in this order:

- `quantity`: `runtime`, `activations` or `total_memory`; `unit`: `ms` or `bytes`.
- `clock`: of a runtime (`analysis.runtime_table`): host on a CPU device; kernel_sum, busy and span
  on a GPU; latency of whole images. Null for memory.
- `device`: null for memory, which does not depend on it.
- `method`, `variant`, `submodule`: `image` is the whole inference as it was measured, `end_to_end`
  with preparation and copies. `method`: of runtimes the sum of the submodules' fits, of memory the
  fit of the submodules' sum.
- `resolutions`, `min_resolution_px`, `max_resolution_px`, `fitted_at_px`: how many, from, to,
  which.
- `extrapolate_to_px`; `extrapolation_factor_pixels`: its pixels over those of the largest
  resolution fitted.
- `study_model`, `study_b0`, `study_b1`, `study_b2`: y = b0 + b1·s + b2·s² with the side s in px;
  `study_max_relative_residual`; `study_predicted`; `study_low`, `study_high`: 95 % prediction
  interval of that model, if it is right, which it does not test.
- `law`, `formula`, `coefficients` (with their units), `f`, `a`, `b`, `c`, `d` (their values in
  `unit`, and per pixel or px as the law has it), `knee_px`, `max_relative_residual`: the law
  chosen.
- `relative_scatter`: of a measurement around the law that explains the points best.
- `back_test_one_out`, `back_test_two_out_lower`, `back_test_two_out_upper`: predicted over observed
  minus one, of the law chosen: the largest resolution without itself, the largest two without both.
- `why_chosen`.
- `predicted`: of the law chosen; of the study's model where none could be.
- `interval_low`, `interval_high`: where one more measurement lies with 95 % if that law is true;
  `spread_low`, `spread_high`: of the estimates of all laws that are not refuted; `band_low`,
  `band_high`: where one more measurement lies, whichever of these is true.
- `fit_refused`, `interval_refused`, `refused`: why there is no fit; no law chosen and no band; no
  prediction or band at `extrapolate_to_px`. Else empty.
- `problems`: what else a reader of the prediction has to know.
- `basis`: `extrapolated`.
- `counted`: exact count at `extrapolate_to_px`, where there is one (memory only).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ..tables import Schema, make_table
from .coefficients import Coefficient
from .estimation import Bounds
from .fitted import KEY, Fitted
from .growth import Curve, Model
from .quadratic import COEFFICIENTS, ENOUGH_FOR_INTERVAL, MODEL, fit_quadratic
from .words import problems, why_chosen

KEY_COLUMNS: Schema = dict.fromkeys(KEY, "string")
"""Columns with which all tables of fits begin."""

LAW_COLUMNS: Schema = {
    "law": "string",
    "formula": "string",
    "coefficients": "string",
    "f": "Float64",
    "a": "Float64",
    "b": "Float64",
    "c": "Float64",
    "d": "Float64",
    "knee_px": "Float64",
    "max_relative_residual": "Float64",
}
"""What a law is, as it was fitted."""

BACK_TEST_COLUMNS: Schema = {
    "back_test_one_out": "Float64",
    "back_test_two_out_lower": "Float64",
    "back_test_two_out_upper": "Float64",
}
"""What a law says of the largest resolutions without having seen them."""

BOUND_COLUMNS: Schema = {
    "interval_low": "Float64",
    "interval_high": "Float64",
    "spread_low": "Float64",
    "spread_high": "Float64",
    "band_low": "Float64",
    "band_high": "Float64",
}
"""Between what a value lies, and if what is true."""

FITS_COLUMNS: Schema = {
    **KEY_COLUMNS,
    "resolutions": "Int64",
    "min_resolution_px": "Int64",
    "max_resolution_px": "Int64",
    "fitted_at_px": "string",
    "extrapolate_to_px": "Int64",
    "extrapolation_factor_pixels": "Float64",
    "study_model": "string",
    "study_b0": "Float64",
    "study_b1": "Float64",
    "study_b2": "Float64",
    "study_max_relative_residual": "Float64",
    "study_predicted": "Float64",
    "study_low": "Float64",
    "study_high": "Float64",
    **LAW_COLUMNS,
    "relative_scatter": "Float64",
    **BACK_TEST_COLUMNS,
    "why_chosen": "string",
    "predicted": "Float64",
    **BOUND_COLUMNS,
    "fit_refused": "string",
    "interval_refused": "string",
    "refused": "string",
    "problems": "string",
    "basis": "string",
    "counted": "Int64",
}
"""Columns of `fits.csv`."""

SUM = "sum of the submodules' laws"
"""What stands for the law in the row of a sum."""


def fits_table(fitted: Sequence[Fitted], extrapolate_to_px: int) -> pd.DataFrame:
    """What is said of every series at one resolution.

    Args:
        fitted: see `analysis.fits.fitted`.
        extrapolate_to_px: side length to predict.
    """
    sums = {one.series[:6]: one.curve(extrapolate_to_px) for one in fitted if one.growth is None}
    rows = [_row(one, extrapolate_to_px, sums.get(one.series[:6])) for one in fitted]
    return make_table(rows, FITS_COLUMNS)


def law_values(model: Model | None) -> dict[str, Any]:
    """Values of `LAW_COLUMNS`; null without a law."""
    if model is None:
        return dict.fromkeys(LAW_COLUMNS)
    by_name = {part.name: part.value for part in model.coefficients}
    return {
        "law": model.law.name,
        "formula": model.law.formula,
        "coefficients": coefficient_words(model.coefficients),
        **{name: by_name.get(name) for name in "fabcd"},
        "knee_px": model.knee_px,
        "max_relative_residual": model.max_relative_residual,
    }


def coefficient_words(coefficients: Iterable[Coefficient]) -> str:
    """Such as ``a = 0.25 ms; b = 3.1e-06 ms per pixel``."""
    return "; ".join(f"{part.name} = {part.value:.6g} {part.unit}" for part in coefficients)


def back_test_values(errors: Sequence[float | None]) -> dict[str, float | None]:
    """Values of `BACK_TEST_COLUMNS`; null without a back-test."""
    known = errors if len(errors) == len(BACK_TEST_COLUMNS) else [None] * len(BACK_TEST_COLUMNS)
    return dict(zip(BACK_TEST_COLUMNS, known, strict=True))


def bound_values(curve: Curve, index: int = 0) -> dict[str, float | None]:
    """Values of `BOUND_COLUMNS` at one side of a curve."""
    bounds: Mapping[str, Bounds] = {
        "interval": curve.interval,
        "spread": curve.spread,
        "band": curve.band,
    }
    return {
        f"{name}_{end}": number(values[index])
        for name, both in bounds.items()
        for end, values in zip(("low", "high"), both, strict=True)
    }


def number(value: float) -> float | None:
    """Null where there is none."""
    return None if np.isnan(value) else float(value)


def _row(one: Fitted, side_px: int, total: Curve | None) -> dict[str, Any]:
    series, growth, curve = one.series, one.growth, one.curve(side_px)
    sides, chosen = series.side_px, growth.chosen if growth else None
    law = law_values(chosen)
    if growth is None and not one.interval_refused:
        law = {**law, "law": SUM}
    return {
        **one.key,
        "resolutions": len(sides),
        "min_resolution_px": min(sides, default=None),
        "max_resolution_px": max(sides, default=None),
        "fitted_at_px": " ".join(map(str, sides)),
        "extrapolate_to_px": side_px,
        "extrapolation_factor_pixels": number(curve.factor[0]),
        **_study_values(one, curve, side_px),
        **law,
        "relative_scatter": growth.relative_scatter if growth else None,
        **back_test_values(chosen.back_test_errors if chosen else ()),
        "why_chosen": why_chosen(growth) if growth else "",
        "predicted": number(curve.predicted[0]),
        **bound_values(curve),
        "fit_refused": one.fit_refused,
        "interval_refused": one.interval_refused,
        "refused": curve.refused[0],
        "problems": "; ".join(
            [
                *(problems(growth, curve) if growth else ()),
                *_of_whole(one, curve, total),
                *([f"runs that were not steady: {series.unsteady}"] if series.unsteady else ()),
            ]
        ),
        "basis": "extrapolated",
        "counted": series.counted,
    }


def _study_values(one: Fitted, curve: Curve, side_px: int) -> dict[str, Any]:
    """The study's model; of a sum through the sums."""
    names = ("b0", "b1", "b2", "max_relative_residual", "predicted", "low", "high")
    nothing = {"study_model": MODEL, **{f"study_{name}": None for name in names}}
    series = one.series
    if len(series.side_px) < COEFFICIENTS or one.fit_refused:
        return nothing
    fit = fit_quadratic(series.side_px, series.values)
    predicted = number(curve.study[0])
    low, high = None, None
    if len(series.side_px) >= ENOUGH_FOR_INTERVAL and predicted is not None:
        low, high = (float(np.squeeze(bound)) for bound in fit.prediction_interval(side_px))
    values = (*fit.coefficients, fit.max_relative_residual, predicted, low, high)
    return {
        **nothing,
        **{f"study_{name}": value for name, value in zip(names, values, strict=True)},
    }


def _of_whole(one: Fitted, curve: Curve, total: Curve | None) -> Iterator[str]:
    """Says where the fit of a whole image contradicts the sum of its submodules' fits."""
    if total is None or one.series.submodule != "image" or np.isnan(curve.band.high[0]):
        return
    summed, low, high = total.predicted[0], curve.band.low[0], curve.band.high[0]
    if not np.isnan(total.band.high[0]) and not low <= summed <= high:
        yield (
            f"the submodules' laws sum up to {summed:.3g} {one.series.unit}, outside of this band: "
            "the whole follows no single law, prefer the sum"
        )
