"""JSON documents for programs: a name, a version, and rows that say why they lack a number.

Every document has `document` (its name) and `schema_version`, a whole number that rises when a
reader of before could not read it: when something is removed, renamed, or means something else.
What is added does not raise it. `docs/schemas/` has the schema of each version.

A row has `unknown`: an object with the reason, in words, of each of its columns that is null.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from adscale.errors import ResultsError, reason_of, remedy_of
from adscale.files import note_input

SCHEMA_VERSIONS = {"attribute": 1, "compare": 1, "diff": 1, "feasible": 1, "tiles": 1}
"""The version that each document is written in."""

Reasons = Mapping[str, str]
"""Why a column is null, by its name."""


def document_text(name: str, parts: Mapping[str, str]) -> str:
    """A document as text.

    Args:
        name: of the document, one of `SCHEMA_VERSIONS`.
        parts: texts in JSON by their keys.
    """
    head = {"document": json.dumps(name), "schema_version": str(SCHEMA_VERSIONS[name])}
    lines = [f"{json.dumps(key)}: {text}" for key, text in {**head, **parts}.items()]
    return "{" + ",\n".join(lines) + "}"


def rows_text(
    table: pa.Table,
    reasons: Reasons,
    texts: Mapping[str, Callable[[str], object]] | None = None,
) -> str:
    """The rows of a table as a JSON list of objects, a row in each line.

    Args:
        table: the rows.
        reasons: of its nulls.
        texts: columns of text that are written as something else, with what makes it; few of
            their values are different.

    Raises:
        KeyError: a column is null for no known reason (a fault of the program).
    """
    if not len(table):
        return "[]"
    texts = texts or {}
    names = [name for name in table.column_names if name not in texts]
    cells = [
        [f"{json.dumps(name)}:{known[value]}" for value in table[name].to_pylist()]
        for name, make in texts.items()
        for known in [
            {value: json.dumps(make(value)) for value in table[name].unique().to_pylist()}
        ]
    ]
    cells += [_cells(name, table[name]) for name in names]
    cells.append(_unknown(table.select(names), reasons))
    return "[\n" + ",\n".join(f"{{{','.join(row)}}}" for row in zip(*cells, strict=True)) + "\n]"


def _cells(name: str, column: pa.ChunkedArray) -> list[str]:
    """A key and the value of each row; of many rows few different ones are made once."""
    key, encoded = json.dumps(name), column.combine_chunks().dictionary_encode()
    known = [f"{key}:{json.dumps(value)}" for value in encoded.dictionary.to_pylist()]
    return [f"{key}:null" if at is None else known[at] for at in encoded.indices.to_pylist()]


def _unknown(table: pa.Table, reasons: Reasons) -> list[str]:
    """The object of reasons of each row; rows lack few different sets of columns."""
    is_null = np.array([column.is_null().to_pylist() for column in table.columns]).T
    patterns, number = np.unique(is_null, axis=0, return_inverse=True)
    names = np.array(table.column_names, object)
    made = [
        '"unknown":' + json.dumps({name: reasons[name] for name in names[pattern]})
        for pattern in patterns
    ]
    return [made[at] for at in np.ravel(number).tolist()]


def told_rows_text(
    rows: Iterable[Mapping[str, Any]], why: Callable[[Mapping[str, Any], str], str]
) -> str:
    """Rows as a JSON list of objects, of few rows whose reasons differ from row to row.

    Args:
        rows: a value per column; None and NA are null.
        why: the reason why a column of a row is null.
    """
    import pandas as pd

    lines = []
    for row in rows:
        values = {name: None if pd.isna(value) else value for name, value in row.items()}
        unknown = {name: why(row, name) for name, value in values.items() if value is None}
        values["unknown"] = unknown
        lines.append(json.dumps(values, separators=(",", ":"), default=_plain))
    return "[\n" + ",\n".join(lines) + "\n]" if lines else "[]"


def _plain(value: Any) -> Any:
    """The number in a NumPy scalar."""
    return value.item()


def read_document(path: Path) -> dict[str, Any]:
    """A document of any version so far, in the form of the present one.

    Documents of `attribute` from before they had a version are taken for version 0.

    Raises:
        ResultsError: the file is none, or is of a later version.
    """
    note_input(path)
    remedy = "make it again with python -m analysis"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        what = f"cannot be opened ({reason_of(error)})"
        raise ResultsError(path, what, remedy_of(error, remedy)) from error
    except ValueError as error:
        raise ResultsError(path, f"is no JSON ({error})", remedy) from error
    if not isinstance(found, dict) or not (
        {"ranges", "coverage"} <= {*found} or "document" in found
    ):
        raise ResultsError(path, "is no document of adscale", remedy)
    name, version = found.get("document", "attribute"), found.get("schema_version", 0)
    if name not in SCHEMA_VERSIONS or not isinstance(version, int):
        raise ResultsError(path, f"is an unknown document, {name!r}", remedy)
    if version > SCHEMA_VERSIONS[name]:
        what = f"has version {version} of {name}, and {SCHEMA_VERSIONS[name]} is the latest known"
        raise ResultsError(path, what, "read it with a newer adscale")
    return _from_version_0(found) if version == 0 else found


def _from_version_0(found: dict[str, Any]) -> dict[str, Any]:
    """A document of `attribute` that has no version, in the form of version 1."""
    why = "version 0 of the document did not say"
    added = {"ranges": dict.fromkeys(("copy_bytes", "memset_bytes")), "kernels": {}}
    tables = {
        name: [
            {**row, "unknown": {key: why for key, value in row.items() if value is None}}
            for row in ({**added[name], **row} for row in table)
        ]
        for name, table in found.items()
        if name in ("ranges", "kernels")
    }
    return {"document": "attribute", "schema_version": 1, "question": {}, **found, **tables}
