"""A digest of the code that a result depends on.

Snakemake does not see the code behind ``python -m package``; it does see a changed parameter. What
a measurement depends on is listed by name (``adscale.measured_code``); counts and tables, which
cost little to do again, depend on a module and every module of ours that it imports, directly or
not. What only people read is in no digest, see ``adscale.module_code``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path

from .measured_code import ENGINES, FOREIGN, MEASURED, METHODS, PRUNING, TILES
from .methods.foreign import installed_version, module_file
from .methods.spec import MethodSpec
from .module_code import Import, module_code
from .parts import COMMANDS, ROOT, module_path
from .variant import Variant

PACKAGES = ("adscale", *COMMANDS)


def run_digest(spec: MethodSpec, variant: Variant | None = None, *, has_tiles: bool = False) -> str:
    """Digest of what the measurement of a method depends on, see ``adscale.measured_code``.

    Args:
        spec: of the method.
        variant: that is measured; None: one in eager torch.
        has_tiles: whether images are cut.
    """
    modules = run_modules(spec, variant) | set(TILES if has_tiles else ())
    return _with_foreign(_digest(modules, ROOT), spec, code_digest)


def run_sources(spec: MethodSpec) -> str:
    """Return the same as ``run_digest``, of the files as they are, without installed packages.

    It tells in whatever Python and place whether the files are those of a plan.
    """
    modules = run_modules(spec) | set(
        listed_modules(name for of in (*ENGINES.values(), PRUNING, TILES) for name in of)
    )
    ours = _digest(modules, ROOT, exact=True)
    return _with_foreign(ours, spec, source_digest, versions=False)


def run_modules(spec: MethodSpec, variant: Variant | None = None) -> set[str]:
    """The modules of ours that the measurement of a method depends on.

    Args:
        spec: of the method.
        variant: that is measured; None: one in eager torch.

    Raises:
        KeyError: it is a method of ours that ``METHODS`` does not have.
    """
    own = FOREIGN if spec.foreign else METHODS[spec.target]
    listed = [name for names in MEASURED.values() for name in names]
    engine = () if variant is None or variant.is_plain else ENGINES[variant.engine]
    pruning = PRUNING if variant is not None and variant.pruned_percent else ()
    return set(listed_modules([*listed, *own, *engine, *pruning]))


def listed_modules(names: Iterable[str], root: Path = ROOT) -> Iterator[str]:
    """The modules that a list means, in which ``package.*`` is a package with all in it."""
    for name in names:
        package = name.removesuffix(".*")
        yield package
        if package != name:
            folder = module_path(package, root)
            for file in folder.rglob("*.py"):
                parts = (package, *file.relative_to(folder).with_suffix("").parts)
                yield ".".join(part for part in parts if part != "__init__")


def method_digest(spec: MethodSpec, *entry_modules: str) -> str:
    """Digest of some modules of ours, and of the code of a method, with all that they import.

    Args:
        spec: of the method.
        entry_modules: dotted names, such as ``profiling.cli.memory``.
    """
    own = FOREIGN if spec.foreign else (_module(spec),)
    return _with_foreign(code_digest(*entry_modules, *own), spec, code_digest)


def _with_foreign(
    ours: str, spec: MethodSpec, digest: Callable[..., str], *, versions: bool = True
) -> str:
    """Adds a user's method: its files, or the version of the installed package that it is in."""
    if not spec.foreign:
        return ours
    module = _module(spec)
    version = installed_version(module)
    if version is not None:
        return f"{ours} {version}" if versions else ours
    root = _foreign_root(module)
    return ours if root is None else f"{ours} {digest(module, root=root, packages=None)}"


def _module(spec: MethodSpec) -> str:
    return spec.factory.partition(":")[0]


def _foreign_root(module: str) -> Path | None:
    """The folder from which a foreign module is imported; None where it is not found."""
    file = module_file(module)
    if file is None:
        return None
    return file.parents[module.count(".") + (file.name == "__init__.py")]


@cache
def code_digest(
    *entry_modules: str, root: Path = ROOT, packages: tuple[str, ...] | None = PACKAGES
) -> str:
    """Digest of some modules and of all that they import from our packages.

    Args:
        entry_modules: dotted names, such as ``analysis.commands.fit``.
        root: the checkout.
        packages: whose modules are followed; None: all that lie below the root.

    Returns:
        16 hexadecimal digits.
    """
    return _digest(reachable_modules(*entry_modules, root=root, packages=packages), root)


@cache
def source_digest(
    *entry_modules: str, root: Path = ROOT, packages: tuple[str, ...] | None = PACKAGES
) -> str:
    """Return ``code_digest`` of the files as they are, which is equal in every version of Python.

    How code is unparsed differs between versions, and the one in a container is another than the
    one on the host. Here a comment counts, so it is for what costs little to do again.

    Args:
        entry_modules: dotted names, such as ``profiling.prediction``.
        root: the checkout.
        packages: whose modules are followed; None: all that lie below the root.

    Returns:
        16 hexadecimal digits.
    """
    names = reachable_modules(*entry_modules, root=root, packages=packages)
    return _digest(names, root, exact=True)


def _digest(names: Iterable[str], root: Path, *, exact: bool = False) -> str:
    digest = hashlib.sha256()
    for name in sorted(names):
        file = _file(name, root)
        if not file.is_file():  # a test sees to it that what is listed is there
            continue
        content = file.read_bytes() if exact else module_code(file).text.encode()
        digest.update(b"%s\n%s\n" % (name.encode(), content))
    return digest.hexdigest()[:16]


def reachable_modules(
    *entry_modules: str, root: Path = ROOT, packages: tuple[str, ...] | None = PACKAGES
) -> set[str]:
    """The entry modules and all that they import from the packages, also inside functions."""
    seen: set[str] = set()
    waiting = list(entry_modules)
    while waiting:
        name = waiting.pop()
        if name in seen or not _file(name, root).is_file():
            continue
        seen.add(name)
        waiting.extend(_imports(name, root, packages))
    return seen


def _file(name: str, root: Path) -> Path:
    path = module_path(name, root)
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def _imports(name: str, root: Path, packages: tuple[str, ...] | None) -> frozenset[str]:
    """The modules that a module imports, with the packages in which they are."""
    found: set[str] = set()
    for one in module_code(_file(name, root)).imports:
        source = _source(one, name, root)
        # `from package import module` names a module only where such a file exists
        found.update((source, *(f"{source}.{imported}" for imported in one.names)))
    return frozenset(
        module[:end]
        for module in found
        if packages is None or module.split(".")[0] in packages
        for end in (*(dot.start() for dot in re.finditer(r"\.", module)), len(module))
    )


def _source(one: Import, name: str, root: Path) -> str:
    """The module that an import is from; of a relative one, seen from the module of that name."""
    if one.level == 0:
        return one.module
    is_package = _file(name, root).name == "__init__.py"
    parts = name.split(".") if is_package else name.split(".")[:-1]
    above = parts[: len(parts) - one.level + 1]
    return ".".join([*above, *([one.module] if one.module else [])])
