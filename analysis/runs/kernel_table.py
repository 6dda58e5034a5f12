"""`kernels.parquet`: which kernels the submodules of a run launched in its measured images.

Columns, in this order: `submodule`, `kernel` (its name), `launches` (in all measured images),
`total_ms`, `mean_us`, `max_us` (of their durations). In the order of inference, of a submodule the
kernel with the largest total first. On a CPU device there are no rows. As everywhere, a kernel
belongs to the submodule that was open when it was launched.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from adscale.names import IMAGE

from ..attribution.attribute import Attribution
from ..attribution.kernel_names import kernel_statistics
from ..attribution.paths import PathTree
from ..nsys.records import Int64s, Profile, Ranges
from ..tables import Schema
from .placing import Places
from .record import Run

RUN_KERNEL_COLUMNS: Schema = {
    "submodule": "string",
    "kernel": "string",
    "launches": "Int64",
    "total_ms": "Float64",
    "mean_us": "Float64",
    "max_us": "Float64",
}
"""Columns of `kernels.parquet`."""

_NS_PER_MS, _NS_PER_US = 1e6, 1e3


def run_kernels(
    run: Run, profile: Profile, ranges: Ranges, places: Places, attribution: Attribution
) -> pd.DataFrame:
    """The kernels of each submodule by their names.

    Args:
        run: what was measured.
        profile: its profile.
        ranges: its ranges in our domain.
        places: where they stand.
        attribution: of the profile's kernels to these ranges.

    Returns:
        Rows of `RUN_KERNEL_COLUMNS`.
    """
    if run.clock == "host":
        return pd.DataFrame(columns=list(RUN_KERNEL_COLUMNS)).astype(dict(RUN_KERNEL_COLUMNS))
    code = _submodule_codes(run, ranges, places)
    paths = PathTree(code, np.empty(0, np.int64), np.empty(0, object))
    found = kernel_statistics(attribution, profile.calls, profile.kernels, paths)
    names = np.array(
        [profile.kernel_names[name] for name in profile.kernels.name_id.distinct.tolist()], object
    )
    table = pd.DataFrame(
        {
            "place": found.path,
            "kernel": names[found.name],
            "launches": found.kernels,
            "total_ms": found.total_ns / _NS_PER_MS,
            "mean_us": found.total_ns / found.kernels / _NS_PER_US,
            "max_us": found.max_ns / _NS_PER_US,
        }
    )
    table = table[table["place"] < len(run.submodules)]
    table["submodule"] = np.array(run.submodules, object)[table["place"]]
    table = table.sort_values(["place", "total_ms", "kernel"], ascending=[True, False, True])
    columns = table[list(RUN_KERNEL_COLUMNS)].reset_index(drop=True)
    return columns.astype(dict(RUN_KERNEL_COLUMNS))


def _submodule_codes(run: Run, ranges: Ranges, places: Places) -> Int64s:
    """Of ranges that are a submodule in a completed measured image its place, else one more."""
    phase = np.append(ranges.name, "")[places.phase]
    measured = (phase == "measure") & (places.depth == 1) & (places.image < run.measured_images)
    code = np.full(len(ranges), len(run.submodules), np.int64)
    for place, submodule in enumerate(run.submodules):
        code[measured & (places.path == f"{IMAGE}/{submodule}")] = place
    return code
