"""`ranges.parquet`: one row per range of a run below its phases.

Columns, in this order: `phase` (warmup or measure), `image_index` (number of the image in its
phase, from 0), `path` (`image/teacher`), `name`, `depth` (0 directly under the phase), `call`
(number of the call of that path in that image, from 0), `start_ns` (profile's clock), `host_ms`
(duration on the CPU thread), and of the kernels launched inside: `kernels` (their number),
`kernel_sum_ms` (sum of durations), `busy_ms` (length of the union), `span_ms` (last end minus
first start; null without kernels). The four are null on a CPU device.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from ..attribution.attribute import Attribution, attribute
from ..nsys.records import Profile, Ranges
from ..tables import Schema
from .checking import check_kernels, check_ranges
from .coverage import RunCoverage, run_coverage
from .kernel_table import run_kernels
from .placing import PHASES, Places, own_ranges, place_ranges
from .record import Run

RANGE_COLUMNS: Schema = {
    "phase": "string",
    "image_index": "Int64",
    "path": "string",
    "name": "string",
    "depth": "Int64",
    "call": "Int64",
    "start_ns": "Int64",
    "host_ms": "Float64",
    "kernels": "Int64",
    "kernel_sum_ms": "Float64",
    "busy_ms": "Float64",
    "span_ms": "Float64",
}
"""Columns of `ranges.parquet`."""

_GPU_COLUMNS = ("kernels", "kernel_sum_ms", "busy_ms", "span_ms")
_NS_PER_MS = 1e6


class RunRanges(NamedTuple):
    """The ranges of a run, its kernels, and how much of their time the ranges account for.

    Attributes:
        table: rows of `RANGE_COLUMNS`, in the order of their starts.
        coverage: None on a CPU device.
        kernels: rows of `analysis.runs.kernel_table.RUN_KERNEL_COLUMNS`.
    """

    table: pd.DataFrame
    coverage: RunCoverage | None
    kernels: pd.DataFrame


def run_ranges(run: Run, profile: Profile) -> RunRanges:
    """The ranges of a run's complete images.

    Images beyond those that `run.json` counts as completed are left out: the one during which
    memory ran out is not complete.

    Raises:
        ProfileError: the profile of an `ok` run does not hold what was measured.
    """
    ranges = own_ranges(profile.ranges)
    attribution = attribute(ranges, profile.calls, profile.kernels)
    places = place_ranges(run, ranges, attribution.nesting)
    check_ranges(run, profile, ranges, places)
    table = _table(run, ranges, places, attribution)
    kernels = run_kernels(run, profile, ranges, places, attribution)
    if run.clock == "host":
        table[list(_GPU_COLUMNS)] = pd.NA
        return RunRanges(table.astype(dict(RANGE_COLUMNS)), None, kernels)
    images = table[(table["phase"] == "measure") & (table["path"] == "image")]
    check_kernels(run, profile, int(images["kernels"].sum()))
    return RunRanges(table, run_coverage(profile, ranges, places, attribution), kernels)


def _table(run: Run, ranges: Ranges, places: Places, attribution: Attribution) -> pd.DataFrame:
    phase = np.append(ranges.name, "")[places.phase]
    completed = np.zeros(len(ranges), np.bool_)
    for name in PHASES:
        completed |= (phase == name) & (places.image < run.images[name])
    at = np.flatnonzero(completed & (places.depth >= 0))
    at = at[np.lexsort((places.depth[at], ranges.start_ns[at]))]
    gpu = attribution.inclusive
    table = pd.DataFrame(
        {
            "phase": phase[at],
            "image_index": places.image[at],
            "path": places.path[at],
            "name": ranges.name[at],
            "depth": places.depth[at],
            "start_ns": ranges.start_ns[at],
            "host_ms": (ranges.end_ns - ranges.start_ns)[at] / _NS_PER_MS,
            "kernels": gpu.intervals[at],
            "kernel_sum_ms": gpu.total_ns[at] / _NS_PER_MS,
            "busy_ms": gpu.busy_ns[at] / _NS_PER_MS,
            "span_ms": gpu.span_ns[at] / _NS_PER_MS,
        }
    )
    table["call"] = table.groupby(["phase", "image_index", "path"]).cumcount()
    table = table[list(RANGE_COLUMNS)].astype(dict(RANGE_COLUMNS))
    table.loc[table["kernels"] == 0, "span_ms"] = pd.NA
    return table
