"""Checks of a user's wishes against the specification of a method. No torch."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ..errors import ConfigError, UnsupportedResolutionError
from ..models import checked, nearest
from .spec import MethodSpec, ResolutionProblem

_VARIANT = re.compile(r"[a-z][a-z0-9_]*-(fp32|tf32)")


class Variant(NamedTuple):
    """A way to compute a method: ``reference-fp32`` are the authors' operations in fp32."""

    implementation: str
    precision: str

    def __str__(self) -> str:
        return f"{self.implementation}-{self.precision}"


def check_settings(
    spec: MethodSpec, given: Mapping[str, Any], *, where: str = "settings"
) -> dict[str, Any]:
    """Checks settings and fills in the defaults of those that are not given.

    Args:
        spec: of the method.
        given: settings as the user wrote them.
        where: the place they come from, such as ``methods.MyLabel``.

    Returns:
        All settings of the method, in the order of its model; then those that only an open model
        lets through.

    Raises:
        ConfigError: a key is unknown, or a value is not allowed.
    """
    return copy.deepcopy(vars(checked(spec.settings, dict(given), where)))


def parse_variant(text: str, spec: MethodSpec, *, where: str = "variant") -> Variant:
    """Reads ``implementation-precision``.

    Args:
        text: such as ``reference-fp32``.
        spec: the method that has to know it.
        where: the place the variant comes from, for the error.

    Raises:
        ConfigError: the method has no such variant.
    """
    if spec.foreign and not spec.implementations and _VARIANT.fullmatch(text):
        return Variant(*text.rsplit("-", 1))
    known = {
        str(variant): variant
        for variant in (Variant(i, p) for i in spec.implementations for p in spec.precisions)
    }
    if text not in known:
        raise ConfigError(where, f"{spec.target} has no variant {text!r}", choices(text, known))
    return known[text]


def check_implementation(
    spec: MethodSpec, implementation: str, *, where: str = "implementation"
) -> None:
    """Refuses an implementation that the method does not have.

    Raises:
        ConfigError: with the nearest one and all others.
    """
    if implementation not in spec.implementations:
        what = f"{spec.target} has no implementation {implementation!r}"
        raise ConfigError(where, what, choices(implementation, spec.implementations))


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
    _refuse(spec, spec.resolution_problem(settings, resolution_px), resolution_px, where)


def check_countable(
    spec: MethodSpec,
    settings: Mapping[str, Any],
    resolution_px: int,
    *,
    where: str = "resolution",
) -> None:
    """Refuses a resolution at which not even the memory of the networks can be counted.

    Args:
        spec: of the method.
        settings: of the method, defaults filled in.
        resolution_px: side length of the square image.
        where: the place the resolution comes from, for the error.

    Raises:
        UnsupportedResolutionError: with the reason and the nearest possible side lengths.
    """
    _refuse(spec, counting_problem(spec, settings, resolution_px), resolution_px, where)


def counting_problem(
    spec: MethodSpec, settings: Mapping[str, Any], resolution_px: int
) -> ResolutionProblem | None:
    """Why memory cannot be counted at a resolution, None where it can."""
    return (spec.counting_problem or spec.resolution_problem)(settings, resolution_px)


def _refuse(
    spec: MethodSpec, problem: ResolutionProblem | None, resolution_px: int, where: str
) -> None:
    if problem is None:
        return
    near = " or ".join(f"{side_px} px" for side_px in problem.nearest)
    raise UnsupportedResolutionError(
        where,
        f"{spec.target} does not run at {resolution_px} px ({problem.reason})",
        f"nearest that it supports: {near}" if near else f"it runs at {spec.supported_resolutions}",
    )


def choices(word: object, known: Iterable[str]) -> str:
    """Say what to write for an unknown word: all known ones, and the nearest if any is near."""
    known = list(known)
    return f"allowed: {', '.join(known)}{nearest(str(word), known)}"
