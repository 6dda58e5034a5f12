"""A digest of the code that a result depends on.

Snakemake does not see the code behind ``python -m package``; it does see a changed parameter.
The digest covers a module and every module of ours that it imports, directly or not. Comments,
docstrings and layout are not in it: editing them must not cause a measurement.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from .methods.foreign import installed_version, module_file
from .methods.spec import MethodSpec

ROOT = Path(__file__).parents[1]
PACKAGES = ("adscale", "profiling", "analysis")
FOREIGN_MODULES = ("profiling.methods.foreign",)
"""What runs a foreign method."""


MEASURING_MODULES = ("profiling.cli.run", "profiling.cli.measure", "profiling.runner")
"""What carries out a run, from its command line on."""


def method_digest(spec: MethodSpec, *entry_modules: str) -> str:
    """Digest of some modules of ours, and of the code of a method.

    Of a foreign method it covers its module and what that imports from beside it; of an installed
    package its version.

    Args:
        spec: of the method.
        entry_modules: dotted names, such as ``profiling.runner``.
    """
    module = _module(spec)
    if not spec.foreign:
        return code_digest(*entry_modules, module)
    ours = code_digest(*entry_modules, *FOREIGN_MODULES)
    version = installed_version(module)
    if version is not None:
        return f"{ours} {version}"
    root = _foreign_root(module)
    return ours if root is None else f"{ours} {code_digest(module, root=root, packages=None)}"


def method_sources(spec: MethodSpec) -> str:
    """Digest of the files that decide what a run of a method measures, as they are.

    For telling, in whatever Python and place, whether the files are those of the plan: unlike
    ``method_digest`` it covers comments, and no installed packages.
    """
    module = _module(spec)
    if not spec.foreign:
        return source_digest(*MEASURING_MODULES, module)
    ours = source_digest(*MEASURING_MODULES, *FOREIGN_MODULES)
    root = None if installed_version(module) else _foreign_root(module)
    return ours if root is None else f"{ours} {source_digest(module, root=root, packages=None)}"


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
        entry_modules: dotted names, such as ``profiling.runner``.
        root: the checkout.
        packages: whose modules are followed; None: all that lie below the root.

    Returns:
        16 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for name in sorted(reachable_modules(*entry_modules, root=root, packages=packages)):
        digest.update(f"{name}\n{_normalised(_file(name, root))}\n".encode())
    return digest.hexdigest()[:16]


@cache
def source_digest(
    *entry_modules: str, root: Path = ROOT, packages: tuple[str, ...] | None = PACKAGES
) -> str:
    """As ``code_digest``, of the files as they are: the same for every version of Python.

    How code is unparsed differs between versions, and the one in a container is another than the
    one on the host. Here a comment counts, so it is for what costs little to do again.

    Args:
        entry_modules: dotted names, such as ``profiling.prediction``.
        root: the checkout.
        packages: whose modules are followed; None: all that lie below the root.

    Returns:
        16 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for name in sorted(reachable_modules(*entry_modules, root=root, packages=packages)):
        digest.update(f"{name}\n".encode())
        digest.update(_file(name, root).read_bytes())
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
    path = root.joinpath(*name.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def _imports(name: str, root: Path, packages: tuple[str, ...] | None) -> Iterator[str]:
    for node in ast.walk(_tree(_file(name, root))):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            source = _source(node, name, root)
            # `from package import module` names a module only where such a file exists
            found = [source, *(f"{source}.{alias.name}" for alias in node.names)]
        else:
            continue
        for module in found:
            if packages is None or module.split(".")[0] in packages:
                parts = module.split(".")
                yield from (".".join(parts[: end + 1]) for end in range(len(parts)))


def _source(node: ast.ImportFrom, name: str, root: Path) -> str:
    """The module that an import is from; of a relative one, seen from the module of that name."""
    if node.level == 0:
        return node.module or ""
    is_package = _file(name, root).name == "__init__.py"
    parts = name.split(".") if is_package else name.split(".")[:-1]
    above = parts[: len(parts) - node.level + 1]
    return ".".join([*above, *([node.module] if node.module else [])])


@cache
def _normalised(path: Path) -> str:
    """The code as Python unparses it, without comments and docstrings."""
    tree = ast.parse(ast.unparse(_tree(path)))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [part for part in body if not _is_string(part)]  # type: ignore[attr-defined]
    return ast.unparse(tree)


def _is_string(node: ast.AST) -> bool:
    """A docstring, of a definition or of an attribute: it has no effect."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
