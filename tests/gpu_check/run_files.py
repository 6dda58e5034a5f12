"""The files of a run, as the checks read them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from analysis.profiles.range_table import RANGE_COLUMNS
from analysis.tables import read_parquet

REMEDY = "see the logs beside the page"


def record(folder: Path, name: str = "run.json") -> dict[str, Any]:
    """A record of a run."""
    data: dict[str, Any] = json.loads((folder / name).read_text(encoding="utf-8"))
    return data


def is_gpu(folder: Path) -> bool:
    """Whether a GPU was measured."""
    return bool(record(folder)["request"]["device_type"] == "cuda")


def measured(folder: Path) -> pd.DataFrame:
    """Rows of `ranges.parquet` of the measured images."""
    table, _ = read_parquet(folder / "ranges.parquet", RANGE_COLUMNS, REMEDY)
    return table[table["phase"] == "measure"]


def per_image(folder: Path, path: str, column: str) -> pd.Series[float]:
    """A column added up over the calls of a path in each measured image, in their order."""
    table = measured(folder)
    return table[table["path"] == path].groupby("image_index")[column].sum()


def coverage_share(folder: Path) -> float | None:
    """Share of kernel time that submodules account for, as `analysis attribute` wrote it."""
    metadata = pq.read_schema(folder / "ranges.parquet").metadata or {}
    text = metadata.get(b"kernel_time_coverage", b"").decode()
    return float(text) if text else None
