"""Energy that the GPU took while the work of each range ran, from samples of its power."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from adscale.mean_error import Floats
from adscale.tables import Schema

from ..arrow import with_columns
from ..nsys.records import Int64s, PowerSamples
from .paths import path_numbers
from .work import ProfileWork

ENERGY_COLUMNS: Schema = {
    "energy_j": "Float64",
    "mean_power_w": "Float64",
    "power_samples": "Int64",
}
"""Columns that a table of ranges has besides where the profile holds samples of power."""

FEWEST_SAMPLES = 10
"""In the calls of a path; with fewer nothing is said of its energy."""

_NS_PER_S = 1e9


def with_energy(
    table: pa.Table, work: ProfileWork, samples: PowerSamples | None, levels: int | None = None
) -> pa.Table:
    """A table of ranges with the energy of each path.

    The energy of a call is that of the whole GPU, idle power included, from the first start to the
    last end of the work launched in it; power between two samples is taken for a straight line.

    Args:
        table: of `analysis.profiles.range_table.profile_table`, a row per path.
        work: that it is of.
        samples: of power; None: the energy of no range can be told.
        levels: the most names that a path of the table has; None: any number.
    """
    if samples is None:
        empty = [None] * len(table)
        return with_columns(table, dict.fromkeys(ENERGY_COLUMNS, empty), ENERGY_COLUMNS)
    projected = work.projected()
    at = np.flatnonzero(work.shown & (projected.intervals > 0))
    first_ns, last_ns = projected.first_ns[at], projected.last_ns[at]
    calls = {
        "energy_j": _energy_until(samples, last_ns) - _energy_until(samples, first_ns),
        "span_s": (last_ns - first_ns) / _NS_PER_S,
        "samples": np.searchsorted(samples.time_ns, last_ns, side="right")
        - np.searchsorted(samples.time_ns, first_ns, side="left"),
        # before the first sample, or behind the last, power is unknown
        "outside": (first_ns < samples.time_ns[0]) | (last_ns > samples.time_ns[-1]),
    }
    code, paths = work.paths.code[at], len(work.paths.parent)
    number = path_numbers(work.paths, levels)
    row = np.array([number[path] for path in table["path"].to_pylist()], np.int64)
    sums = {name: np.bincount(code, values, paths)[row] for name, values in calls.items()}
    known = (sums["samples"] >= FEWEST_SAMPLES) & (sums["outside"] == 0)
    energy_j = np.where(known, sums["energy_j"], np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        power_w = energy_j / sums["span_s"]
    columns = {"energy_j": energy_j, "mean_power_w": power_w, "power_samples": sums["samples"]}
    return with_columns(table, columns, ENERGY_COLUMNS)


def _energy_until(samples: PowerSamples, moment_ns: Int64s) -> Floats:
    """Energy in J from the first sample to some moments, between the first and the last sample."""
    time_s = (samples.time_ns - samples.time_ns[0]) / _NS_PER_S
    steps_s = np.diff(time_s)
    whole_j = np.r_[0.0, np.cumsum(steps_s * (samples.watts[1:] + samples.watts[:-1]) / 2)]
    moment_s = (moment_ns - samples.time_ns[0]) / _NS_PER_S
    step = np.clip(np.searchsorted(time_s, moment_s, side="right") - 1, 0, len(steps_s) - 1)
    beyond_s = moment_s - time_s[step]
    slope = (samples.watts[step + 1] - samples.watts[step]) / steps_s[step]
    energy: Floats = whole_j[step] + beyond_s * (samples.watts[step] + slope * beyond_s / 2)
    return energy
