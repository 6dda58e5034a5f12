"""Latency at the image of a sensor: measured there, or extrapolated with its band.

From the decoded image to its result (`end_to_end`), without a profiler. Never transferred from one
device to another.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.fits.growth import fit_growth
from analysis.fits.models import NOTHING_KNOWN, Prior
from analysis.statistics.estimate import Estimate

LATENCY, END_TO_END = "latency", "end_to_end"
"""Clock and row of `runtime.csv` by which cycle times are judged."""


@dataclass(frozen=True)
class Speed:
    """Latency in ms.

    Attributes:
        mean: with its 95 % interval, or with the band where it is extrapolated.
        p99: the same of the 99th percentile.
        basis: `measured`; `interpolated` or `extrapolated` by the law that explains the growth.
        factor: pixels over those of the largest measured resolution; 1 where it was measured.
        images: measured images, of all runs that were used.
    """

    mean: Estimate
    p99: Estimate
    basis: str
    factor: float
    images: int


def speed_at(runtime: pd.DataFrame, side_px: int, prior: Prior = NOTHING_KNOWN) -> Speed | str:
    """Latency at a side; or why it cannot be told.

    Args:
        runtime: rows of `runtime.csv` of one device, method and variant.
        side_px: of the image.
        prior: laws to admit for the growth of the whole image.
    """
    rows = runtime[(runtime["clock"] == LATENCY) & (runtime["submodule"] == END_TO_END)]
    rows = rows[rows["mean_ms"].notna()].sort_values("resolution_px")
    if rows.empty:
        return "no latency was measured"
    exact = rows[rows["resolution_px"] == side_px]
    if len(exact):
        row = exact.iloc[0]
        return Speed(
            Estimate(*_ends(row, "mean_ms", "ci95_low_ms", "ci95_high_ms")),
            Estimate(*_ends(row, "p99_ms", "p99_low_ms", "p99_high_ms")),
            "measured",
            1.0,
            int(row["images"]),
        )
    found = [_extrapolated(rows, column, side_px, prior) for column in ("mean_ms", "p99_ms")]
    if isinstance(found[0], str):
        return found[0]
    mean, p99 = found[0], found[1] if not isinstance(found[1], str) else Estimate(float("nan"))
    factor = (side_px / float(rows["resolution_px"].max())) ** 2
    basis = "extrapolated" if factor > 1 else "interpolated"
    return Speed(mean, p99, basis, factor, int(rows["images"].sum()))


def _ends(row: pd.Series, *columns: str) -> tuple[float, float | None, float | None]:
    value, low, high = (None if pd.isna(row[name]) else float(row[name]) for name in columns)
    return float("nan") if value is None else value, low, high


def _extrapolated(rows: pd.DataFrame, column: str, side_px: int, prior: Prior) -> Estimate | str:
    growth = fit_growth(
        rows["resolution_px"].astype(float).tolist(),
        rows[column].astype(float).tolist(),
        "ms",
        prior=prior,
    )
    curve = growth.curve([side_px])
    if curve.refused[0]:
        return f"extrapolation refused: {curve.refused[0]}"
    low, high = float(curve.band.low[0]), float(curve.band.high[0])
    return Estimate(float(curve.predicted[0]), max(low, 0.0), high if np.isfinite(high) else None)
