"""Latency at the image of a sensor: measured there, or by a law of growth with its band.

From the decoded image to its result (`end_to_end`), without a profiler. Never transferred from one
device to another.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from ..fits.growth import Growth, fit_growth
from ..fits.models import NOTHING_KNOWN, Prior
from ..fits.series import MEAN_COLUMNS, relative_std
from ..statistics.summary import Estimate

LATENCY, END_TO_END = "latency", "end_to_end"
"""Clock and row of `runtime.csv` by which cycle times are judged."""

P99_COLUMNS = ("p99_ms", "p99_low_ms", "p99_high_ms")
"""Columns of the 99th percentile with its interval."""


@dataclass(frozen=True)
class Speed:
    """Latency in ms.

    Attributes:
        mean: with its 95 % interval, or with the band where it is not measured.
        p99: the same of the 99th percentile; None where it is not known.
        basis: `measured`; `interpolated` or `extrapolated` by the law that explains the growth.
        factor: pixels over those of the largest measured resolution; 1 where it was measured.
        images: measured images of a run; of the runs that a law was fitted to, the fewest.
        verdict: `steady`, or the other verdicts of these runs, by comma.
    """

    mean: Estimate
    p99: Estimate | None
    basis: str
    factor: float
    images: int
    verdict: str


class Latencies:
    """The known latency of a method in a variant on a device, at any side.

    Args:
        runtime: rows of `runtime.csv` of one device, method and variant.
        prior: laws to admit for the growth of the whole image.
    """

    def __init__(self, runtime: pd.DataFrame, prior: Prior = NOTHING_KNOWN) -> None:
        rows = runtime[(runtime["clock"] == LATENCY) & (runtime["submodule"] == END_TO_END)]
        self._rows = rows[rows["mean_ms"].notna()].sort_values("resolution_px")
        self._prior = prior

    def at(self, side_px: int) -> Speed | str:
        """Latency at a side in px; or why it cannot be told."""
        rows = self._rows
        if rows.empty:
            return "no latency was measured"
        exact = rows[rows["resolution_px"] == side_px]
        if len(exact):
            row = exact.iloc[0]
            measured = (_known(_estimate(row, MEAN_COLUMNS)), _estimate(row, P99_COLUMNS))
            return Speed(*measured, "measured", 1.0, *_runs(exact))
        mean = _predicted(self._mean, side_px)
        if isinstance(mean, str):
            return mean
        p99 = _predicted(self._p99, side_px)
        factor = (side_px / float(rows["resolution_px"].max())) ** 2
        return Speed(
            mean,
            None if isinstance(p99, str) else self._with_known_ends(p99),
            "extrapolated" if factor > 1 else "interpolated",
            factor,
            *_runs(rows),
        )

    def _with_known_ends(self, p99: Estimate) -> Estimate:
        """Leave out ends where a measured p99 has none: a law makes it no surer than it was."""
        return p99 if self._rows["p99_high_ms"].notna().all() else Estimate(p99.value)

    @cached_property
    def _mean(self) -> Growth:
        return self._fit(MEAN_COLUMNS)

    @cached_property
    def _p99(self) -> Growth:
        return self._fit(P99_COLUMNS)

    def _fit(self, columns: tuple[str, str, str]) -> Growth:
        value = columns[0]
        rows = self._rows[self._rows[value].notna()]
        return fit_growth(
            rows["resolution_px"].astype(float).tolist(),
            rows[value].astype(float).tolist(),
            "ms",
            relative_std=relative_std(rows, columns),
            prior=self._prior,
        )


def _runs(rows: pd.DataFrame) -> tuple[int, str]:
    """Images of the smallest, and verdicts of the runs that were used."""
    verdicts = dict.fromkeys(rows["verdict"].dropna())
    unsteady = [str(verdict) for verdict in verdicts if verdict != "steady"]
    return int(rows["images"].min()), ", ".join(unsteady) or "steady"


def _estimate(row: pd.Series, columns: tuple[str, str, str]) -> Estimate | None:
    value, low, high = (None if pd.isna(row[name]) else float(row[name]) for name in columns)
    return None if value is None else Estimate(value, low, high)


def _known(estimate: Estimate | None) -> Estimate:
    assert estimate is not None, "rows without a mean are left out"
    return estimate


def _predicted(growth: Growth, side_px: int) -> Estimate | str:
    curve = growth.curve([side_px])
    if curve.refused[0]:
        return f"extrapolation refused: {curve.refused[0]}"
    low, high = float(curve.band.low[0]), float(curve.band.high[0])
    return Estimate(float(curve.predicted[0]), max(low, 0.0), high if np.isfinite(high) else None)
