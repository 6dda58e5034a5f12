"""Settings of a method: checked against its schema, defaults filled in. No torch."""

from __future__ import annotations

import copy
import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from profiling.errors import ConfigError
from profiling.methods.spec import MethodSpec


def resolve_settings(
    spec: MethodSpec, settings: Mapping[str, Any], *, where: str = "settings"
) -> dict[str, Any]:
    """Checks settings and fills in the defaults of those that are not given.

    Args:
        spec: of the method.
        settings: as the user wrote them.
        where: the place they come from, such as ``methods.MyLabel``.

    Returns:
        All settings of the method, in the order of its schema.

    Raises:
        ConfigError: a key is unknown, or a value is not allowed.
    """
    import jsonschema

    properties: Mapping[str, Any] = spec.settings_schema["properties"]
    for key in settings:
        if key not in properties:
            raise ConfigError(
                f"{where}.{key}",
                f"{spec.target} has no such setting",
                suggest(str(key), properties),
            )
    validator = jsonschema.Draft202012Validator(dict(spec.settings_schema))
    for problem in sorted(validator.iter_errors(dict(settings)), key=_place):
        raise _setting_error(problem, where)
    return {
        key: copy.deepcopy(settings[key] if key in settings else schema["default"])
        for key, schema in properties.items()
    }


def parse_assignments(assignments: Iterable[str], *, where: str = "--set") -> dict[str, Any]:
    """Reads ``key=value`` arguments; a value is JSON, or else the text itself.

    ``padding=true`` gives True, ``weights=null`` None, ``size=S`` the string ``S``.

    Raises:
        ConfigError: an argument has no ``=``, or a key is given twice.
    """
    settings: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not (key and equals):
            raise ConfigError(where, f"{assignment!r} is not key=value", "write e.g. size=S")
        if key in settings:
            raise ConfigError(where, f"{key!r} is given twice", "give it once")
        try:
            settings[key] = json.loads(text)
        except json.JSONDecodeError:
            settings[key] = text
    return settings


def suggest(word: str, known: Iterable[str]) -> str:
    """A remedy for an unknown word: the nearest known one, if any, and all known ones."""
    known = list(known)
    nearest = difflib.get_close_matches(word.lower(), [k.lower() for k in known], n=1)
    choices = f"use one of {', '.join(known)}"
    if not nearest:
        return choices
    original = next(k for k in known if k.lower() == nearest[0])
    return f"did you mean {original!r}? {choices}"


def _place(problem: Any) -> Sequence[str]:
    return [str(part) for part in problem.absolute_path]


def _setting_error(problem: Any, where: str) -> ConfigError:
    key = ".".join([where, *_place(problem)])
    value = json.dumps(problem.instance, default=repr)
    if problem.validator == "enum":
        words = [v if isinstance(v, str) else json.dumps(v) for v in problem.validator_value]
        return ConfigError(key, f"{value} is not allowed", suggest(str(problem.instance), words))
    if problem.validator == "type":
        types = problem.validator_value
        types = [types] if isinstance(types, str) else types
        return ConfigError(
            key, f"{value} is of the wrong type", f"give a value of type {' or '.join(types)}"
        )
    return ConfigError(
        key, f"{value} is not allowed: {problem.message}", "see the settings' schema"
    )
