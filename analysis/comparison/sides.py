"""Which runs of A are compared with which of B.

What else is different between two measurements: hardware, driver, versions, settings.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from adscale.errors import ArgumentError, ResultsError
from adscale.models import as_listed

from ..runs_table import FLAGS, RUNS, VERSIONS
from ..runtime_table import RUNTIME
from ..tables import read_csv

LABELS = ("device", "method", "variant")
"""Columns that name a run besides its resolution, and that may differ between A and B."""

Pairs = Mapping[str, tuple[str, str]]
"""For some of `LABELS` the one of A and the one of B that are compared with each other."""

PAIRED = "b_label_of_a_"
"""Prefix of the columns that hold, on both sides, the labels of B."""


@dataclass(frozen=True)
class Side:
    """One side of a comparison: the measurements of one folder.

    Attributes:
        name: A or B.
        folder: as the user named it.
        tables: the folder of the tables in it.
        runtime: `runtime.csv`.
        runs: `runs.csv`.
    """

    name: str
    folder: Path
    tables: Path
    runtime: pd.DataFrame
    runs: pd.DataFrame


def read_side(name: str, folder: Path) -> Side:
    """Read a results folder, or its folder of tables.

    Raises:
        ResultsError: it has no tables, or they cannot be used.
    """
    tables = folder if (folder / "runtime.csv").exists() else folder / "tables"
    if not (tables / "runtime.csv").exists():
        remedy = "name a folder of results, such as results, or of tables"
        raise ResultsError(folder, "holds neither tables/runtime.csv nor runtime.csv", remedy)
    runtime = read_csv(tables / "runtime.csv", RUNTIME.schema)
    return Side(name, folder, tables, runtime, read_csv(tables / "runs.csv", RUNS.schema))


def pair_sides(a: Side, b: Side, chosen: Pairs) -> tuple[Side, Side]:
    """The runs of both sides that are compared, with the labels under which they meet.

    A label that was chosen is compared with the one chosen for B. Others meet their equals. Devices
    of which each side has only one meet whatever their names are.

    Args:
        a: what B is compared with.
        b: what is compared.
        chosen: labels that the user named.

    Returns:
        Both sides with a column `PAIRED` + label for each of `LABELS` in both tables.

    Raises:
        ArgumentError: a label that was named was not measured.
    """
    chosen = {
        label: (_known(a, label, of_a), _known(b, label, of_b))
        for label, (of_a, of_b) in chosen.items()
    }
    a, b = (
        _narrowed(side, {label: names[number] for label, names in chosen.items()})
        for number, side in enumerate((a, b))
    )
    pairs = {**_only_devices(a, b), **chosen}
    return _labelled(a, pairs), _labelled(b, {})


def nothing_matches(a: Side, b: Side) -> ArgumentError:
    """Return the error that no row of A matches one of B, with what both have."""
    what = f"nothing matches: A has {_inventory(a)}; B has {_inventory(b)}"
    return ArgumentError("compare", what, "choose with --device, --method, --variant or --clock")


def _known(side: Side, label: str, name: str) -> str:
    known = side.runtime[label].unique()
    listed = as_listed(name, known)
    if listed not in known:
        what = f"{side.name} ({side.folder}) has no {label} {name}"
        raise ArgumentError(f"--{label}", what, f"choose from: {', '.join(known)}")
    return listed


def _narrowed(side: Side, wanted: Mapping[str, str]) -> Side:
    runtime, runs = side.runtime, side.runs
    for label, name in wanted.items():
        runtime, runs = runtime[runtime[label] == name], runs[runs[label] == name]
    return replace(side, runtime=runtime, runs=runs)


def _only_devices(a: Side, b: Side) -> Pairs:
    devices = [list(side.runtime["device"].unique()) for side in (a, b)]
    if [len(names) for names in devices] != [1, 1]:
        return {}
    return {"device": (str(devices[0][0]), str(devices[1][0]))}


def _labelled(side: Side, pairs: Pairs) -> Side:
    def labelled(table: pd.DataFrame) -> pd.DataFrame:
        met = {
            f"{PAIRED}{label}": table[label].replace(dict([pairs[label]]))
            if label in pairs
            else table[label]
            for label in LABELS
        }
        return table.assign(**met)

    return replace(side, runtime=labelled(side.runtime), runs=labelled(side.runs))


def _inventory(side: Side) -> str:
    """`device lab, method M and N, variant reference-fp32, resolution 256, clock host`."""
    columns = (*LABELS, "resolution", "clock")
    return ", ".join(f"{name} {_listed(side.runtime[name].unique())}" for name in columns)


def _listed(values: Iterable[object]) -> str:
    return " and ".join(str(value) for value in values) or "none"


FINGERPRINT = (
    "device_type", "hardware", "cpu_model", "cpus", "cpu_count", "online_cpus", "gpu_driver",
    "container", "collector", "collector_version", "seed", "threads", "cache",
    "asked_warmup_images", "asked_measured_images", "asked_min_images", "asked_time_budget_s",
    "asked_target_precision", "asked_precision_min_images", "asked_precision_min_s",
    "asked_profiled_share",
    "asked_cudnn_benchmark", "asked_deterministic", *FLAGS,
    "asked_sm_clock_mhz", "locked_sm_clock_mhz", "lock_problem",
    *(f"{name}_version" for name in VERSIONS),
)  # fmt: skip
"""Columns of `runs.csv` that say with what and how a run was measured."""

_KEY = [*(f"{PAIRED}{label}" for label in LABELS), "resolution", "pass"]
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
    return runs.groupby(_KEY, as_index=False, sort=False)[list(FINGERPRINT)].agg(_listed_values)


def _listed_values(values: pd.Series) -> str:
    texts = (_NOT_RECORDED if pd.isna(value) else _text(value) for value in values)
    return " / ".join(dict.fromkeys(texts))


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
