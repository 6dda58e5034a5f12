"""The specification of a method, known without building it. Planning a study needs no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import dataclasses as records

from ..models import CLOSED

Complexity = Literal["pixels", "pixels_squared", "fixed", "unknown"]
"""How the work of a submodule grows with the image, from what it computes: the same for each pixel,
each position with every other, not at all, or not known."""


@dataclass(frozen=True)
class ResolutionProblem:
    """Why an architecture does not run at a resolution, and where it would."""

    reason: str
    nearest: tuple[int, ...]
    """The nearest supported side lengths in px, ascending: one below and one above, if any."""


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
    resolution_problem: Callable[[Mapping[str, Any], int], ResolutionProblem | None]
    """Called with the settings and a side length in px; None where the method runs."""
    supported_resolutions: str
    """The same in words, for ``python -m profiling methods``."""
    counting_problem: Callable[[Mapping[str, Any], int], ResolutionProblem | None] | None = None
    """As ``resolution_problem``, for counting memory, where that is possible at more resolutions:
    the networks run one by one, though not together. None: as ``resolution_problem``."""
    complexity: Mapping[str, Complexity] = field(default_factory=dict)
    """Complexities of the submodules; one that is not named is ``unknown``."""
    foreign: bool = False
    """Whether the method is not ours, and what is above known only once it is imported: empty
    tuples, settings that admit everything."""
