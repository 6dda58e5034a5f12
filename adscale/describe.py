"""The reference of the configuration, made from its schema.

``make docs`` writes it anew (``python -m adscale.describe docs/configuration.md``); a test
fails where the file differs from the schema.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .files import write_text
from .validation import load_schema

HEADER = """\
# Configuration

`config/config.yaml` is the one file to edit. A key that is left out takes the value of the preset
(`config/presets/`), or else the default given here. `--configfile FILE` on the command line takes
the place of `config/config.yaml`; `--config key=value` is put over it. Every fault is told before
any job starts, in one line, with the key's path and what is allowed.

This page is made from `workflow/schemas/config.schema.json`.
"""


def reference() -> str:
    """The page, as Markdown."""
    schema = load_schema("config")
    rows = "\n".join(_rows("", schema, schema))
    table = f"| key | values | meaning |\n|---|---|---|\n{rows}"
    return f"{HEADER}\n{table}\n"


def _rows(prefix: str, part: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[str]:
    for key, inner in part.get("properties", {}).items():
        resolved = {**schema["$defs"].get(inner.get("$ref", "").rpartition("/")[2], {}), **inner}
        default = _default(resolved) if "properties" not in resolved else ""
        yield f"| `{prefix}{key}` | {_values(resolved)}{default} | {_prose(resolved)} |"
        yield from _rows(f"{prefix}{key}.", resolved, schema)
        yield from _rows(f"{prefix}{key}.<n>.", resolved.get("items", {}), schema)
        labelled = resolved.get("additionalProperties")
        if isinstance(labelled, Mapping):
            yield f"| `{prefix}{key}.<label>` | object | {_prose(labelled)} |"
            yield from _rows(f"{prefix}{key}.<label>.", labelled, schema)


def _values(part: Mapping[str, Any]) -> str:
    if "enum" in part:
        return ", ".join(f"`{word}`" for word in part["enum"])
    kinds = part["type"] if isinstance(part["type"], list) else [part["type"]]
    text = " or ".join(kinds)
    if "items" in part:
        text = f"list of {part['items']['type']}s"
    limits = {
        "minimum": "from",
        "exclusiveMinimum": "above",
        "maximum": "to",
        "exclusiveMaximum": "below",
    }
    given = (f"{word} {part[name]}" for name, word in limits.items() if name in part)
    return " ".join([text, *given])


def _prose(part: Mapping[str, Any]) -> str:
    """The description; what looks like a tag of HTML stays text, except inside of code."""
    text: str = part["description"]
    return re.sub(r"(`[^`]*`)|<", lambda match: match[1] or r"\<", text)


def _default(part: Mapping[str, Any]) -> str:
    return f"; default `{json.dumps(part['default'])}`" if "default" in part else ""


if __name__ == "__main__":
    write_text(Path(sys.argv[1]), reference())
