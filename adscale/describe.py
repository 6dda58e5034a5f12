"""Generated from the models: their JSON schemas, and the reference of the configuration.

``make docs`` writes both anew (``python -m adscale.describe``); a test fails where a file differs
from the models.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .config_file import ConfigFile
from .files import write_text
from .memory_record import MemoryRecord
from .models import json_schema, labelled
from .run_record import RunRecord

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs" / "configuration.md"
SCHEMA_FOLDER = ROOT / "workflow" / "schemas"

MODELS: Mapping[str, type[Any]] = {
    "config": ConfigFile,
    "run": RunRecord,
    "memory": MemoryRecord,
}
"""By the name of the schema; ``latency.json`` is as ``run.json``."""

TITLES = {
    "config": "config.yaml: the one file a user edits",
    "run": "run.json and latency.json: what one process of a run was asked to do, and did",
    "memory": "memory.json: exact counts of one method and variant; no image is run",
}

HEADER = """\
# Configuration

`config/config.yaml` is the one file to edit. A key that is left out takes the value of the preset
(`config/presets/`), or else the default given here. `--configfile FILE` on the command line takes
the place of `config/config.yaml`; `--config key=value` is put over it. Every fault is told before
any job starts, in one line, with the key's path and what is allowed. (Snakemake called by hand
reads `--configfile` before anything of ours: of a file that is not in UTF-8 it prints a traceback,
whose last line says so.)

This page is made from `adscale/config_file.py`.
"""


def load_schema(name: str) -> dict[str, Any]:
    """The JSON schema of a document, as its model has it.

    Args:
        name: ``config``, ``run`` or ``memory``.
    """
    schema = copy.deepcopy(json_schema(MODELS[name]))
    if name == "config":
        _given_by_preset(schema)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"{name}.schema.json",
        "title": TITLES[name],
        **schema,
    }


def _given_by_preset(schema: dict[str, Any]) -> None:
    """Takes away what a user need not write because the preset, or a file of ours, has it."""
    schema["required"] = ["methods"]
    sampling = schema["properties"]["sampling"]
    del sampling["required"]
    for part in sampling["properties"].values():
        part.pop("default", None)
    entry = labelled(schema["properties"]["methods"])
    for part in (*schema["properties"].values(), *entry["properties"].values()):
        if part.get("default") == []:
            del part["default"]


def reference() -> str:
    """The page of the configuration, as Markdown."""
    rows = "\n".join(_rows("", load_schema("config")))
    table = f"| key | values | meaning |\n|---|---|---|\n{rows}"
    return f"{HEADER}\n{table}\n"


def schema_text(name: str) -> str:
    """The file of a schema."""
    return json.dumps(load_schema(name), indent=1, ensure_ascii=False) + "\n"


def _rows(prefix: str, part: Mapping[str, Any]) -> Iterator[str]:
    for key, inner in part.get("properties", {}).items():
        kinds = inner.get("anyOf", [inner])
        default = _default(inner) if "properties" not in inner else ""
        yield f"| `{prefix}{key}` | {_values(kinds)}{default} | {_prose(inner)} |"
        yield from _rows(f"{prefix}{key}.", inner)
        for item in (one for kind in kinds for one in _items(kind)):
            yield from _rows(f"{prefix}{key}.<n>.", item)
        if below := labelled(inner):
            of_label = below.get("anyOf", [below])
            yield f"| `{prefix}{key}.<label>` | {_values(of_label)} | {_prose(below)} |"
            yield from _rows(f"{prefix}{key}.<label>.", below)


def _values(kinds: list[Mapping[str, Any]]) -> str:
    words = " or ".join(_kind(kind) for kind in kinds)
    limits = {
        "minimum": "from",
        "exclusiveMinimum": "above",
        "maximum": "to",
        "exclusiveMaximum": "below",
    }
    given = (
        f"{word} {kind[name]:g}" for kind in kinds for name, word in limits.items() if name in kind
    )
    return " ".join([words, *given])


def _kind(kind: Mapping[str, Any]) -> str:
    if "enum" in kind:
        return ", ".join(f"`{word}`" for word in kind["enum"])
    items = " or ".join(f"{item['type']}s" for item in _items(kind))
    return f"list of {items}" if items else str(kind["type"])


def _items(kind: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What a list may hold; nothing of what is none."""
    items = kind.get("items", {})
    found: list[Mapping[str, Any]] = items.get("anyOf", [items] if items else [])
    return found


def _prose(part: Mapping[str, Any]) -> str:
    """The description; what looks like a tag of HTML stays text, except inside of code."""
    text: str = part["description"]
    return re.sub(r"(`[^`]*`)|<", lambda match: match[1] or r"\<", text)


def _default(part: Mapping[str, Any]) -> str:
    return f"; default `{json.dumps(part['default'])}`" if "default" in part else ""


if __name__ == "__main__":
    write_text(REFERENCE, reference())
    for schema_name in MODELS:
        write_text(SCHEMA_FOLDER / f"{schema_name}.schema.json", schema_text(schema_name))
