"""The methods that can be measured. No torch.

A method is a module beside this one that defines ``SPEC``.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from .foreign import is_foreign, meant_place, planned_spec
from .spec import (
    MethodSpec,
    check_countable,
    check_implementation,
    check_resolution,
    check_settings,
    choices,
    counting_problem,
    parse_variant,
)

__all__ = [
    "TARGETS",
    "all_specs",
    "check_countable",
    "check_files",
    "check_implementation",
    "check_resolution",
    "check_settings",
    "counting_problem",
    "get_spec",
    "located_files",
    "parse_variant",
]


FILES, FOLDERS = ("weights", "checkpoint"), ("normal_images",)
"""Settings of methods that name files and folders of the user."""


def check_files(spec: MethodSpec, settings: Mapping[str, Any], *, where: str = "settings") -> None:
    """Refuses settings that name a file or folder which is not there.

    What a foreign method takes under such a name may be something else than a file: it is refused
    only where it looks like a path.

    Args:
        spec: of the method.
        settings: of the method.
        where: the place they come from, such as ``methods.MyLabel``.

    Raises:
        ConfigError: there is no such file, or no such folder.
    """
    for key in (*FILES, *FOLDERS):
        value = settings.get(key)
        if not isinstance(value, str) or (spec.foreign and not _is_like_a_path(value)):
            continue
        # these have no errors of their own, whatever the text is and whoever may read it
        is_there = os.path.isdir(value) if key in FOLDERS else os.path.isfile(value)  # noqa: PTH112, PTH113
        if not is_there:
            kind = "folder" if key in FOLDERS else "file"
            what = f"no such {kind} {value}"
            raise ConfigError(f"{where}.{key}", what, f"correct the path, or leave {key} out")


def located_files(settings: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Settings whose files and folders of the user have absolute paths.

    They are read after the user's code has run, which may change the working directory.

    Args:
        settings: of a method. What a foreign method takes may be no file: it stays as it is.
        folder: that relative paths start from.
    """
    located = {
        key: str(folder / value)
        for key in (*FILES, *FOLDERS)
        if isinstance(value := settings.get(key), str) and os.path.exists(folder / value)  # noqa: PTH110 - has no errors of its own
    }
    return {**settings, **located}


def _is_like_a_path(text: str) -> bool:
    return "/" in text or Path(text).suffix.lower() in {".pt", ".pth", ".ckpt", ".safetensors"}


TARGETS = ("ddad", "efficientad", "patchcore")
"""Each is a module beside this one that defines ``SPEC``."""


@cache
def _specs() -> Mapping[str, MethodSpec]:
    modules = [importlib.import_module(f"adscale.methods.{name}") for name in TARGETS]
    specs: list[MethodSpec] = [module.SPEC for module in modules]
    return {spec.target: spec for spec in sorted(specs, key=lambda spec: spec.target)}


def all_specs() -> tuple[MethodSpec, ...]:
    """Every method, sorted by target."""
    return tuple(_specs().values())


def get_spec(target: str, *, where: str = "target", labels: tuple[str, ...] = ()) -> MethodSpec:
    """The method of that name.

    Args:
        target: such as ``efficientad``, or the place of a method that is not ours, see ``foreign``.
        where: the place the name comes from, for the error.
        labels: of the configuration, where one of them may be named as well, for the error.

    Raises:
        ConfigError: there is no such method.
    """
    if is_foreign(target):
        return planned_spec(target, where=where)
    specs = _specs()
    if target not in specs:
        meant = meant_place(target)
        own = f"; of your own: write {meant}" if meant is not None else ""
        what = f"there is no method {target!r}"
        known = f"{choices(target, (*specs, *labels))}"
        raise ConfigError(where, what, f"{known}{own}")
    return specs[target]
