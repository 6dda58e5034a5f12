"""Tables of a generated study as files, for the report."""

from __future__ import annotations

import base64
import gzip
import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from adscale.memory_record import MemoryRecord
from adscale.methods.registry import check_settings, get_spec
from adscale.models import checked
from analysis.feasibility.devices import targets
from analysis.feasibility.tables import FeasibilityTables, feasibility_table
from analysis.feasibility.tile_table import tile_plans_table
from analysis.hardware import Gpu, Hardware, Sensor
from analysis.runtime_table import KERNELS
from analysis.tables import make_table, write_csv
from tests.analysis.drawings import (
    COUNTED_PX,
    count_of,
    latency_table,
    read,
    runs_table,
    runtime_table,
    study_tables,
)

VARIANTS = ("reference-fp32", "optimized-fp32")
HARDWARE = Hardware(
    tuple(Gpu(f"GPU {gib}", gib) for gib in (0.25, 2, 24, 80)),
    tuple(Sensor(f"S{mp}", mp) for mp in (0.4, 1.6, 5.07)),
)


def write_study(
    folder: Path, methods: Sequence[str], sides_px: tuple[int, ...], kernel: str = "gemm"
) -> Path:
    """Writes all tables that a report reads.

    Args:
        folder: for the tables.
        methods: labels.
        sides_px: resolutions.
        kernel: name of the kernels.
    """
    folder.mkdir(parents=True, exist_ok=True)
    runtime = pd.concat(
        [
            make(method, sides_px, variant=variant, verdict="steady")
            for method in methods
            for variant in VARIANTS
            for make in (runtime_table, latency_table)
        ],
        ignore_index=True,
    )
    runtime.loc[runtime["side_px"] == sides_px[1], "verdict"] = "drifting"
    runtime.loc[runtime["clock"] == "busy", "launch_bound_share"] = 0.1
    counts = [
        count
        for method in methods
        for variant in VARIANTS
        for count in read(count_of(method, variant=variant))
    ]
    tables = study_tables(runtime, counts)
    records = [
        checked(
            MemoryRecord,
            {
                **count_of(method, variant=variant).document(COUNTED_PX),
                "target": "efficientad",
                "settings": dict(check_settings(get_spec("efficientad"), {})),
            },
        )
        for method in methods
        for variant in VARIANTS
    ]
    judged = targets(HARDWARE.gpus, runtime)
    memory = FeasibilityTables(tables["memory_methods"], tables["memory"], runtime)
    for name, table in {
        "runtime": runtime,
        **tables,
        "runs": runs_table(runtime),
        "kernels": _kernels(runtime, kernel),
        "feasibility": feasibility_table(memory, HARDWARE),
        "tiles": tile_plans_table(records, judged, HARDWARE.sensors, runtime, None),
    }.items():
        write_csv(table, folder / f"{name}.csv")
    return folder


def _kernels(runtime: pd.DataFrame, kernel: str) -> pd.DataFrame:
    rows = []
    parts = runtime[(runtime["role"] == "submodule") & (runtime["clock"] == "busy")]
    for row in parts.to_dict("records"):
        told = {name: row[name] for name in KERNELS.schema if name in row}
        more = {"kernel": kernel, "launches_per_image": 4.0, "ms_per_image": 1.0, "share": 1.0}
        rows.append({**dict.fromkeys(KERNELS.schema), **told, **more})
    return make_table(rows, KERNELS.schema)


def unpacked(page: str, name: str) -> str:
    """A text that a page holds packed, such as the study."""
    found = re.search(rf'<script type="text/plain" id="{name}">([^<]*)</script>', page)
    assert found
    return gzip.decompress(base64.b64decode(found[1])).decode()
