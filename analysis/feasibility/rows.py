"""Rows of `feasibility.csv`: a method in a variant on a target, at the image of a sensor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from adscale.names import sensor_side_px

from ..fits.models import NOTHING_KNOWN, Prior, prior_of_whole
from ..fits.series import complexities_of
from ..hardware import Sensor
from ..statistics.summary import Estimate
from .fitting import GIB, Need, Target, fits, measured_context, need_at, observed
from .speed import Latencies, Speed
from .tables import FeasibilityTables

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
