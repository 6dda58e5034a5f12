"""The JSON schemas of our documents, as the declarations of their tables have them.

Documents may hold more than their schema says: what is added does not raise the version.
"""

from __future__ import annotations

import json
from typing import Any

from adscale.tables import ColumnType, Schema, schema_of

from .comparison.profile_diff import SCHEMA as DIFF_ROW
from .comparison.table import COMPARISON
from .feasibility.cheapest import COLUMNS as CHEAPEST_COLUMNS
from .feasibility.tables import FEASIBILITY, FEASIBILITY_LIMITS
from .feasibility.tile_table import TILE_PLANS
from .json_output import SCHEMA_VERSIONS
from .profiles.copy_table import COPY_COLUMNS
from .profiles.cross_thread import CROSS_COLUMNS
from .profiles.energy_table import ENERGY_COLUMNS
from .profiles.kernel_table import KERNEL_COLUMNS
from .profiles.range_table import PROFILE_COLUMNS
from .profiles.ranks import SPREAD_COLUMNS
from .profiles.work import BY

_TYPES: dict[ColumnType, str] = {
    "string": "string",
    "Int64": "integer",
    "Float64": "number",
    "boolean": "boolean",
}
_PATH = {"type": "array", "items": {"type": "string"}, "description": "names, outermost first"}
_UNKNOWN = {
    "type": "object",
    "additionalProperties": {"type": "string"},
    "description": "why a column is null, for each that is",
}
_ANY = {"type": "object"}

Json = dict[str, Any]


def schema_text(name: str) -> str:
    """The schema of a document in its present version, as a file in docs/schemas has it."""
    schema: Json = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": schema_file(name, SCHEMA_VERSIONS[name]),
        "title": f"adscale {name}, version {SCHEMA_VERSIONS[name]}",
        "type": "object",
    }
    properties = {
        "document": {"const": name},
        "schema_version": {"const": SCHEMA_VERSIONS[name]},
        **_PARTS[name](),
    }
    optional = {
        "kernels",
        "copies",
        "cross_thread",
        "profiles",
        "spread",
        "unknown",
        "cheapest_variants",
    }
    schema |= {
        "required": [part for part in properties if part not in optional],
        "properties": properties,
    }
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


def schema_file(name: str, version: int) -> str:
    """Name of the file with the schema of a version."""
    return f"{name}-{version}.json"


def _rows(columns: Schema, optional: Schema | None = None) -> Json:
    """A list of rows; `path` is a list of names there."""
    optional = optional or {}
    properties: Json = {
        name: {"type": [_TYPES[kind], "null"]} for name, kind in {**columns, **optional}.items()
    }
    if "path" in properties:
        properties["path"] = _PATH
    row = {
        "type": "object",
        "required": [*(name for name in columns), "unknown"],
        "properties": {**properties, "unknown": _UNKNOWN},
    }
    return {"type": "array", "items": row}


def _attribute() -> Json:
    by: Schema = dict.fromkeys(BY, "string")
    coverage = {"type": "object", "required": ["kernels", "share", "cuda", "warnings"]}
    of_profile: Schema = {"profile": "string"}
    profile = {
        "type": "object",
        "required": ["profile", "coverage"],
        "properties": {"profile": {"type": "string"}, "coverage": coverage},
    }
    return {
        "question": _ANY,
        "coverage": coverage,
        "profiles": {"type": "array", "items": profile},
        "ranges": _rows(PROFILE_COLUMNS, {**of_profile, **by, **ENERGY_COLUMNS}),
        "spread": _rows(SPREAD_COLUMNS, by),
        "kernels": _rows(KERNEL_COLUMNS, of_profile),
        "copies": _rows(COPY_COLUMNS, of_profile),
        "cross_thread": _rows(CROSS_COLUMNS, of_profile),
    }


def _diff() -> Json:
    row = {name: kind for name, kind in DIFF_ROW.items() if name != "kernel"}
    profiles = {
        "type": "array",
        "minItems": 1,
        "items": {"type": "object", "required": ["file", "fingerprint", "warnings", "images"]},
    }
    gate = {
        "type": ["object", "null"],
        "required": ["passes", "conditions", "judged_rows", "a_processes", "b_processes", "rows"],
        "properties": {"passes": {"type": "boolean"}, "rows": {"type": "array"}},
    }
    return {
        "question": _ANY,
        "per": {"enum": ["process", "call", "image"]},
        "a": profiles,
        "b": profiles,
        "different_besides": {"type": "array"},
        "processes_repeated": {"type": "boolean"},
        "equal": {"type": "integer"},
        "rows": _rows(row, {"kernel": "string"}),
        "gate": gate,
    }


def _compare() -> Json:
    return {
        "a": {"type": "string"},
        "b": {"type": "string"},
        "different_besides": {"type": ["array", "null"]},
        "rows": _rows(schema_of(COMPARISON)),
        "unknown": _UNKNOWN,
    }


def _feasible() -> Json:
    columns: Schema = {
        **{name: kind for name, kind in FEASIBILITY.schema.items() if name != "missing"},
        "cycle_ms": "Float64",
        "keeps_cycle": "string",
    }
    limits = {name: kind for name, kind in FEASIBILITY_LIMITS.schema.items() if name != "missing"}
    return {
        "question": _ANY,
        "rows": _rows(columns),
        "largest_batches": _rows(limits),
        "cheapest_variants": _rows(CHEAPEST_COLUMNS),
    }


def _tiles() -> Json:
    kept = {name: kind for name, kind in TILE_PLANS.schema.items() if name != "missing"}
    columns: Schema = {**kept, "is_best": "boolean"}
    return {"question": _ANY, "rows": _rows(columns)}


_PARTS = {
    "attribute": _attribute,
    "compare": _compare,
    "diff": _diff,
    "feasible": _feasible,
    "tiles": _tiles,
}
