"""`implementations.csv`: what the optimised implementation of a method gains over the reference.

One row per device × method × precision × resolution × submodule × clock for which both
implementations were measured, and one for the whole image. Columns, in this order:

- `device`, `hardware`, `method`, `precision`, `resolution_px`, `submodule`, `role`, `clock`: as in
  `runtime.csv`; the clock is the main one of the device (host on a CPU, busy on a GPU).
- `reference_images`, `optimized_images`: sizes of the two samples.
- `reference_verdict`, `optimized_verdict`: whether the runs were steady, as in `runtime.csv`.
- `reference_ms`, `optimized_ms`: means per image.
- `time_ratio`: optimized / reference; `time_ratio_ci95_low`, `time_ratio_ci95_high`: its interval
  (`analysis.statistics.ratio`), in which autocorrelation and processes are as they are in those of
  the means; null where a mean has no interval. The two were measured one after the other, not
  interleaved: a drift of the machine is not in it.
- `reference_held_bytes`, `optimized_held_bytes`: parameters and buffers, counted.
- `reference_activations_bytes`, `optimized_activations_bytes`: as in `memory.csv`, counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from .runtime_table import MAIN_CLOCK
from .statistics.ratio import mean_of_row, ratio_of_means
from .tables import Schema, make_table

IMPLEMENTATION_COLUMNS: Schema = {
    "device": "string",
    "hardware": "string",
    "method": "string",
    "precision": "string",
    "resolution_px": "Int64",
    "submodule": "string",
    "role": "string",
    "clock": "string",
    "reference_images": "Int64",
    "optimized_images": "Int64",
    "reference_verdict": "string",
    "optimized_verdict": "string",
    "reference_ms": "Float64",
    "optimized_ms": "Float64",
    "time_ratio": "Float64",
    "time_ratio_ci95_low": "Float64",
    "time_ratio_ci95_high": "Float64",
    "reference_held_bytes": "Int64",
    "optimized_held_bytes": "Int64",
    "reference_activations_bytes": "Int64",
    "optimized_activations_bytes": "Int64",
}
"""Columns of `implementations.csv`."""

REFERENCE, OPTIMIZED = "reference-", "optimized-"
_MEASURED = ["device", "method", "precision", "resolution_px", "submodule"]
_COUNTED = ["method", "precision", "resolution_px", "submodule"]
_SIDES = ("_reference", "_optimized")


def implementation_table(runtime: pd.DataFrame, memory: pd.DataFrame) -> pd.DataFrame:
    """Sets both implementations side by side.

    Args:
        runtime: `runtime.csv`.
        memory: `memory.csv`.

    Returns:
        Rows of `IMPLEMENTATION_COLUMNS`, in the order of `runtime`; none where no method was
        measured in both implementations.
    """
    main = runtime["clock"] == runtime["device_type"].map(MAIN_CLOCK)
    shown = runtime[main & runtime["role"].isin(["submodule", "image"])]
    pairs = _pairs(shown, _MEASURED)
    counts = _pairs(_with_image(memory), _COUNTED).set_index(_COUNTED)
    return make_table(list(_rows(pairs, counts)), IMPLEMENTATION_COLUMNS)


def _pairs(table: pd.DataFrame, key: list[str]) -> pd.DataFrame:
    """Rows of the reference, each with the row of the optimised implementation of the same key."""
    variant = table["variant"].astype(str)
    reference, optimized = (
        table[variant.str.startswith(prefix)].assign(
            precision=variant.str.removeprefix(prefix).astype("string")
        )
        for prefix in (REFERENCE, OPTIMIZED)
    )
    return reference.merge(optimized, on=key, how="inner", suffixes=_SIDES)


def _with_image(memory: pd.DataFrame) -> pd.DataFrame:
    """The counts with a row for the whole image: the sum of its submodules."""
    held = memory.assign(held_bytes=memory["parameters_bytes"] + memory["buffers_bytes"])
    columns = ["method", "variant", "resolution_px"]
    numbers = ["held_bytes", "activations_bytes"]
    whole = held.groupby(columns, as_index=False)[numbers].sum().assign(submodule="image")
    return pd.concat([held[[*columns, "submodule", *numbers]], whole], ignore_index=True)


def _rows(pairs: pd.DataFrame, counts: pd.DataFrame) -> Iterator[dict[str, Any]]:
    for pair in pairs.to_dict("records"):
        key = tuple(pair[name] for name in _COUNTED)
        counted = counts.loc[key] if key in counts.index else None
        reference, optimized = (mean_of_row(pair, suffix=side) for side in _SIDES)
        ratio = ratio_of_means(reference, optimized) if reference and optimized else None
        yield {
            **{name: pair[name] for name in _MEASURED},
            **{name: pair[f"{name}_reference"] for name in ("hardware", "role", "clock")},
            "reference_images": pair["images_reference"],
            "optimized_images": pair["images_optimized"],
            "reference_verdict": pair["verdict_reference"],
            "optimized_verdict": pair["verdict_optimized"],
            "reference_ms": pair["mean_ms_reference"],
            "optimized_ms": pair["mean_ms_optimized"],
            "time_ratio": None if ratio is None else ratio.value,
            "time_ratio_ci95_low": None if ratio is None else ratio.low,
            "time_ratio_ci95_high": None if ratio is None else ratio.high,
            **{
                f"{side}_{what}_bytes": None if counted is None else counted[f"{what}_bytes_{side}"]
                for what in ("held", "activations")
                for side in ("reference", "optimized")
            },
        }
