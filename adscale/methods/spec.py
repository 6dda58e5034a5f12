"""The facts of a method that are known without building it, and requests checked by them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import dataclasses as records

from ..engines import variant_problem
from ..errors import ConfigError, UnsupportedResolutionError
from ..models import CLOSED, checked, jsonable, nearest
from ..resolution import Resolution
from ..tiles import KEY, TilePlan, Tiles, Tiling, plan_tiles, tiles_of, without_tiles
from ..variant import PRECISIONS, NoVariantError, Variant, variant_fault

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
class Part:
    """A network of a method, which another engine can compute, or torch in another precision.

    It is given and returns tensors in fp32: what lies around it stays as it is.
    """

    calls: tuple[str, ...]
    """Attributes of the method that hold what is called, with dots: a module, or a method of it."""
    modules: tuple[str, ...]
    """Paths of the modules that compute it."""
    fixed: tuple[str, ...] = ()
    """Patterns of paths of layers that put out as many channels as ever when others are pruned:
    something expects so many. What the network returns keeps its width in any case."""


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
    """That the code of the method computes by switches of torch alone."""
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
    parts: Mapping[str, Part] = field(default_factory=dict)
    """Networks by their submodule. With them there are the other precisions, layouts and engines;
    a submodule without one stays as it is in all of them."""
    outside: Mapping[str, str] = field(default_factory=dict)
    """What stays as it is of each submodule beside its network, and of those without."""
    growing_banks: Mapping[str, Callable[[Mapping[str, Any], Resolution, int], int]] = field(
        default_factory=dict
    )
    """Submodules that search in what was kept of every part of the images of a training set, and
    the bytes of that: called with the settings, the resolution of a part, and the parts of an
    image."""
    maps_on_host: frozenset[str] = frozenset()
    """Implementations whose map lies on the host, wherever the inference is."""
    tiling: Callable[[Mapping[str, Any]], Tiling] = lambda _settings: Tiling()
    """Called with the settings: what of a tile is that of the whole image."""
    foreign: bool = False
    """Whether the method is not ours, and what is above known only once it is imported: empty
    tuples, settings that admit everything."""
    takes_batches: bool = True
    """Whether an inference may have several images; of a foreign method as long as it is not known
    what its class says."""


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
        lets through; then ``tiles``, which any method may have, if its images are cut.

    Raises:
        ConfigError: a key is unknown, or a value is not allowed.
    """
    found: dict[str, Any] = copy.deepcopy(vars(checked(spec.settings, without_tiles(given), where)))
    if given.get(KEY) is not None:
        found[KEY] = jsonable(checked(Tiles, given[KEY], f"{where}.{KEY}"))
    return found


def parse_variant(text: str, spec: MethodSpec, *, where: str = "variant") -> Variant:
    """Reads a variant that a method has to know.

    Args:
        text: such as ``reference-fp32`` or ``optimized-fp32-b8``.
        spec: of the method.
        where: the place the variant comes from, for the error.

    Raises:
        ConfigError: it is no variant, the method has none such, takes one image at a time, or
            nothing computes it.
    """
    is_open = spec.foreign and not spec.implementations
    precisions = PRECISIONS if is_open or spec.parts else spec.precisions
    known = [f"{one}-{precision}" for one in spec.implementations for precision in spec.precisions]
    more = "; `python -m profiling methods` tells other precisions, and engines"
    more = more if spec.parts else ""
    try:
        variant = Variant.of(text)
    except NoVariantError as error:
        if is_open:
            raise ConfigError(where, error.what, error.remedy) from None
        fault = variant_fault(text, spec.implementations, precisions)
        batches = ", each with -b<N> for batches of N images" if spec.takes_batches else ""
        allowed = f"allowed: {', '.join(known)}{batches}{more}"
        # the nearest word may lack a batch that was asked for
        remedy = allowed if fault.meant is None else f"{fault.remedy} ({allowed})"
        raise ConfigError(where, fault.what, remedy) from None
    is_known = variant.implementation in spec.implementations and variant.precision in precisions
    if not (is_open or is_known):
        what = f"{spec.target} has no variant {text!r}"
        raise ConfigError(where, what, f"{choices(text, known)}{more}")
    if not (is_open or spec.parts) and variant.plain != variant:
        what = f"{spec.target} names no networks that {variant.way.partition('-')[2]} could be of"
        remedy = f"write {variant.plain}, or have its class name them (docs/own-methods.md)"
        raise ConfigError(where, what, remedy)
    problem = variant_problem(variant)
    if problem is not None:
        raise ConfigError(where, *problem)
    if variant.batch > 1 and not spec.takes_batches:
        what = f"{spec.target} takes one image at a time, {text!r} has {variant.batch}"
        remedy = f"write {variant.of_one_image}, or have it take batches (docs/own-methods.md)"
        raise ConfigError(where, what, remedy)
    return variant


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
    _refuse(spec, resolution_problem(spec, settings, resolution), resolution, where)


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
    return _problem(spec.counting_problem or spec.resolution_problem, spec, settings, resolution)


def resolution_problem(
    spec: MethodSpec, settings: Mapping[str, Any], resolution: Resolution
) -> ResolutionProblem | None:
    """Why a method does not run at a resolution, None where it does.

    Args:
        spec: of the method.
        settings: of the method, defaults filled in; with ``tiles`` the size of these decides.
        resolution: of the image.
    """
    return _problem(spec.resolution_problem, spec, settings, resolution)


def _problem(
    problem_of: Callable[[Mapping[str, Any], Resolution], ResolutionProblem | None],
    spec: MethodSpec,
    settings: Mapping[str, Any],
    resolution: Resolution,
) -> ResolutionProblem | None:
    plan = tile_plan(spec, settings, resolution)
    if plan is None:
        return problem_of(settings, resolution)
    problem = problem_of(without_tiles(settings), plan.tile)
    if problem is None or plan.number == 1:
        return problem
    near = " or ".join(map(str, problem.nearest))
    of_tiles = f"tiles of {plan.tile} px: {problem.reason}"
    return ResolutionProblem(f"{of_tiles}; nearest: {near}" if near else of_tiles, ())


def complexity_of(spec: MethodSpec, settings: Mapping[str, Any], submodule: str) -> Complexity:
    """How the work of a submodule grows with the image.

    A tile costs the same in every image: with tiles work grows with their number, so with the
    pixels; but for a search in a bank, which itself grows with the image.

    Args:
        spec: of the method.
        settings: of the method, checked.
        submodule: its name.
    """
    own = spec.complexity.get(submodule, "unknown")
    if KEY not in settings or submodule in spec.growing_banks:
        return own
    return "pixels"


def tile_plan(
    spec: MethodSpec, settings: Mapping[str, Any], resolution: Resolution
) -> TilePlan | None:
    """How the images of a method are cut; None: they are not.

    Args:
        spec: of the method.
        settings: of the method, defaults filled in.
        resolution: of the image.

    Raises:
        ConfigError: the overlap leaves nothing of a tile.
    """
    tiles = tiles_of(settings)
    if tiles is None:
        return None
    of_tile = without_tiles(settings)
    problem_of = spec.counting_problem or spec.resolution_problem
    return plan_tiles(
        resolution, tiles, spec.tiling(of_tile), lambda tile: problem_of(of_tile, tile) is None
    )


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
