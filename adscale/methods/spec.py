"""The facts of a method that are known without building it, and requests checked by them."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from pydantic import dataclasses as records

from ..errors import ConfigError, UnsupportedResolutionError
from ..models import CLOSED, checked, nearest
from ..resolution import Resolution

Complexity = Literal["pixels", "pixels_squared", "fixed", "unknown"]
"""How the work of a submodule grows with the image, from what it computes: the same for each pixel,
each position with every other, not at all, or not known."""


@dataclass(frozen=True)
class ResolutionProblem:
    """Why an architecture does not run at a resolution, and where it would."""

    reason: str
    nearest: tuple[Resolution, ...]
    """The nearest that are supported, ascending: one below and one above, if any."""


@records.dataclass(frozen=True, config=CLOSED)
class NoSettings:
    """Settings of a method that has none."""


@dataclass(frozen=True)
class MethodSpec:
    """A method as the configuration sees it."""

    target: str
    """The name under which the configuration asks for it: ``methods: {label: {target: …}}``."""
    summary: str
    factory: str
    """Where its class is: ``package.module:Class``, a ``profiling.methods.base.Method``."""
    submodules: tuple[str, ...]
    """In the order of inference; they partition it."""
    implementations: tuple[str, ...]
    precisions: tuple[str, ...]
    settings: type[Any]
    """Model of the class's settings; every field has a description and a default."""
    resolution_problem: Callable[[Mapping[str, Any], Resolution], ResolutionProblem | None]
    """Called with the settings and a resolution; None where the method runs."""
    supported_resolutions: str
    """The same in words, for ``python -m profiling methods``."""
    counting_problem: Callable[[Mapping[str, Any], Resolution], ResolutionProblem | None] | None = (
        None
    )
    """As ``resolution_problem``, for counting memory, where that is possible at more resolutions:
    the networks run one by one, though not together. None: as ``resolution_problem``."""
    complexity: Mapping[str, Complexity] = field(default_factory=dict)
    """Complexities of the submodules; one that is not named is ``unknown``."""
    foreign: bool = False
    """Whether the method is not ours, and what is above known only once it is imported: empty
    tuples, settings that admit everything."""


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
    resolution: Resolution,
    *,
    where: str = "resolution",
) -> None:
    """Refuses a resolution at which the architecture does not run.

    Args:
        spec: of the method.
        settings: of the method, defaults filled in.
        resolution: of the image.
        where: the place the resolution comes from, for the error.

    Raises:
        UnsupportedResolutionError: with the reason and the nearest that are supported.
    """
    _refuse(spec, spec.resolution_problem(settings, resolution), resolution, where)


def check_countable(
    spec: MethodSpec,
    settings: Mapping[str, Any],
    resolution: Resolution,
    *,
    where: str = "resolution",
) -> None:
    """Refuses a resolution at which not even the memory of the networks can be counted.

    Args:
        spec: of the method.
        settings: of the method, defaults filled in.
        resolution: of the image.
        where: the place the resolution comes from, for the error.

    Raises:
        UnsupportedResolutionError: with the reason and the nearest that are possible.
    """
    _refuse(spec, counting_problem(spec, settings, resolution), resolution, where)


def counting_problem(
    spec: MethodSpec, settings: Mapping[str, Any], resolution: Resolution
) -> ResolutionProblem | None:
    """Why memory cannot be counted at a resolution, None where it can."""
    return (spec.counting_problem or spec.resolution_problem)(settings, resolution)


def _refuse(
    spec: MethodSpec, problem: ResolutionProblem | None, resolution: Resolution, where: str
) -> None:
    if problem is None:
        return
    near = " or ".join(f"{one} px" for one in problem.nearest)
    raise UnsupportedResolutionError(
        where,
        f"{spec.target} does not run at {resolution} px ({problem.reason})",
        f"nearest that it supports: {near}" if near else f"it runs at {spec.supported_resolutions}",
    )


def choices(word: object, known: Iterable[str]) -> str:
    """Say what to write for an unknown word: all known ones, and the nearest if any is near."""
    known = list(known)
    return f"allowed: {', '.join(known)}{nearest(str(word), known)}"
