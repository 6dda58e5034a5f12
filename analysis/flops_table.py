"""`flops.csv`: the rate at which a device does the counted work in the measured time.

One row per device × method × variant × resolution × submodule, and one for the whole image, in the
order of `runtime.csv`. Columns, in this order:

- `device`, `device_type`, `hardware`, `method`, `variant`, `resolution_px`, `pixels`, `submodule`,
  `role`, `clock`, `status`, `images`: as in `runtime.csv`; the clock is the main one of the device
  (host on a CPU, busy on a GPU).
- `flops`: counted, as in `memory.csv`; of the whole image the sum over its submodules. Null where
  this resolution was not counted.
- `mean_ms`, `ci95_low_ms`, `ci95_high_ms`: measured.
- `gflop_per_s`: `flops` over `mean_ms`, in 10⁹ FLOP per second. Null without a time, and where no
  FLOP is counted: copies and maps are work, too, but not of this kind.
- `gflop_per_s_ci95_low`, `gflop_per_s_ci95_high`: `flops` over the ends of the interval of the
  mean; null where they are.
- `incomplete`: as in `memory.csv`; where it is not null, `flops` and the rates are lower bounds.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import Any

import pandas as pd

from .runtime_table import MAIN_CLOCK
from .tables import RUN_COLUMNS, Schema, make_table

FLOPS_COLUMNS: Schema = {
    **RUN_COLUMNS,
    "clock": "string",
    "status": "string",
    "images": "Int64",
    "flops": "Float64",
    "mean_ms": "Float64",
    "ci95_low_ms": "Float64",
    "ci95_high_ms": "Float64",
    "gflop_per_s": "Float64",
    "gflop_per_s_ci95_low": "Float64",
    "gflop_per_s_ci95_high": "Float64",
    "incomplete": "string",
}
"""Columns of `flops.csv`."""

_COUNTED = ["method", "variant", "resolution_px", "submodule"]
_MEASURED = [
    *("device", "device_type", "hardware", "method", "variant", "resolution_px", "pixels"),
    *("submodule", "role", "clock", "status", "images", "mean_ms", "ci95_low_ms", "ci95_high_ms"),
]
_FLOP_PER_MS = 1e-6
"""In 10⁹ FLOP per second."""


def flops_table(runtime: pd.DataFrame, memory: pd.DataFrame) -> pd.DataFrame:
    """Set counted work and measured time side by side.

    Args:
        runtime: `runtime.csv`.
        memory: `memory.csv`.

    Returns:
        Rows of `FLOPS_COLUMNS`.
    """
    main = runtime["clock"] == runtime["device_type"].map(MAIN_CLOCK)
    measured = runtime.loc[main & runtime["role"].isin(["submodule", "image"]), _MEASURED]
    both = measured.merge(_with_image(memory), on=_COUNTED, how="left")
    return make_table(list(_rows(both)), FLOPS_COLUMNS)


def _with_image(memory: pd.DataFrame) -> pd.DataFrame:
    """The counts with a row for the whole image."""
    columns = [*_COUNTED, "flops", "incomplete"]
    resolution = ["method", "variant", "resolution_px"]
    whole = memory.groupby(resolution, as_index=False).agg({"flops": "sum", "incomplete": "first"})
    return pd.concat([memory[columns], whole.assign(submodule="image")[columns]])


def _rows(both: pd.DataFrame) -> Iterator[dict[str, Any]]:
    for row in both.to_dict("records"):
        yield {
            **{name: row[name] for name in (*_MEASURED, "flops", "incomplete")},
            "gflop_per_s": _rate(row, "mean_ms"),
            # the longest time gives the lowest rate
            "gflop_per_s_ci95_low": _rate(row, "ci95_high_ms"),
            "gflop_per_s_ci95_high": _rate(row, "ci95_low_ms"),
        }


def _rate(row: Mapping[Hashable, Any], column: str) -> float | None:
    """Rate by one of the times; None where that is unknown or not positive, or nothing is done."""
    flops, time_ms = row["flops"], row[column]
    if pd.isna(flops) or pd.isna(time_ms) or not flops or time_ms <= 0:
        return None
    return float(flops / time_ms * _FLOP_PER_MS)
