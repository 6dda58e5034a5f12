"""Reading the JSON files that cross over from `profiling`, checked against their schemas."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from adscale.errors import ResultsError

SCHEMA_FOLDER = Path(__file__).parents[1] / "workflow" / "schemas"
"""Where the schemas lie that both sides validate against."""


def read_document(path: Path, schema: str, remedy: str) -> dict[str, Any]:
    """Read a JSON file that must satisfy `workflow/schemas/<schema>.schema.json`.

    Args:
        path: the file.
        schema: name of its schema.
        remedy: what to do about a file that cannot be used.

    Raises:
        ResultsError: the file is missing, is no JSON, or violates the schema.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ResultsError(path, f"cannot be opened ({error.strerror})", remedy) from error
    except ValueError as error:
        raise ResultsError(path, f"is no JSON ({error})", remedy) from error
    violation = best_match(_validator(schema).iter_errors(document))
    if violation is not None:
        place = ".".join(str(part) for part in violation.absolute_path) or "the document"
        what = f"{place} violates {schema}.schema.json ({_shortened(violation.message)})"
        raise ResultsError(path, what, remedy)
    return dict(document)


def schema_version(schema: str) -> int:
    """The version that documents of a schema must have."""
    return int(_schema(schema)["properties"]["schema_version"]["const"])


def shown_version(path: Path) -> object:
    """The version that a document gives for itself; None where it gives none that can be read."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return document.get("schema_version") if isinstance(document, dict) else None


@cache
def _validator(schema: str) -> Draft202012Validator:
    return Draft202012Validator(_schema(schema))


@cache
def _schema(schema: str) -> dict[str, Any]:
    path = SCHEMA_FOLDER / f"{schema}.schema.json"
    return dict(json.loads(path.read_text(encoding="utf-8")))


def _shortened(message: str, limit: int = 200) -> str:
    return message if len(message) <= limit else f"{message[:limit]} …"
