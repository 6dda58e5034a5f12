"""`fit_models.csv`: every law that was fitted to each series, and what became of it.

One row per series × law; the study's model last. Columns, in this order:

- `quantity` … `submodule`: which series, as in `fits.csv`. Sums have no laws of their own.
- `law`, `formula`, `coefficients`, `f`, `a`, `b`, `c`, `d`, `knee_px`, `max_relative_residual`: as
  in `fits.csv`.
- `score`: misfit in squared scatters plus a price for each complication, less that of the law
  chosen; `aicc`; both null for the study's model, which is not weighed.
- `back_test_…`: as in `fits.csv`; `passed`: whether they lie within what the law allows.
- `band_share`: share of its interval with which the law is in the band; `chosen`.
- `predicted`: at `extrapolate_to_px`, null where that is refused.
- `verdict`: what became of the law, in words.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ..tables import Schema, make_table
from .fitted import Fitted
from .growth import Growth, Model
from .quadratic import MODEL, hold_out_errors
from .table import BACK_TEST_COLUMNS, KEY_COLUMNS, LAW_COLUMNS, back_test_values, law_values, number
from .words import verdict

FIT_MODELS_COLUMNS: Schema = {
    **KEY_COLUMNS,
    **LAW_COLUMNS,
    "score": "Float64",
    "aicc": "Float64",
    **BACK_TEST_COLUMNS,
    "passed": "boolean",
    "band_share": "Float64",
    "chosen": "boolean",
    "extrapolate_to_px": "Int64",
    "predicted": "Float64",
    "verdict": "string",
}
"""Columns of `fit_models.csv`."""

STUDY_VERDICT = "the study's model: always shown, not weighed"


def fit_models_table(fitted: Sequence[Fitted], extrapolate_to_px: int) -> pd.DataFrame:
    """The laws of every series.

    Args:
        fitted: see `analysis.fits.fitted`.
        extrapolate_to_px: side length to predict.
    """
    return make_table(
        [row for one in fitted for row in _rows(one, extrapolate_to_px)], FIT_MODELS_COLUMNS
    )


def _rows(one: Fitted, side_px: int) -> Iterator[dict[str, Any]]:
    growth = one.growth
    if growth is None:
        return
    refused = bool(one.curve(side_px).refused[0])
    for model in growth.models:
        yield {
            **one.key,
            **law_values(model),
            "score": model.score,
            "aicc": model.aicc,
            **back_test_values(model.back_test_errors),
            "passed": model.passed,
            "band_share": model.band_share,
            "chosen": model.chosen,
            "extrapolate_to_px": side_px,
            "predicted": None if refused else _predicted(growth, model, side_px),
            "verdict": verdict(model),
        }
    if growth.study is not None:
        yield _study_row(one, growth, side_px)


def _predicted(growth: Growth, model: Model, side_px: int) -> float:
    assert growth.evidence is not None
    (found,) = (fit for fit in growth.evidence.fitted if fit.law is model.law)
    return float(found.predict(np.array([side_px], np.float64))[0, 0])


def _study_row(one: Fitted, growth: Growth, side_px: int) -> dict[str, Any]:
    study = growth.study
    assert study is not None
    b0, b1, b2 = study.coefficients
    unit, positive = growth.unit, bool(np.all(study.observed > 0))
    errors = hold_out_errors(study.side_px, study.observed) if positive else ()
    return {
        **dict.fromkeys(FIT_MODELS_COLUMNS),
        **one.key,
        "law": MODEL,
        "formula": "a + b·s + c·s²",
        "coefficients": f"a = {b0:.6g} {unit}; b = {b1:.6g} {unit} per px of side; "
        f"c = {b2:.6g} {unit} per px² of side",
        "a": b0,
        "b": b1,
        "c": b2,
        "max_relative_residual": study.max_relative_residual,
        **back_test_values(errors),
        "chosen": False,
        "extrapolate_to_px": side_px,
        "predicted": number(one.curve(side_px).study[0]),
        "verdict": STUDY_VERDICT,
    }
