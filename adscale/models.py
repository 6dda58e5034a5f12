"""Common ground of all typed models: their field types, and one line for each fault in one.

A model is a frozen dataclass of pydantic that admits no unknown key. Values are taken as they
are: ``"5"`` is no number and ``true`` no integer.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    AllowInfNan,
    ConfigDict,
    Field,
    Strict,
    TypeAdapter,
    ValidationError,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from .errors import ConfigError, shown
from .resolution import LARGEST_SIDE_PX

Record = TypeVar("Record")

CLOSED = ConfigDict(extra="forbid", defer_build=True)
"""Settings of every model: an unknown key is an error. It is built when it is first used."""

OPEN = ConfigDict(extra="allow", defer_build=True)

NAME_PATTERN = "^[A-Za-z0-9][A-Za-z0-9._+-]*$"

Integer = Annotated[int, Strict()]
Count = Annotated[int, Strict(), Field(ge=0)]
Positive = Annotated[int, Strict(), Field(ge=1)]
Number = Annotated[float, Strict()]
Finite = Annotated[float, Strict(), AllowInfNan(False)]
Flag = Annotated[bool, Strict()]
Text = Annotated[str, Field(min_length=1)]
Name = Annotated[str, Field(pattern=NAME_PATTERN)]
"""Part of a path below the results."""

Label = Annotated[str, Field(min_length=1, max_length=40)]
Side = Annotated[Positive, Field(le=LARGEST_SIDE_PX)]
"""Of an image, in px; the largest has 10 gigapixels, more than any sensor."""

Entry = TypeVar("Entry")


def each_once(values: Sequence[Entry]) -> Sequence[Entry]:
    """Refuses a list that names a value twice.

    Raises:
        PydanticCustomError: it does.
    """
    if any(value in values[:at] for at, value in enumerate(values)):
        raise PydanticCustomError("each_once", "each value once")
    return values


EachOnce = AfterValidator(each_once)


_ADAPTERS: dict[type[Any], TypeAdapter[Any]] = {}


def adapter(model: type[Record]) -> TypeAdapter[Record]:
    """Reads and writes values of a model."""
    if model not in _ADAPTERS:
        _ADAPTERS[model] = TypeAdapter(model)
    return _ADAPTERS[model]


def read_json(text: str | bytes) -> Any:
    """What a text in JSON says.

    Raises:
        ValueError: it is no JSON, nested deeper than Python reads, or has a longer number.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def jsonable(record: object) -> dict[str, Any]:
    """A model's values as JSON has them, in the order of its fields."""
    data: dict[str, Any] = adapter(type(record)).dump_python(record, mode="json")
    return data


_SCHEMAS: dict[type[Any], dict[str, Any]] = {}


def json_schema(model: type[object]) -> dict[str, Any]:
    """The JSON schema of a model, with parts that several fields share written out in each."""
    if model not in _SCHEMAS:
        schema = adapter(model).json_schema()
        _SCHEMAS[model] = _written_out(schema, schema.pop("$defs", {}))
    return _SCHEMAS[model]


def _written_out(part: Any, parts: Mapping[str, Any]) -> Any:
    """A part of a schema without references, and without titles made from the fields' names."""
    if isinstance(part, list):
        return [_written_out(one, parts) for one in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        found = parts[part["$ref"].rpartition("/")[2]]
        return _written_out({**found, **{k: v for k, v in part.items() if k != "$ref"}}, parts)
    kept = {key: value for key, value in part.items() if key != "title" or isinstance(value, dict)}
    return {
        key: value if key in {"default", "enum", "required"} else _written_out(value, parts)
        for key, value in kept.items()
    }


def checked(model: type[Record], data: object, where: str = "") -> Record:
    """User input as a value of a model.

    Args:
        model: of the input.
        data: mappings, lists and plain values, as JSON or YAML has them.
        where: path of keys that leads to it.

    Raises:
        ConfigError: the first key that is missing, unknown or has a value that is not allowed.
    """
    try:
        return adapter(model).validate_python(data)
    except ValidationError as error:
        raise config_errors(error, model, where)[0] from None


def config_errors(
    error: ValidationError, model: type[object], where: str = ""
) -> list[ConfigError]:
    """Return the errors of user input, one per wrong key, sorted by their paths.

    Args:
        error: as pydantic has raised it.
        model: that was to be read.
        where: path of keys that leads to the input.
    """
    found = sorted(
        error.errors(include_url=False), key=lambda one: [str(part) for part in one["loc"]]
    )
    # pydantic counts only the entries of a list that are right, and then calls it too short, too
    around = {one["loc"][:end] for one in found for end in range(len(one["loc"]))}
    told = [one for one in found if one["type"] != "too_short" or one["loc"] not in around]
    return [_config_error(one, model, where) for one in told]


def nearest(word: str, allowed: Iterable[str]) -> str:
    """``; did you mean X?`` for the closest of the allowed words, or nothing."""
    spelled = {candidate.lower(): candidate for candidate in allowed}
    close = difflib.get_close_matches(word.lower(), spelled, n=1, cutoff=0.5)
    return f", did you mean {spelled[close[0]]}?" if close else ""


def as_listed(word: str, known: Iterable[str]) -> str:
    """The known word that is meant: the word itself, else the only one that differs in its case.

    Returns:
        The word as it came where none or several are meant; whoever looks it up says so.
    """
    known = list(known)
    meant = [one for one in known if one.casefold() == word.casefold()]
    return meant[0] if word not in known and len(meant) == 1 else word


def _config_error(error: ErrorDetails, model: type[object], where: str) -> ConfigError:
    loc = error["loc"]
    if loc and loc[-1] == "[key]":  # the fault is in the key before it
        loc = loc[:-2]
    if error["type"] == "invalid_key":
        loc = loc[:-1]
    place = ".".join([*([where] if where else []), *(str(part) for part in loc)])
    kind = error["type"]
    is_key = error["loc"][-1:] == ("[key]",)
    if kind == "invalid_key" or (is_key and not isinstance(error["input"], str)):
        what = f"the key {error['input']!r} is no text"  # YAML reads on, 5 and 2026-01-01 so
        return ConfigError(place or "configuration", what, "put it in quotes")
    if kind in {"unexpected_keyword_argument", "extra_forbidden"}:
        around = _branches(_schema_at(model, loc[:-1]))
        allowed = sorted(key for branch in around for key in branch.get("properties", {}))
        remedy = f"allowed here: {', '.join(allowed)}{nearest(str(loc[-1]), allowed)}"
        return ConfigError(place, "unknown key", remedy)
    if kind in {"missing", "missing_argument", "missing_keyword_only_argument"}:
        description = _schema_at(model, loc).get("description", "it is required")
        return ConfigError(place, "missing", f"add it: {description}")
    usable = "is not a usable name" if kind == "string_pattern_mismatch" else "cannot be used"
    what = f"{shown(error['input'])} {usable}"
    return ConfigError(place or "configuration", what, _allowed(error, _schema_at(model, loc)))


_LIMITS = {
    "greater_than_equal": ("at least", "ge"),
    "less_than_equal": ("at most", "le"),
    "greater_than": ("more than", "gt"),
    "less_than": ("less than", "lt"),
}


def _allowed(error: ErrorDetails, schema: Mapping[str, Any]) -> str:
    context = error.get("ctx", {})
    match error["type"]:
        case "literal_error":
            words = [word for part in _branches(schema) for word in part.get("enum", ())]
            return f"allowed: {', '.join(words)}{nearest(str(error['input']), words)}"
        case "greater_than_equal" | "less_than_equal" | "greater_than" | "less_than":
            limit, key = _LIMITS[error["type"]]
            return f"expected: {limit} {context[key]:g}"
        case "too_short":
            return f"expected: at least {context['min_length']}"
        case "string_too_short" | "string_too_long":
            end = "least" if error["type"] == "string_too_short" else "most"
            length = context["min_length" if end == "least" else "max_length"]
            return f"expected: at {end} {length} character{'' if length == 1 else 's'}"
        case "string_pattern_mismatch":
            for example in (one for part in _branches(schema) for one in part.get("examples", ())):
                return f"expected: one such as {example}"
            return "allowed: letters, digits and . _ + -, beginning with a letter or digit"
        case "finite_number":
            return "expected: a finite number"
        case "each_once" | "taken" | "resolution" | "variant":
            return f"expected: {error['msg']}" if error["type"] == "each_once" else error["msg"]
        case "not_listed":
            return error["msg"]
        case _:
            kinds = [part["type"] for part in _branches(schema) if "type" in part]
            return f"expected: {' or '.join(kinds)}" if kinds else f"it says: {error['msg']}"


def _branches(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The alternatives of a schema, ``null`` last."""
    yield from schema.get("anyOf", [schema])


def _schema_at(model: type[object], loc: Sequence[int | str]) -> Mapping[str, Any]:
    """The part of a model's schema that a path of keys leads to; empty where it leads nowhere."""
    part: Mapping[str, Any] = json_schema(model)
    for key in loc:
        below = [_below(branch, key) for branch in _branches(part)]
        part = next((one for one in below if one), {})
    return part


def _below(schema: Mapping[str, Any], key: int | str) -> Mapping[str, Any]:
    if isinstance(key, int):
        found = schema.get("items", {})
    else:
        found = schema.get("properties", {}).get(key) or labelled(schema)
    return found if isinstance(found, Mapping) else {}


def labelled(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema of the values of a mapping, whatever their keys; empty where it has none."""
    found = [*schema.get("patternProperties", {}).values(), schema.get("additionalProperties")]
    return found[0] if isinstance(found[0], Mapping) else {}
