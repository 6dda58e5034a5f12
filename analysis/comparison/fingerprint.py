"""What else is different between two measurements: hardware, driver, versions, settings."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import pandas as pd

from ..runs_table import FLAGS, VERSIONS
from .sides import LABELS, PAIRED, Side

FINGERPRINT = (
    "device_type", "hardware", "cpu_model", "cpus", "cpu_count", "online_cpus", "gpu_driver",
    "container", "collector", "collector_version", "seed", "threads", "cache",
    "asked_warmup_images", "asked_measured_images", "asked_min_images", "asked_time_budget_s",
    "asked_target_precision", "asked_cudnn_benchmark", "asked_deterministic", *FLAGS,
    "asked_sm_clock_mhz", "locked_sm_clock_mhz", "lock_problem",
    *(f"{name}_version" for name in VERSIONS),
)  # fmt: skip
"""Columns of `runs.csv` that say with what and how a run was measured."""

_KEY = [*(f"{PAIRED}{label}" for label in LABELS), "resolution_px", "pass"]
_NOT_RECORDED = "none"


class Difference(NamedTuple):
    """Something that is not the same on both sides.

    Attributes:
        column: of `runs.csv`.
        a: its value in runs of A; of several processes that differ all, joined by ` / `.
        b: its value in the same runs of B.
        runs: runs and passes of which that is so.
        of: runs and passes that were compared.
    """

    column: str
    a: str
    b: str
    runs: int
    of: int


def fingerprint_differences(a: Side, b: Side) -> list[Difference] | None:
    """Each difference once, in the order of `FINGERPRINT`; None where no run is in both tables.

    Args:
        a: of `analysis.comparison.sides.pair_sides`.
        b: the same.
    """
    pairs = _of_runs(a.runs).merge(_of_runs(b.runs), on=_KEY, suffixes=("_a", "_b"))
    if pairs.empty:
        return None
    found: list[Difference] = []
    for column in FINGERPRINT:
        both = Counter(zip(pairs[f"{column}_a"], pairs[f"{column}_b"], strict=True))
        found += [
            Difference(column, of_a, of_b, count, len(pairs))
            for (of_a, of_b), count in both.items()
            if of_a != of_b
        ]
    return found


def _of_runs(runs: pd.DataFrame) -> pd.DataFrame:
    """One row per run and pass; the values as texts."""
    return runs.groupby(_KEY, as_index=False, sort=False)[list(FINGERPRINT)].agg(_listed)


def _listed(values: pd.Series) -> str:
    texts = (_NOT_RECORDED if pd.isna(value) else _text(value) for value in values)
    return " / ".join(dict.fromkeys(texts))


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
