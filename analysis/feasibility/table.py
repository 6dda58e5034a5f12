"""`feasibility.csv`: GPU × sensor × method × variant; columns are in docs/feasibility.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from adscale.names import sensor_side_px

from ..figures.hardware import Hardware, Sensor
from ..fits.models import NOTHING_KNOWN, Prior, prior_of_whole
from ..fits.series import complexities_of
from ..statistics.summary import Estimate
from ..tables import Schema, make_table
from .needs import GIB, Need, fits, measured_context, need_at
from .observed import observed
from .speed import Latencies, Speed
from .targets import Target, targets

FEASIBILITY_COLUMNS: Schema = {
    "gpu": "string",
    "device_type": "string",
    "gpu_memory_bytes": "Int64",
    "sensor": "string",
    "megapixels": "Float64",
    "method": "string",
    "variant": "string",
    "sensor_px": "Int64",
    "resolution_px": "Int64",
    "verdict": "string",
    "verdict_basis": "string",
    "reason": "string",
    "counted_low_bytes": "Int64",
    "counted_high_bytes": "Int64",
    "needed_low_bytes": "Int64",
    "needed_high_bytes": "Int64",
    "memory_basis": "string",
    "context_basis": "string",
    "device": "string",
    "hardware": "string",
    "latency_ms": "Float64",
    "latency_low_ms": "Float64",
    "latency_high_ms": "Float64",
    "latency_p99_ms": "Float64",
    "latency_p99_low_ms": "Float64",
    "latency_p99_high_ms": "Float64",
    "images_per_second": "Float64",
    "latency_basis": "string",
    "latency_factor_pixels": "Float64",
    "images": "Int64",
    "latency_verdict": "string",
    "latency_problem": "string",
}
"""Columns of `feasibility.csv`."""

LIMITS_COLUMNS: Schema = {
    "limit": "string",
    "gpu": "string",
    "sensor": "string",
    "method": "string",
    "variant": "string",
}
"""Columns of `feasibility_limits.csv`."""

NOT_MEASURED = "not measured there, and never taken from another GPU"


@dataclass(frozen=True)
class FeasibilityTables:
    """What feasibility is told from.

    Attributes:
        counts: `memory_methods.csv`.
        memory: `memory.csv`, for how the submodules grow; None: nothing is known of that.
        runtime: `runtime.csv`; None: nothing is said of time.
        measured: `memory_measured.csv`; None: contexts are assumed.
    """

    counts: pd.DataFrame
    memory: pd.DataFrame | None = None
    runtime: pd.DataFrame | None = None
    measured: pd.DataFrame | None = None


def feasibility_table(tables: FeasibilityTables, hardware: Hardware) -> pd.DataFrame:
    """Whether each method fits each GPU at each sensor's image, and how fast it is there.

    Args:
        tables: of the study.
        hardware: GPUs and sensors.

    Returns:
        Rows of `FEASIBILITY_COLUMNS`: by method, variant, GPU and sensor in their given order.
    """
    places = targets(hardware.gpus, tables.runtime)
    rows = feasibility_rows(tables, places, hardware.sensors)
    return make_table(list(rows), FEASIBILITY_COLUMNS)


def limits_table(table: pd.DataFrame) -> pd.DataFrame:
    """The largest sensor of each GPU and the smallest GPU of each sensor.

    Args:
        table: rows of `FEASIBILITY_COLUMNS`.

    Returns:
        Rows of `LIMITS_COLUMNS`; null where none fits for certain. CPU devices have a largest
        sensor, and are no smallest GPU.
    """
    rows = []
    for (method, variant), of_method in table.groupby(["method", "variant"], sort=False):
        on_gpus = of_method[of_method["device_type"] == "cuda"]
        for limit, by, other, among in (
            ("largest sensor", "gpu", "sensor", of_method),
            ("smallest GPU", "sensor", "gpu", on_gpus),
        ):
            for name, of_one in among.groupby(by, sort=False):
                best = _extreme(of_one[of_one["verdict"] == "fits"], other)
                row = {"limit": limit, by: name, other: best, "method": method, "variant": variant}
                rows.append({column: row[column] for column in LIMITS_COLUMNS})
    return make_table(rows, LIMITS_COLUMNS)


def _extreme(fit: pd.DataFrame, what: str) -> str | None:
    """The largest sensor or the smallest GPU of those that fit."""
    if fit.empty:
        return None
    if what == "sensor":
        return str(fit.sort_values("megapixels", kind="stable")["sensor"].iloc[-1])
    return str(fit.sort_values("gpu_memory_bytes", kind="stable")["gpu"].iloc[0])


def feasibility_rows(
    tables: FeasibilityTables, places: Sequence[Target], sensors: Sequence[Sensor]
) -> Iterator[dict[str, Any]]:
    """Rows of `FEASIBILITY_COLUMNS`, by method, variant, place and sensor."""
    for (method, variant), counts in tables.counts.groupby(["method", "variant"], sort=False):
        for target in places:
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
        self._counts = counts
        self._target = target
        self._context = measured_context(tables.measured, target.hardware, method, variant)
        self._runs: pd.DataFrame | None = None
        if tables.runtime is not None and target.device is not None:
            wanted = {"device": target.device, **self._names}
            is_own = (tables.runtime[list(wanted)] == list(wanted.values())).all(axis=1)
            self._runs = tables.runtime[is_own]
            self._latencies = Latencies(self._runs, _prior(tables.memory, method, variant))

    def row(self, sensor: Sensor) -> dict[str, Any]:
        target, side_px = self._target, sensor_side_px(sensor.megapixels)
        need = need_at(self._counts, side_px, self._context)
        verdict, basis, reason = self._verdict(need)
        speed = NOT_MEASURED if self._runs is None else self._latencies.at(need.side_px)
        return {
            "gpu": target.name,
            "device_type": target.device_type,
            "gpu_memory_bytes": target.memory_bytes,
            "sensor": sensor.name,
            "megapixels": sensor.megapixels,
            **self._names,
            "sensor_px": side_px,
            "resolution_px": need.side_px,
            "verdict": verdict,
            "verdict_basis": basis,
            "reason": reason,
            **_need_values(need, target),
            "device": target.device,
            "hardware": target.hardware,
            **_speed_values(None if isinstance(speed, str) else speed),
            "latency_problem": speed if isinstance(speed, str) else None,
        }

    def _verdict(self, need: Need) -> tuple[str, str, str]:
        """Verdict, basis and reason: a run that was measured outweighs a count."""
        target = self._target
        verdict, reason = fits(need, target.memory_bytes, target.device_type)
        seen = None if self._runs is None else observed(self._runs, need.side_px)
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


def _prior(memory: pd.DataFrame | None, method: str, variant: str) -> Prior:
    if memory is None:
        return NOTHING_KNOWN
    return prior_of_whole(complexities_of(memory).get((method, variant), {}))


def _need_values(need: Need, target: Target) -> dict[str, Any]:
    """Null where the count is for another type of device."""
    holds = need.device_type == target.device_type
    return {
        "counted_low_bytes": need.counted_low if holds else None,
        "counted_high_bytes": need.counted_high if holds else None,
        "needed_low_bytes": need.low if holds else None,
        "needed_high_bytes": need.high if holds else None,
        "memory_basis": need.basis if holds else None,
        "context_basis": need.context.basis if holds else None,
    }


def _speed_values(speed: Speed | None) -> dict[str, Any]:
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
        "images_per_second": 1e3 / speed.mean.value,
        "latency_basis": speed.basis,
        "latency_factor_pixels": speed.factor,
        "images": speed.images,
        "latency_verdict": speed.verdict,
    }
