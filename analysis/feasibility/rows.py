"""Rows of `feasibility.csv`: a method in a variant on a target, at the image of a sensor.

Latency is measured at the image of the sensor, or told by a law of growth with its band: from
the decoded image to its result (`end_to_end`), without a profiler; never transferred from one
device to another.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from adscale.resolution import Resolution
from adscale.variant import Variant

from ..columns import BY_SIZE
from ..fits.growth import Growth, fit_growth
from ..fits.models import NOTHING_KNOWN, Prior, prior_of_whole
from ..fits.series import relative_errors, sizes_of_images
from ..hardware import Sensor
from ..memory_table import complexities_of
from ..statistics.summary import Estimate
from .devices import Target
from .fitting import RAN, Need, counts_for, fits, need_at, observed
from .process import GIB, ProcessGrowth, in_unified_memory, measured_context, measured_growth
from .tables import FeasibilityTables

LATENCY, END_TO_END = "latency", "end_to_end"
"""Clock and row of `runtime.csv` by which cycle times are judged."""

MEAN_COLUMNS = ("mean_ms", "ci95_low_ms", "ci95_high_ms")
P99_COLUMNS = ("p99_ms", "p99_low_ms", "p99_high_ms")
"""Columns of the mean and of the 99th percentile with their intervals."""


@dataclass(frozen=True)
class Speed:
    """Latency in ms; with batches, of a whole one.

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
    """The known latency of a method in a variant on a device, at any size.

    Args:
        runtime: rows of `runtime.csv` of one device, method and variant.
        prior: laws to admit for the growth of the whole image.
        part: whose latency: from decoded image to result, or of one of its parts.
    """

    def __init__(
        self, runtime: pd.DataFrame, prior: Prior = NOTHING_KNOWN, part: str = END_TO_END
    ) -> None:
        rows = runtime[(runtime["clock"] == LATENCY) & (runtime["submodule"] == part)]
        self._rows = rows[rows["mean_ms"].notna()].sort_values(BY_SIZE)
        self._prior = prior

    def at(self, resolution: Resolution) -> Speed | str:
        """Latency at a resolution; or why it cannot be told."""
        rows = self._rows
        if rows.empty:
            return "no latency was measured"
        exact = rows[rows["resolution"] == str(resolution)]
        if len(exact):
            row = exact.iloc[0]
            measured = (_known(_estimate(row, MEAN_COLUMNS)), _estimate(row, P99_COLUMNS))
            return Speed(*measured, "measured", 1.0, *_runs(exact))
        mean = _predicted(self._mean, resolution)
        if isinstance(mean, str):
            return mean
        factor = resolution.pixels / int(rows["pixels"].max())
        return Speed(
            mean,
            self._p99(mean),
            "extrapolated" if factor > 1 else "interpolated",
            factor,
            *_runs(rows),
        )

    def _p99(self, mean: Estimate) -> Estimate | None:
        """The p99 that belongs to a predicted mean, by their ratio at the measured resolutions.

        A law of its own would follow the few largest images of each run, and may fall below the
        mean. The value is by the median ratio; the ends by the smallest and the largest one that
        the intervals of the measured p99 allow. A law makes it no surer than it was: where one of
        these has no end, neither has the prediction.
        """
        rows = self._rows[self._rows["p99_ms"].notna()]
        if rows.empty:
            return None
        ratio, low, high = (rows[name].div(rows["mean_ms"]).clip(lower=1) for name in P99_COLUMNS)
        value = mean.value * float(ratio.median())
        if high.isna().any() or low.isna().any() or mean.low is None or mean.high is None:
            return Estimate(value)
        return Estimate(value, mean.low * float(low.min()), mean.high * float(high.max()))

    @cached_property
    def _mean(self) -> Growth:
        return fit_growth(
            sizes_of_images(list(map(Resolution.of, self._rows["resolution"]))),
            self._rows["mean_ms"].astype(float).tolist(),
            "ms",
            errors=relative_errors(self._rows),
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


def _predicted(growth: Growth, resolution: Resolution) -> Estimate | str:
    curve = growth.curve(sizes_of_images([resolution]))
    if curve.refused[0]:
        return f"extrapolation refused: {curve.refused[0]}"
    low, high = float(curve.band_low[0]), float(curve.band_high[0])
    return Estimate(float(curve.predicted[0]), max(low, 0.0), high if np.isfinite(high) else None)


NOT_MEASURED = "not measured there, and never taken from another GPU"


def feasibility_rows(
    tables: FeasibilityTables, judged: Sequence[Target], sensors: Sequence[Sensor]
) -> Iterator[dict[str, Any]]:
    """Rows of `FEASIBILITY`, by method, variant, place and sensor."""
    for (method, variant), counts in tables.counts.groupby(["method", "variant"], sort=False):
        for target in judged:
            pair = _Pair(tables, str(method), str(variant), counts, target)
            for sensor in sensors:
                yield pair.row(sensor)


class _Pair:
    """A method in a variant on a target, and what is known of it at any sensor."""

    def __init__(
        self,
        tables: FeasibilityTables,
        method: str,
        variant: str,
        counts: pd.DataFrame,
        target: Target,
    ) -> None:
        self._names = {"method": method, "variant": variant}
        self._batch = Variant.of(variant).batch
        self._counts = counts_for(counts, tables.measured, target.device_type, tables.on_cpu)
        self._growth: ProcessGrowth | None = None
        if target.device_type == "cpu":
            self._growth = measured_growth(tables.measured, target.hardware, method, variant)
        self._target = target
        ran = _ran_at(tables.runtime, method, variant)
        self._refused = {
            resolution: reason
            for (*of, resolution), reason in tables.refused.items()
            if of == [method, variant] and resolution not in ran
        }
        context = measured_context(tables.measured, target.hardware, method, variant)
        self._context = in_unified_memory(context) if target.unified_memory else context
        self._plans: pd.DataFrame | None = None
        if tables.tile_plans is not None:
            named = {**self._names, "gpu": target.name}
            plans = tables.tile_plans
            self._plans = plans[(plans[list(named)] == list(named.values())).all(axis=1)]
        self._runs: pd.DataFrame | None = None
        if tables.runtime is not None and target.device is not None:
            wanted = {"device": target.device, **self._names}
            is_own = (tables.runtime[list(wanted)] == list(wanted.values())).all(axis=1)
            self._runs = tables.runtime[is_own]
            self._latencies = Latencies(self._runs, _prior(tables.memory, method, variant))

    def row(self, sensor: Sensor) -> dict[str, Any]:
        target, asked = self._target, sensor.resolution
        refused = self._refusal(asked)
        need: Need | None = None
        speed: Speed | str | None = refused
        verdict, basis, reason = "refused", "counted", str(refused)
        if refused is None:
            need = need_at(self._counts, asked, self._context, self._growth)
            speed = NOT_MEASURED if self._runs is None else self._latencies.at(need.resolution)
            verdict, basis, reason = self._verdict(need)
            if verdict == "does_not_fit":
                reason += self._tiles_words(sensor)
        return {
            "gpu": target.name,
            "device_type": target.device_type,
            "gpu_memory_bytes": target.memory_bytes,
            "unified_memory": target.unified_memory,
            "sensor": sensor.name,
            "sensor_width_px": sensor.width_px,
            "sensor_height_px": sensor.height_px,
            "line_scan": sensor.line_scan,
            "megapixels": sensor.megapixels,
            **self._names,
            "batch": self._batch,
            "sensor_resolution": str(asked),
            "resolution": str(asked if need is None else need.resolution),
            "verdict": verdict,
            "verdict_basis": basis,
            "reason": reason,
            **_need_values(need, target),
            "device": target.device,
            "hardware": target.hardware,
            **_speed_values(None if isinstance(speed, str) else speed, self._batch),
            "latency_problem": speed if isinstance(speed, str) else None,
        }

    def _tiles_words(self, sensor: Sensor) -> str:
        """The tiles in which an image fits that does not as a whole; nothing without a plan."""
        if self._plans is None:
            return ""
        own = self._plans[(self._plans["sensor"] == sensor.name) & (self._plans["tiles"] > 1)]
        if own.empty or own.iloc[0]["verdict"] != "fits":
            return ""
        return f"; fits in {own.iloc[0]['tiles']} tiles of {own.iloc[0]['tile']} px"

    def _refusal(self, resolution: Resolution) -> str | None:
        """Why the method does not run at a resolution; a run anywhere outweighs its count."""
        reason = self._refused.get(str(resolution))
        return None if reason is None else f"refused: {reason}"

    def _verdict(self, need: Need) -> tuple[str, str, str]:
        """Verdict, basis and reason: a run that was measured outweighs a count."""
        target = self._target
        verdict, reason = fits(need, target.memory_bytes, target.device_type)
        seen = None if self._runs is None else observed(self._runs, need.resolution)
        if seen is None or target.memory_bytes is None or target.measured_bytes is None:
            return verdict, "counted", reason
        where = f"on {target.device}"
        if target.memory_bytes != target.measured_bytes:
            where += f" ({target.measured_bytes / GIB:.4g} GiB)"
        fitted = seen[0] == "fits"
        less = target.memory_bytes < target.measured_bytes
        more = target.memory_bytes > target.measured_bytes
        if (fitted and not less) or (not fitted and not more):
            return seen[0], "measured", f"{seen[1]} {where}"
        if not fitted and verdict == "fits":  # its count promised too much there already
            return "uncertain", "counted", f"{reason}, but {seen[1]} {where}"
        return verdict, "counted", reason


def _ran_at(runtime: pd.DataFrame | None, method: str, variant: str) -> set[str]:
    """Resolutions at which a method was run on any device."""
    if runtime is None:
        return set()
    own = (runtime["method"] == method) & (runtime["variant"] == variant)
    return set(runtime.loc[own & (runtime["status"] == RAN), "resolution"])


def _prior(memory: pd.DataFrame | None, method: str, variant: str) -> Prior:
    if memory is None:
        return NOTHING_KNOWN
    return prior_of_whole(complexities_of(memory).get((method, variant), {}))


def _need_values(need: Need | None, target: Target) -> dict[str, Any]:
    """Null where the method does not run, or the count is for another type of device."""
    if need is None or need.device_type != target.device_type:
        return dict.fromkeys(
            ("counted_low_bytes", "counted_high_bytes", "needed_low_bytes", "needed_high_bytes",
             "memory_basis", "context_basis")
        )  # fmt: skip
    return {
        "counted_low_bytes": need.counted_low,
        "counted_high_bytes": need.counted_high,
        "needed_low_bytes": need.low,
        "needed_high_bytes": need.high,
        "memory_basis": need.basis,
        "context_basis": need.context.basis,
    }


def _speed_values(speed: Speed | None, batch: int) -> dict[str, Any]:
    if speed is None:
        names = ("latency_ms", "latency_low_ms", "latency_high_ms", "latency_p99_ms",
                 "latency_p99_low_ms", "latency_p99_high_ms", "images_per_second",
                 "latency_basis", "latency_factor_pixels", "images", "latency_verdict")  # fmt: skip
        return dict.fromkeys(names)
    p99: Estimate | tuple[None, None, None] = speed.p99 or (None, None, None)
    return {
        "latency_ms": speed.mean.value,
        "latency_low_ms": speed.mean.low,
        "latency_high_ms": speed.mean.high,
        "latency_p99_ms": p99[0],
        "latency_p99_low_ms": p99[1],
        "latency_p99_high_ms": p99[2],
        "images_per_second": batch * 1e3 / speed.mean.value,
        "latency_basis": speed.basis,
        "latency_factor_pixels": speed.factor,
        "images": speed.images,
        "latency_verdict": speed.verdict,
    }
