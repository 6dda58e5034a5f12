"""JSON documents for programs: a name, a version, and rows that say why they lack a number.

Every document has `document` (its name) and `schema_version`, a whole number that rises when a
reader of before could not read it: when something is removed, renamed, or means something else.
What is added does not raise it. `docs/schemas/` has the schema of each version.

A row has `unknown`: an object with the reason, in words, of each of its columns that is null.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

SCHEMA_VERSIONS = {"attribute": 1, "compare": 1, "diff": 1, "feasible": 1}
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
    table: pd.DataFrame,
    reasons: Reasons,
    texts: Mapping[str, Callable[[str], object]] | None = None,
) -> str:
    """The rows of a table as a JSON list of objects, a row in each line.

    Args:
        table: of nullable columns.
        reasons: of its nulls.
        texts: columns of text that are written as something else, with what makes it; few of
            their values are different.

    Raises:
        KeyError: a column is null for no known reason (a fault of the program).
    """
    if table.empty:
        return "[]"
    texts = texts or {}
    plain = table.drop(columns=list(texts))
    lines = plain.to_json(orient="records", lines=True, double_precision=15).rstrip("\n")
    heads = [
        [f"{json.dumps(name)}:{known[value]}," for value in table[name].tolist()]
        for name, make in texts.items()
        for known in [{value: json.dumps(make(value)) for value in table[name].unique().tolist()}]
    ]
    rows = zip(lines.split("\n"), _unknown(plain, reasons), *heads, strict=True)
    made = (
        f'{{{"".join(first)}{line[1:-1]},"unknown":{unknown}}}' for line, unknown, *first in rows
    )
    return "[\n" + ",\n".join(made) + "\n]"


def _unknown(table: pd.DataFrame, reasons: Reasons) -> list[str]:
    """The object of reasons of each row; rows lack few different sets of columns."""
    is_null = table.isna().to_numpy()
    patterns, number = np.unique(is_null, axis=0, return_inverse=True)
    names = np.array(table.columns, object)
    made = [json.dumps({name: reasons[name] for name in names[pattern]}) for pattern in patterns]
    return [made[at] for at in np.ravel(number).tolist()]
