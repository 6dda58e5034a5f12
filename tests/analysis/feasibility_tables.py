"""Tables that feasibility is judged by: counts, measured memory and latencies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from adscale.resolution import square
from analysis.columns import size_values
from analysis.feasibility.process import GIB
from analysis.feasibility.tables import (
    FeasibilityTables,
)
from analysis.hardware import Gpu, Hardware, Sensor
from analysis.measured_memory_table import MEASURED_MEMORY
from analysis.memory_table import MEMORY_METHODS
from analysis.tables import make_table
from tests.analysis.drawings import VARIANT, latency_table

SIDES_PX = (256, 384, 512, 640, 768, 896, 1024)


def counts(needed: dict[int, int], method: str = "M", **more: Any) -> pd.DataFrame:
    """Rows of `memory_methods.csv`: needed bytes by side in px."""
    rows = [
        {
            **dict.fromkeys(MEMORY_METHODS.schema), "method": method, "variant": VARIANT,
            "device_type": "cuda", **size_values(square(side_px)), "needed_bytes": size, **more,
        }
        for side_px, size in needed.items()
    ]  # fmt: skip
    return make_table(rows, MEMORY_METHODS.schema)


def measured(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Rows of `memory_measured.csv` of whole runs on a GPU."""
    about = {"hardware": "G", "role": "run", "device_type": "cuda", "variant": VARIANT}
    empty = dict.fromkeys(MEASURED_MEMORY.schema)
    return make_table([{**empty, **about, **row} for row in rows], MEASURED_MEMORY.schema)


def latency(
    sides_px: tuple[int, ...] = SIDES_PX, wobble: float = 0.01, **more: Any
) -> pd.DataFrame:
    """Latency of 20 ms and 60 ms per megapixel, p99 a tenth above, intervals of about ±2 %."""
    table = latency_table(sides_px=sides_px)
    is_whole = table["submodule"] == "end_to_end"
    sign = table["side_px"].map({side: (-1) ** k for k, side in enumerate(sides_px)})
    mean_ms = (20 + 60 * table["pixels"] / 1e6) * (1 + wobble * sign)
    for name, factor in (("mean", 1.0), ("p99", 1.1)):
        low, high = (
            ("ci95_low_ms", "ci95_high_ms") if name == "mean" else ("p99_low_ms", "p99_high_ms")
        )
        for column, share in ((f"{name}_ms", 1.0), (low, 0.98), (high, 1.02)):
            table.loc[is_whole, column] = mean_ms[is_whole] * factor * share
    table.loc[is_whole, "standard_error_ms"] = mean_ms[is_whole] * 0.01
    table.loc[is_whole, "degrees_of_freedom"] = 9
    return table.assign(**more)


NEEDED = {side_px: side_px**2 * 1000 for side_px in (256, 1000, 2252, 3518)}
"""0.93 GiB per megapixel."""
HARDWARE = Hardware(
    (Gpu("small", 2), Gpu("RTX 4090", 24), Gpu("middle", 8)),
    (Sensor("IMX304", 12.37), Sensor("one", 1.0), Sensor("IMX264", 5.07)),
)


def tables(**more: Any) -> FeasibilityTables:
    on_gpu = {
        "device": "lab",
        "hardware": "NVIDIA GeForce RTX 4090",
        "device_memory_bytes": 24 * GIB,
    }
    return FeasibilityTables(counts(NEEDED), runtime=latency(**{**on_gpu, **more}))
