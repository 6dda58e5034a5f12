"""Loads the class of a specification. This imports the class, and torch with it."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, get_args

from pydantic import ValidationError
from pydantic.errors import PydanticUserError
from torch import nn

from adscale.errors import ConfigError, UserError, one_line, shown
from adscale.methods.foreign import ANOMALIB, split_target
from adscale.methods.spec import Complexity, MethodSpec, ResolutionProblem
from adscale.models import adapter
from adscale.parts import module_name
from adscale.resolution import Resolution
from adscale.tiles import KEY

from ..annotation import RESERVED
from .base import Method


def load_method_class(spec: MethodSpec) -> type[Method]:
    """The class of a method; for a plain network, a class around it.

    Raises:
        ConfigError: the module of a foreign method cannot be imported, or what it names is neither
            a method nor anything that makes a network.
    """
    target, name = split_target(spec.factory)
    if target == ANOMALIB and spec.foreign:
        made: type[Method] = _foreign().anomalib_method(name)
        return made
    module = _import(target, spec) if spec.foreign else importlib.import_module(module_name(target))
    found = getattr(module, name, None)
    if isinstance(found, type) and issubclass(found, Method):
        return found
    if isinstance(found, nn.Module):
        what = f"{spec.target} is a network that was made when its module was imported"
        raise ConfigError("target", what, "name its class, or a function that returns it")
    if not callable(found):
        what = f"{spec.target} is no class or function"
        raise ConfigError("target", what, "name a Method, or what returns a torch.nn.Module")
    around: type[Method] = _foreign().method_around(name, found)
    return around


def build_method(
    spec: MethodSpec,
    settings: Mapping[str, Any],
    *,
    resolution: Resolution,
    implementation: str,
    seed: int,
) -> Method:
    """Builds a method, see ``Method.build``; of settings with ``tiles`` one that cuts its images.

    Raises:
        UserError: see ``Method.build`` and ``tiled.build_tiled``.
    """
    cls = load_method_class(spec)
    if KEY not in settings:
        return cls.build(settings, resolution=resolution, implementation=implementation, seed=seed)
    # named, not imported: the code of tiles is in the digests of those who have them only
    tiled = importlib.import_module("profiling.methods.tiled")
    made: Method = tiled.build_tiled(
        cls,
        spec,
        settings,
        resolution=resolution,
        implementation=implementation,
        seed=seed,
    )
    return made


def resolve(spec: MethodSpec) -> MethodSpec:
    """All of a specification: of a foreign method, what its class says of itself.

    Raises:
        ConfigError: see ``load_method_class``; or the class says a complexity that there is not.
    """
    if not spec.foreign:
        return spec
    cls = load_method_class(spec)
    lacking = sorted(getattr(cls, "__abstractmethods__", ()))
    if lacking:
        what = f"{spec.target} does not define {', '.join(lacking)}"
        raise ConfigError("target", what, "see examples/blur_distance.py")
    return dataclasses.replace(
        spec,
        summary=(cls.__doc__ or "").strip().partition("\n")[0] or spec.summary,
        submodules=_checked_submodules(cls, spec),
        complexity=_checked_complexity(cls, spec),
        implementations=_names(cls.implementations, "implementations", spec),
        precisions=_names(cls.precisions, "precisions", spec),
        parts=cls.parts,
        takes_batches=bool(cls.takes_batches),
        tiling=lambda _settings: cls.tiling,
        settings=_checked_settings(cls, spec),
        resolution_problem=_checked_problem(cls, spec),
        supported_resolutions=cls.supported_resolutions,
    )


def _checked_submodules(cls: type[Method], spec: MethodSpec) -> tuple[str, ...]:
    """Those that the class names; a network has them once it is called."""
    named = getattr(cls, "submodules", ())
    names = () if isinstance(named, property) else _names(named, "submodules", spec)
    for name in names:
        if name in RESERVED:
            what = f"{spec.target} calls a submodule {name!r}, as adscale calls a range of its own"
            raise ConfigError("target", what, "call it otherwise, in `submodules` and in `infer`")
    return names


def _names(named: object, attribute: str, spec: MethodSpec) -> tuple[str, ...]:
    """What a class names in one of its attributes: a text alone would be taken letter by letter."""
    names = tuple(named) if isinstance(named, (tuple, list)) else ()
    is_right = isinstance(named, (tuple, list)) and len(set(map(str, names))) == len(names)
    if not is_right or not all(isinstance(name, str) and name for name in names):
        what = f"{spec.target} has {attribute} = {shown(named)}"
        remedy = "name each once, as texts in a tuple: ('first', 'second'), ('only',)"
        raise ConfigError("target", what, remedy)
    return names


def _checked_problem(
    cls: type[Method], spec: MethodSpec
) -> Callable[[Mapping[str, Any], Resolution], ResolutionProblem | None]:
    def found(settings: Mapping[str, Any], resolution: Resolution) -> ResolutionProblem | None:
        problem: object = cls.resolution_problem(settings, resolution)  # of the user's
        if problem is None or isinstance(problem, ResolutionProblem):
            return problem
        what = f"{spec.target} says {shown(problem)} in resolution_problem"
        raise ConfigError("target", what, "return None, or a ResolutionProblem(reason, nearest)")

    return found


def _checked_complexity(cls: type[Method], spec: MethodSpec) -> Mapping[str, Complexity]:
    for submodule, complexity in cls.complexity.items():
        if complexity not in get_args(Complexity):
            what = f"{spec.target} says {complexity!r} of the complexity of {submodule!r}"
            raise ConfigError("target", what, f"allowed: {', '.join(get_args(Complexity))}")
    return cls.complexity


def _checked_settings(cls: type[Method], spec: MethodSpec) -> type[Any]:
    if hasattr(cls, "settings_schema"):
        what = f"{spec.target} describes its settings in settings_schema, which nothing reads"
        raise ConfigError("target", what, "write them as a model, see docs/own-methods.md")
    try:
        vars(adapter(cls.settings).validate_python({}))
    except ValidationError:  # of a setting without a default
        pass
    except (PydanticUserError, TypeError) as problem:
        kind = type(problem).__name__
        what = f"{spec.target} has settings that are no dataclass of pydantic ({kind})"
        raise ConfigError("target", what, "see examples/blur_distance.py") from problem
    return cls.settings


def _import(name: str, spec: MethodSpec) -> ModuleType:
    try:
        return importlib.import_module(name)
    except UserError:
        raise
    except (Exception, SystemExit) as problem:  # whatever the user's module does when it is run
        what = f"{spec.target} cannot be imported ({one_line(problem)})"
        raise ConfigError("target", what, f"`python -c 'import {name}'` shows where") from problem


def _foreign() -> ModuleType:
    """Our module that only foreign methods need.

    It is not imported by a statement: the digest of the code that our own methods depend on shall
    not cover it, or every change of it would have them measured again.
    """
    return importlib.import_module(".foreign", __package__)
