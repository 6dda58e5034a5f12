"""Methods that are not ours: named by where they are, known once they are imported. No torch.

Three forms of ``target``:

- ``package.module:Class``: a ``profiling.methods.base.Method`` of the user's;
- ``package.module:callable``: whatever returns a ``torch.nn.Module``, such as its class; its
  children are the submodules;
- ``anomalib:Model``: an image model of an installed anomalib.

Planning must not import torch, which such a module does. So until a run imports it, any setting,
resolution and variant of it is let through; ``resolve`` in ``loading`` checks them then.
"""

from __future__ import annotations

import ast
import importlib.machinery
import importlib.metadata
import re
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from pydantic.dataclasses import dataclass

from ..errors import ConfigError
from ..models import OPEN, nearest
from .spec import MethodSpec

ANOMALIB = "anomalib"

_NAME = r"[A-Za-z_]\w*"
_DOTTED = rf"{_NAME}(?:\.{_NAME})*"


@dataclass(frozen=True, config=OPEN)
class AnySettings:
    """Settings of a method that is not imported yet: all are let through."""


def is_foreign(target: str) -> bool:
    """Whether a target names a place rather than one of our methods."""
    return ":" in target


def planned_spec(target: str, *, where: str) -> MethodSpec:
    """Return what is known of a foreign method before it is imported: that it is there.

    Args:
        target: ``package.module:name``.
        where: the place it comes from, for the error.

    Raises:
        ConfigError: there is no such module, or plainly no such name in it.
    """
    module, name = split_target(target, where=where)
    file = module_file(module)
    if file is None:
        hint = "correct the name, or set PYTHONPATH"
        if module == ANOMALIB:
            hint = f"pip install {module}"
        elif module.endswith(".py"):
            hint = f"write {meant_place(target)}"
        raise ConfigError(where, f"there is no module {module!r}", hint)
    if module != ANOMALIB:
        _check_name(file, name, where)
    return MethodSpec(
        target=target,
        summary="a method of yours",
        factory=target,
        submodules=(),
        implementations=(),
        precisions=(),
        settings=AnySettings,
        resolution_problem=lambda _settings, _resolution: None,
        supported_resolutions="what the method itself admits",
        foreign=True,
    )


def split_target(target: str, *, where: str = "target") -> tuple[str, str]:
    """Module and name of ``package.module:name``.

    Raises:
        ConfigError: it is not of that form.
    """
    found = re.fullmatch(rf"({_DOTTED}):({_NAME})", target)
    if found is None:
        remedy = f"write {meant_place(target) or 'package.module:Class or anomalib:Model'}"
        if "-" in target.partition(":")[0]:
            remedy = "a module's name has letters, digits and _ only: rename its file"
        raise ConfigError(where, f"{target!r} names no class", remedy)
    return found[1], found[2]


def meant_place(text: str) -> str | None:
    """The target that somebody means who writes it otherwise; None: it is not like any.

    Args:
        text: such as ``module.Class`` of Python, or ``folder/module.py:Class``.
    """
    path, _, name = re.sub(r"\(.*\)$", "", text.strip()).partition(":")
    path, name = path.strip(), name.strip(": ")
    file = path.removesuffix(".py")
    folder, slash, _ = file.rpartition("/")
    if Path(path).is_absolute() or ".." in Path(path).parts:
        file = Path(file).name
    module = file.removeprefix("./").replace("/", ".")
    if not name and path == file and not slash and module_file(module) is None:
        module, _, name = module.rpartition(".")
    if module.split(".")[0] == ANOMALIB:
        module = ANOMALIB
    if not (re.fullmatch(_DOTTED, module) and re.fullmatch(f"{_NAME}|", name)):
        return None
    beside = f", with {folder} in PYTHONPATH" if folder and "/" not in file else ""
    return f"{module}:{name or 'Class'}{beside}"


def module_file(module: str) -> Path | None:
    """The file of a module, found without running the packages around it; None without one."""
    path: list[str] | None = [str(Path.cwd()), *sys.path]
    name = ""
    found = None
    for part in module.split("."):
        name = f"{name}.{part}" if name else part
        found = importlib.machinery.PathFinder.find_spec(name, path)
        if found is None:
            return None
        path = list(found.submodule_search_locations or [])
    return Path(found.origin) if found and found.origin else None


def installed_version(module: str) -> str | None:
    """``name version`` of the installed distribution that a module belongs to, None without one."""
    top_level = module.split(".", maxsplit=1)[0]
    names = _distributions(tuple(sys.path)).get(top_level)
    if not names:
        return None
    return f"{names[0]} {importlib.metadata.version(names[0])}"


@cache
def _distributions(_path: tuple[str, ...]) -> Mapping[str, list[str]]:
    """Installed distributions by module; reads the list of files of each, which takes a while."""
    return importlib.metadata.packages_distributions()


def _check_name(file: Path, name: str, where: str) -> None:
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, UnicodeDecodeError) as problem:
        raise ConfigError(where, f"{file} cannot be read ({problem})", "mend the file") from None
    defined: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            defined.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            defined.add(node.id)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            for alias in node.names:
                defined.add((alias.asname or alias.name).split(".")[0])
    if name not in defined and "*" not in defined and "__getattr__" not in defined:
        what = f"{file} defines no {name}"
        raise ConfigError(where, what, f"name a class or function of it{nearest(name, defined)}")
