"""`fit_curves.csv`: every series with its fit and band, from the smallest side to the last.

What figures draw. One row per series × side. Columns, in this order:

- `quantity` … `submodule`: which series, as in `fits.csv`.
- `resolution_px`, `pixels`, `extrapolation_factor_pixels`: the side, and its pixels over those of
  the largest resolution fitted.
- `observed`: what the fit goes through: the mean time or the count at this resolution; null at all
  other sides.
- `study_predicted`: the study's model; `predicted`, `interval_…`, `spread_…`, `band_…`: as in
  `fits.csv`.
- `refused`: why something is null here, else empty.
- `basis`: `fitted` up to the largest resolution, `extrapolated` beyond.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ..tables import Schema, make_table
from .fitted import Fitted
from .growth import EXTRAPOLATION_LIMIT
from .table import BOUND_COLUMNS, KEY_COLUMNS, bound_values, number

FIT_CURVES_COLUMNS: Schema = {
    **KEY_COLUMNS,
    "resolution_px": "Int64",
    "pixels": "Int64",
    "extrapolation_factor_pixels": "Float64",
    "observed": "Float64",
    "study_predicted": "Float64",
    "predicted": "Float64",
    **BOUND_COLUMNS,
    "refused": "string",
    "basis": "string",
}
"""Columns of `fit_curves.csv`."""

SIDES = 61
"""Sides of a curve beside those that were measured."""


def fit_curves_table(fitted: Sequence[Fitted], extrapolate_to_px: int) -> pd.DataFrame:
    """The curves of every series; of one without any fit only what was observed.

    Args:
        fitted: see `analysis.fits.fitted`.
        extrapolate_to_px: the last side.
    """
    return make_table(
        [row for one in fitted for row in _rows(one, extrapolate_to_px)], FIT_CURVES_COLUMNS
    )


def _rows(one: Fitted, extrapolate_to_px: int) -> Iterator[dict[str, Any]]:
    observed = dict(zip(one.series.side_px, one.series.values, strict=True))
    sides = _sides(one, extrapolate_to_px)
    if not sides:
        return
    curve = one.curve(sides)
    largest_px = max(observed)
    for index, side_px in enumerate(sides):
        yield {
            **one.key,
            "resolution_px": side_px,
            "pixels": side_px**2,
            "extrapolation_factor_pixels": number(curve.factor[index]),
            "observed": observed.get(side_px),
            "study_predicted": number(curve.study[index]),
            "predicted": number(curve.predicted[index]),
            **bound_values(curve, index),
            "refused": curve.refused[index],
            "basis": "fitted" if side_px <= largest_px else "extrapolated",
        }


def _sides(one: Fitted, extrapolate_to_px: int) -> list[int]:
    measured = one.series.side_px
    if not measured or one.fit_refused:
        return list(measured)
    # the last side before it is refused is drawn, too
    limit_px = int(max(measured) * EXTRAPOLATION_LIMIT**0.5)
    grid = np.linspace(min(measured), max(extrapolate_to_px, *measured), SIDES).round().astype(int)
    wanted = {*measured, *grid.tolist(), min(limit_px, extrapolate_to_px)}
    return sorted(side for side in wanted if side >= min(measured))
