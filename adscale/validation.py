"""JSON schemas: reading them, and turning their complaints into lines a user can act on."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from .errors import ConfigError

SCHEMA_FOLDER = Path(__file__).parents[1] / "workflow" / "schemas"


@cache
def load_schema(name: str) -> Mapping[str, Any]:
    """The schema ``workflow/schemas/<name>.schema.json``."""
    path = SCHEMA_FOLDER / f"{name}.schema.json"
    schema: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return schema


def config_errors(schema: Mapping[str, Any], data: object, where: str = "") -> list[ConfigError]:
    """Return what a schema finds wrong with user input, one error per wrong key.

    Args:
        schema: a JSON schema.
        data: the input.
        where: path of keys that leads to ``data``.
    """
    found: list[ConfigError] = []
    for error in sorted(Draft202012Validator(schema).iter_errors(data), key=_position):
        found.extend(_describe(error, where))
    return found


def nearest(word: str, allowed: Iterable[str]) -> str:
    """``; did you mean X?`` for the closest of the allowed words, or nothing."""
    spelled = {candidate.lower(): candidate for candidate in allowed}
    close = difflib.get_close_matches(word.lower(), spelled, n=1, cutoff=0.5)
    return f", did you mean {spelled[close[0]]}?" if close else ""


def _position(error: Any) -> tuple[str, ...]:
    return tuple(str(part) for part in error.absolute_path)


def _describe(error: Any, where: str) -> Iterator[ConfigError]:
    path = ".".join([where, *_position(error)]) if where else ".".join(_position(error))
    if error.validator == "additionalProperties":
        allowed = sorted(error.schema.get("properties", {}))
        for key in sorted(set(error.instance) - set(allowed), key=str):
            place = f"{path}.{key}" if path else str(key)
            remedy = f"allowed here: {', '.join(allowed)}{nearest(str(key), allowed)}"
            yield ConfigError(place, "unknown key", remedy)
    elif error.validator == "required":
        missing = sorted(set(error.validator_value) - set(error.instance))
        place = f"{path}.{missing[0]}" if path else missing[0]
        yield ConfigError(place, "missing", f"add it: {_describe_key(error.schema, missing[0])}")
    else:
        yield ConfigError(path or "configuration", _what(error), _allowed(error))


def _what(error: Any) -> str:
    if "propertyNames" in error.absolute_schema_path or error.validator == "pattern":
        return f"{error.instance!r} is not a usable name"
    return f"{error.instance!r} cannot be used"


def _describe_key(schema: Mapping[str, Any], key: str) -> str:
    text: str = schema.get("properties", {}).get(key, {}).get("description", "it is required")
    return text


def _allowed(error: Any) -> str:
    value = error.validator_value
    match error.validator:
        case "enum":
            words = [str(word) for word in value]
            return f"allowed: {', '.join(words)}{nearest(str(error.instance), words)}"
        case "type":
            kinds = [value] if isinstance(value, str) else list(value)
            return f"expected: {' or '.join(kinds)}"
        case "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum":
            limits = {"minimum": "at least", "maximum": "at most"}
            limits |= {"exclusiveMinimum": "more than", "exclusiveMaximum": "less than"}
            return f"expected: {limits[error.validator]} {value}"
        case "minItems" | "minProperties":
            return f"expected: at least {value}"
        case "minLength" | "maxLength":
            limit = "least" if error.validator == "minLength" else "most"
            return f"expected: at {limit} {value} character{'' if value == 1 else 's'}"
        case "uniqueItems":
            return "expected: each value once"
        case "pattern":
            return "allowed: letters, digits and . _ + -, beginning with a letter or digit"
        case "not":
            return f"these names are taken: {', '.join(value.get('enum', []))}"
        case _:
            return f"the schema says: {error.message}"
