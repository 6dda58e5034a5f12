"""`memory.csv`: what each submodule holds in memory, counted without running an image.

One row per method × variant × resolution × submodule, sorted by these. Columns, in this order:
`method`, `variant`, `resolution_px`, `pixels`, `submodule`, `parameters_bytes`, `buffers_bytes`,
`activations_bytes` (outputs of the layers that own parameters, one image), `total_bytes` (sum of
the three), `basis` (always `counted`: exact, neither measured nor extrapolated), `incomplete` (up
to where a method of the user's was counted, and why not further; null: everything is counted).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.documents import read_document
from analysis.errors import ResultsError
from analysis.tables import Schema, make_table

MEMORY_COLUMNS: Schema = {
    "method": "string",
    "variant": "string",
    "resolution_px": "Int64",
    "pixels": "Int64",
    "submodule": "string",
    "parameters_bytes": "Int64",
    "buffers_bytes": "Int64",
    "activations_bytes": "Int64",
    "total_bytes": "Int64",
    "basis": "string",
    "incomplete": "string",
}
"""Columns of `memory.csv`."""

_KEY = ("method", "variant", "resolution_px")
_REMEDY = "count again with python -m profiling memory"


def memory_table(paths: Sequence[Path]) -> pd.DataFrame:
    """Gather counts.

    Args:
        paths: `memory.json` files.

    Returns:
        Rows of `MEMORY_COLUMNS`, sorted; submodules stay in the order of inference.

    Raises:
        ResultsError: a file is missing or violates `memory.schema.json`, or two files count the
            same method, variant and resolution.
    """
    owner: dict[tuple[str, str, int], Path] = {}
    rows: list[dict[str, Any]] = []
    for path in paths:
        document = read_document(path, "memory", _REMEDY)
        for counted in document["resolutions"]:
            key = (document["method"], document["variant"], counted["resolution_px"])
            _check_first(key, path, owner)
            rows.extend(_rows(*key, counted))
    rows.sort(key=lambda row: tuple(row[name] for name in _KEY))
    return make_table(rows, MEMORY_COLUMNS)


def _check_first(
    key: tuple[str, str, int], path: Path, owner: dict[tuple[str, str, int], Path]
) -> None:
    if key in owner:
        where = "twice" if owner[key] == path else f"in {owner[key]} too"
        what = f"{' '.join(map(str, key))} px is counted {where}"
        raise ResultsError(path, what, "name one of the two counts only")
    owner[key] = path


def _rows(
    method: str, variant: str, resolution_px: int, counted: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    for part in counted["submodules"]:
        held = {
            name: part[name] for name in ("parameters_bytes", "buffers_bytes", "activations_bytes")
        }
        yield {
            "method": method,
            "variant": variant,
            "resolution_px": resolution_px,
            "pixels": resolution_px**2,
            "submodule": part["submodule"],
            **held,
            "total_bytes": sum(held.values()),
            "basis": "counted",
            "incomplete": counted["incomplete"],
        }
