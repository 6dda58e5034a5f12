"""The methods that can be measured, and what may be asked of each. No torch."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from profiling.errors import ConfigError, UnsupportedResolutionError
from profiling.methods.efficientad.spec import SPEC as EFFICIENTAD
from profiling.methods.settings import parse_assignments, resolve_settings, suggest
from profiling.methods.spec import MethodSpec

if TYPE_CHECKING:
    from profiling.methods.base import Method

__all__ = [
    "Variant",
    "all_specs",
    "check_implementation",
    "check_resolution",
    "get_spec",
    "load_method_class",
    "parse_assignments",
    "parse_variant",
    "resolve_settings",
]

_SPECS: Mapping[str, MethodSpec] = {spec.target: spec for spec in (EFFICIENTAD,)}


class Variant(NamedTuple):
    """How a method is done: ``reference-fp32`` are the authors' operations in fp32."""

    implementation: str
    precision: str

    def __str__(self) -> str:
        return f"{self.implementation}-{self.precision}"


def all_specs() -> tuple[MethodSpec, ...]:
    """Every method, sorted by target."""
    return tuple(_SPECS[target] for target in sorted(_SPECS))


def get_spec(target: str, *, where: str = "target") -> MethodSpec:
    """The method of that name.

    Args:
        target: such as ``efficientad``.
        where: the place the name comes from, for the error.

    Raises:
        ConfigError: there is no such method.
    """
    if target in _SPECS:
        return _SPECS[target]
    raise ConfigError(where, f"there is no method {target!r}", suggest(str(target), _SPECS))


def load_method_class(spec: MethodSpec) -> type[Method]:
    """Imports the class of a method, and torch with it."""
    module, _, name = spec.factory.partition(":")
    found: type[Method] = getattr(importlib.import_module(module), name)
    return found


def parse_variant(text: str, spec: MethodSpec, *, where: str = "variant") -> Variant:
    """Reads ``implementation-precision``.

    Args:
        text: such as ``reference-fp32``.
        spec: the method that has to know it.
        where: the place the variant comes from, for the error.

    Raises:
        ConfigError: the text has another form, or the method has no such variant.
    """
    known = [str(Variant(i, p)) for i in spec.implementations for p in spec.precisions]
    if text not in known:
        raise ConfigError(
            where, f"{spec.target} has no variant {text!r}", suggest(str(text), known)
        )
    implementation, precision = text.split("-")
    return Variant(implementation, precision)


def check_implementation(
    spec: MethodSpec, implementation: str, *, where: str = "implementation"
) -> None:
    """Refuses an implementation that the method does not have.

    Raises:
        ConfigError: with the nearest one and all others.
    """
    if implementation not in spec.implementations:
        raise ConfigError(
            where,
            f"{spec.target} has no implementation {implementation!r}",
            suggest(implementation, spec.implementations),
        )


def check_resolution(
    spec: MethodSpec,
    settings: Mapping[str, Any],
    resolution_px: int,
    *,
    where: str = "resolution",
) -> None:
    """Refuses a resolution at which the architecture does not run.

    Args:
        spec: of the method.
        settings: of the method, defaults filled in.
        resolution_px: side length of the square image.
        where: the place the resolution comes from, for the error.

    Raises:
        UnsupportedResolutionError: with the reason and the nearest supported side lengths.
    """
    problem = spec.resolution_problem(settings, resolution_px)
    if problem is None:
        return
    nearest = " or ".join(f"{side_px} px" for side_px in problem.nearest)
    raise UnsupportedResolutionError(
        where,
        f"{spec.target} does not run at {resolution_px} px: {problem.reason}",
        f"use {nearest}" if nearest else f"supported is {spec.supported_resolutions}",
    )
