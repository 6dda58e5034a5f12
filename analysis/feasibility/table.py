"""`feasibility.csv`: GPU × sensor × method × variant; columns are in docs/feasibility.md."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import pandas as pd

from analysis.feasibility.needs import GIB, Need, fits, measured_context, need_at, side_of
from analysis.feasibility.speed import Speed, speed_at
from analysis.figures.hardware import Gpu, Hardware, Sensor
from analysis.fits.models import NOTHING_KNOWN, Prior, prior_of_whole
from analysis.fits.series import complexities_of
from analysis.tables import Schema, make_table

FEASIBILITY_COLUMNS: Schema = {
    "gpu": "string",
    "gpu_memory_bytes": "Int64",
    "sensor": "string",
    "megapixels": "Float64",
    "method": "string",
    "variant": "string",
    "needed_px": "Int64",
    "resolution_px": "Int64",
    "verdict": "string",
    "reason": "string",
    "counted_low_bytes": "Int64",
    "counted_high_bytes": "Int64",
    "needed_low_bytes": "Int64",
    "needed_high_bytes": "Int64",
    "memory_basis": "string",
    "context_basis": "string",
    "device": "string",
    "latency_ms": "Float64",
    "latency_low_ms": "Float64",
    "latency_high_ms": "Float64",
    "latency_p99_ms": "Float64",
    "latency_p99_high_ms": "Float64",
    "images_per_second": "Float64",
    "latency_basis": "string",
    "latency_factor_pixels": "Float64",
    "images": "Int64",
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


@dataclass(frozen=True)
class StudyTables:
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


def feasibility_table(tables: StudyTables, hardware: Hardware) -> pd.DataFrame:
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
        Rows of `LIMITS_COLUMNS`; null where none fits for certain.
    """
    rows = []
    for (method, variant), of_method in table.groupby(["method", "variant"], sort=False):
        fit = of_method[of_method["verdict"] == "fits"]
        for limit, by, other, order in (
            ("largest sensor", "gpu", "sensor", "megapixels"),
            ("smallest GPU", "sensor", "gpu", "gpu_memory_bytes"),
        ):
            for name in of_method[by].unique():
                found = fit[fit[by] == name].sort_values(order, kind="stable")
                best = None
                if len(found):
                    best = found[other].iloc[-1 if by == "gpu" else 0]
                row = {"limit": limit, by: name, other: best}
                rows.append({**row, "method": method, "variant": variant})
    return make_table(
        [{name: row[name] for name in LIMITS_COLUMNS} for row in rows], LIMITS_COLUMNS
    )


def same_gpu(name: str, hardware: str) -> bool:
    """Whether a name such as `RTX 4090` is that of measured hardware.

    `NVIDIA GeForce RTX 4090` is; `NVIDIA GeForce RTX 4090 Laptop GPU` is another GPU.
    """
    ignored = {"nvidia", "geforce", "tesla", "quadro", "gpu", "generation"}

    def words(text: str) -> list[str]:
        return [word for word in re.findall(r"[a-z0-9]+", text.lower()) if word not in ignored]

    return words(name) == words(hardware)


class Target(NamedTuple):
    """Where a method may run.

    Attributes:
        gpu: name and memory.
        device: under which it was measured; None: it was not.
        hardware: its model as it was measured.
    """

    gpu: Gpu
    device: str | None
    hardware: str | None


def targets(gpus: Sequence[Gpu], runtime: pd.DataFrame | None) -> list[Target]:
    """GPUs, each with the device that is one of them, and the CPU devices that were measured.

    Args:
        gpus: of the configuration.
        runtime: `runtime.csv`; None without it.
    """
    if runtime is None:
        return [Target(gpu, None, None) for gpu in gpus]
    known = ["device", "device_type", "hardware", "device_memory_bytes"]
    devices = runtime[known].drop_duplicates("device").to_dict("records")
    found = []
    for gpu in gpus:
        same = [one for one in devices if same_gpu(gpu.name, str(one["hardware"]))]
        pair = (same[0]["device"], same[0]["hardware"]) if same else (None, None)
        found.append(Target(gpu, *pair))
    for one in devices:
        if one["device_type"] == "cpu" and pd.notna(one["device_memory_bytes"]):
            cpu = Gpu(f"{one['device']} (CPU)", one["device_memory_bytes"] / GIB)
            found.append(Target(cpu, str(one["device"]), None))
    return found


def feasibility_rows(
    tables: StudyTables, places: Sequence[Target], sensors: Sequence[Sensor]
) -> Iterator[dict[str, Any]]:
    """Rows of `FEASIBILITY_COLUMNS`, by method, variant, place and sensor."""
    for (method, variant), counts in tables.counts.groupby(["method", "variant"], sort=False):
        study = _OfMethod(tables, str(method), str(variant), counts)
        for target in places:
            for sensor in sensors:
                yield study.row(target, sensor)


@dataclass(frozen=True, eq=False)
class _OfMethod:
    tables: StudyTables
    method: str
    variant: str
    counts: pd.DataFrame

    def row(self, target: Target, sensor: Sensor) -> dict[str, Any]:
        side_px = side_of(sensor.megapixels)
        gpu, device, model = target
        memory_bytes = gpu.memory_gib * GIB
        need = need_at(self.counts, side_px, measured_context(self.tables.measured, model))
        verdict, reason = fits(need, memory_bytes)
        problem = f"{gpu.name} was not measured" if device is None else None
        speed = None
        if device is not None:
            found = self._speed(device, side_px if need is None else need.side_px)
            speed, problem = (None, found) if isinstance(found, str) else (found, None)
        return {
            "gpu": gpu.name,
            "gpu_memory_bytes": int(memory_bytes),
            "sensor": sensor.name,
            "megapixels": sensor.megapixels,
            "method": self.method,
            "variant": self.variant,
            "needed_px": side_px,
            "verdict": verdict,
            "reason": reason,
            **_need_values(need),
            "device": device,
            **_speed_values(speed),
            "latency_problem": problem,
        }

    @cache  # noqa: B019 - as short-lived as the object
    def _speed(self, device: str, side_px: int) -> Speed | str:
        assert self.tables.runtime is not None
        return latency_of(self.tables, device, self.method, self.variant, side_px)


def latency_of(
    tables: StudyTables, device: str, method: str, variant: str, side_px: int
) -> Speed | str:
    """Latency of a method on a measured device at a side; or why it cannot be told."""
    runtime = tables.runtime
    if runtime is None:
        return "no runtime was measured"
    wanted = {"device": device, "method": method, "variant": variant}
    rows = runtime[(runtime[list(wanted)] == list(wanted.values())).all(axis=1)]
    return speed_at(rows, side_px, _prior(tables.memory, method, variant))


def _prior(memory: pd.DataFrame | None, method: str, variant: str) -> Prior:
    if memory is None:
        return NOTHING_KNOWN
    return prior_of_whole(complexities_of(memory).get((method, variant), {}))


def _need_values(need: Need | None) -> dict[str, Any]:
    if need is None:
        names = ("resolution_px", "counted_low_bytes", "counted_high_bytes", "needed_low_bytes",
                 "needed_high_bytes", "memory_basis", "context_basis")  # fmt: skip
        return dict.fromkeys(names)
    return {
        "resolution_px": need.side_px,
        "counted_low_bytes": need.counted_low,
        "counted_high_bytes": need.counted_high,
        "needed_low_bytes": need.low,
        "needed_high_bytes": need.high,
        "memory_basis": need.basis,
        "context_basis": need.context.basis,
    }


def _speed_values(speed: Speed | None) -> dict[str, Any]:
    if speed is None:
        names = ("latency_ms", "latency_low_ms", "latency_high_ms", "latency_p99_ms",
                 "latency_p99_high_ms", "images_per_second", "latency_basis",
                 "latency_factor_pixels", "images")  # fmt: skip
        return dict.fromkeys(names)
    p99 = None if speed.p99.value != speed.p99.value else speed.p99.value
    return {
        "latency_ms": speed.mean.value,
        "latency_low_ms": speed.mean.low,
        "latency_high_ms": speed.mean.high,
        "latency_p99_ms": p99,
        "latency_p99_high_ms": speed.p99.high,
        "images_per_second": 1e3 / speed.mean.value,
        "latency_basis": speed.basis,
        "latency_factor_pixels": speed.factor,
        "images": speed.images,
    }
