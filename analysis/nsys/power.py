"""Samples of a GPU's power that an export holds among its GPU metrics."""

from __future__ import annotations

import re

import numpy as np

from .database import Database
from .records import KERNELS, PowerSamples

_SAMPLES, _METRICS = "GPU_METRICS", "TARGET_INFO_GPU_METRICS"
_NAME = re.compile(r"\bpower\b.*\[\s*(m?W)\s*\]", re.IGNORECASE)
_GPU_BITS = 0xFF
"""Low bits of a `typeId`, which number the GPU."""


def read_power(database: Database) -> tuple[PowerSamples | None, str]:
    """The power of the only GPU that worked.

    A metric is taken for power where its name says so and has the unit W or mW in brackets.

    Args:
        database: the export.

    Returns:
        The samples, and an empty text; or None, and why their energy cannot be told: empty where
        the profile has no samples of power.
    """
    metrics = _power_metrics(database)
    if not metrics:
        return None, ""
    gpus = {type_id & _GPU_BITS for type_id, _, _ in metrics}
    if len(gpus) > 1 or _several(database, "TARGET_INFO_GPU", None):
        return None, "the machine has several GPUs, and which of them ran what is not known"
    if _several(database, KERNELS, "deviceId"):
        return None, "several GPUs worked, and power was sampled of one"
    if len(metrics) > 1:
        named = ", ".join(sorted(name for _, _, name in metrics))
        return None, f"several metrics may be the power of the GPU: {named}"
    return _samples(database, *metrics[0])


def _power_metrics(database: Database) -> list[tuple[int, int, str]]:
    """`typeId`, `metricId` and name of metrics that are a power."""
    wanted = {"typeId", "metricId", "metricName"}
    needed = {"timestamp", "typeId", "metricId", "value"}
    if not (wanted <= database.columns(_METRICS) and needed <= database.columns(_SAMPLES)):
        return []
    rows = database.rows(sorted(wanted), _METRICS)
    return [
        (type_id, metric_id, name)
        for metric_id, name, type_id in rows
        if isinstance(name, str) and isinstance(type_id, int) and _NAME.search(name)
    ]


def _several(database: Database, table: str, column: str | None) -> bool:
    if not database.has(table) or (column and column not in database.columns(table)):
        return False
    counted = f"COUNT(DISTINCT {column})" if column else "COUNT(*)"
    return bool(database.rows([counted], table)[0][0] > 1)


def _samples(
    database: Database, type_id: int, metric_id: int, name: str
) -> tuple[PowerSamples | None, str]:
    where = f"typeId = {int(type_id)} AND metricId = {int(metric_id)} AND value IS NOT NULL"
    rows = database.rows(["timestamp", "value"], _SAMPLES, where, "timestamp")
    if len(rows) < 2:
        return None, "power was sampled less than twice"
    unit = _NAME.search(name)
    scale = 1e-3 if unit and unit[1].lower() == "mw" else 1.0
    times = np.array([row[0] for row in rows], np.int64)
    watts = np.array([row[1] for row in rows], np.float64) * scale
    is_new = np.r_[True, times[1:] != times[:-1]]
    return PowerSamples(name, times[is_new], watts[is_new]), ""
