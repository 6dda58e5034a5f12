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
from typing import TYPE_CHECKING

import profiling.methods
from profiling.errors import ConfigError
from profiling.methods.checks import (
    Variant,
    check_implementation,
    check_resolution,
    check_settings,
    choices,
    parse_variant,
)
from profiling.methods.spec import MethodSpec

if TYPE_CHECKING:
    from profiling.methods.base import Method

__all__ = [
    "Variant",
    "all_specs",
    "check_implementation",
    "check_resolution",
    "check_settings",
    "get_spec",
    "load_method_class",
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
        target: such as ``efficientad``.
        where: the place the name comes from, for the error.

    Raises:
        ConfigError: there is no such method.
    """
    specs = _specs()
    if target not in specs:
        raise ConfigError(where, f"there is no method {target!r}", choices(target, specs))
    return specs[target]


def load_method_class(spec: MethodSpec) -> type[Method]:
    """Imports the class of a method, and torch with it."""
    module, _, name = spec.factory.partition(":")
    found: type[Method] = getattr(importlib.import_module(module), name)
    return found
