"""The methods that can be measured. No torch.

A method is a package beside this module whose ``spec`` module defines ``SPEC``. Packages are found
rather than listed: a list would be code that every measurement depends on, and each new method
would have all the others measured again.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache

import profiling.methods
from profiling.errors import ConfigError
from profiling.methods.checks import (
    Variant,
    check_countable,
    check_implementation,
    check_resolution,
    check_settings,
    choices,
    counting_problem,
    parse_variant,
)
from profiling.methods.foreign import is_foreign, planned_spec
from profiling.methods.spec import MethodSpec

__all__ = [
    "Variant",
    "all_specs",
    "check_countable",
    "check_implementation",
    "check_resolution",
    "check_settings",
    "counting_problem",
    "get_spec",
    "parse_variant",
]


@cache
def _specs() -> Mapping[str, MethodSpec]:
    packages = [
        found.name for found in pkgutil.iter_modules(profiling.methods.__path__) if found.ispkg
    ]
    modules = [importlib.import_module(f"profiling.methods.{name}.spec") for name in packages]
    specs: list[MethodSpec] = [module.SPEC for module in modules]
    return {spec.target: spec for spec in sorted(specs, key=lambda spec: spec.target)}


def all_specs() -> tuple[MethodSpec, ...]:
    """Every method, sorted by target."""
    return tuple(_specs().values())


def get_spec(target: str, *, where: str = "target") -> MethodSpec:
    """The method of that name.

    Args:
        target: such as ``efficientad``, or the place of a method that is not ours, see ``foreign``.
        where: the place the name comes from, for the error.

    Raises:
        ConfigError: there is no such method.
    """
    if is_foreign(target):
        return planned_spec(target, where=where)
    specs = _specs()
    if target not in specs:
        raise ConfigError(where, f"there is no method {target!r}", choices(target, specs))
    return specs[target]
