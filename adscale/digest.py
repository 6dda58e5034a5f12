"""A digest of the code that a result depends on.

Snakemake does not see the code behind ``python -m package``; it does see a changed parameter. What
a measurement depends on is listed by name (``adscale.measured_code``); counts and tables, which
cost little to do again, depend on a module and every module of ours that it imports, directly or
not. What only people read is in no digest: comments, docstrings, layout, and the texts of errors,
of descriptions and of what is printed.

Of texts: what is left decides what the code does. So a text stays where it might be more than a
text: one that is returned, compared, recorded, or given to anything that is not known to say it to
people; and whatever is called inside an f-string.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path

from .measured_code import FOREIGN, MEASURED, METHODS
from .methods.foreign import installed_version, module_file
from .methods.spec import MethodSpec

SAYING = {
    "": ("print", "Progress"),
    "logger": ("debug", "info", "warning", "error", "exception"),
    "warnings": ("warn",),
    "progress": ("update",),
}
"""Functions that tell people what they are given, by the name that they are called of."""

TEXTS = ("description", "help", "summary", "supported_resolutions")
"""Keywords and keys of descriptions."""


def without_texts(tree: ast.Module) -> ast.Module:
    """The same tree, changed in place: texts for people are empty, docstrings are gone.

    Args:
        tree: of a module.
    """
    nodes = list(ast.walk(tree))
    said = {id(inner) for node in nodes for part in _said(node) for inner in ast.walk(part)}
    if said:
        _Emptied(_with_what_is_said_later(nodes, said)).visit(tree)
    for node in nodes:
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [part for part in body if not _is_string(part)]  # type: ignore[attr-defined]
    return tree


def _with_what_is_said_later(nodes: list[ast.AST], said: set[int]) -> set[int]:
    """Adds what is read, or called, in nothing but messages."""
    functions = [
        _Function(node)
        for node in nodes
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]
    uses: dict[str, list[int]] = {}
    for node in nodes:
        if isinstance(node, (ast.Name, ast.Attribute)):
            name = node.id if isinstance(node, ast.Name) else node.attr
            uses.setdefault(name, []).append(id(node))
    known = -1
    while known < len(said):
        known = len(said)
        for function in functions:
            said |= function.said_later(said)
            if function.is_only_for_messages(uses.get(function.name, []), said):
                said |= function.ids
    return said


def _said(node: ast.AST) -> Iterator[ast.AST]:
    """Return the parts of a node that are for people: raised errors, printed text, descriptions."""
    if isinstance(node, ast.Raise):
        yield node
    elif isinstance(node, ast.Call):
        if _says(node.func):
            yield from (*node.args, *node.keywords)
        else:
            yield from (part.value for part in node.keywords if part.arg in TEXTS)
    elif isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values):  # noqa: B905 - as many of both
            if isinstance(key, ast.Constant) and key.value in TEXTS:
                yield value


def _says(function: ast.expr) -> bool:
    """Whether a call makes an error, or tells people something."""
    if isinstance(function, ast.Attribute):
        owner = function.value.id if isinstance(function.value, ast.Name) else None
        return owner in SAYING and function.attr in SAYING[owner]
    name = function.id if isinstance(function, ast.Name) else ""
    return name in SAYING[""] or name.endswith(("Error", "Problem"))


class _Function:
    """A function, with what is assigned to its local names."""

    def __init__(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self.name = node.name
        self.nodes = list(ast.walk(node))
        self.ids = {id(inner) for inner in self.nodes}
        self._reads = [
            (inner.id, id(inner))
            for inner in self.nodes
            if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Load)
        ]
        shared = self._shared()
        self._values = [
            (target.id, inner.value)
            for inner in self.nodes
            if isinstance(inner, ast.Assign) and len(inner.targets) == 1
            for target in inner.targets
            if isinstance(target, ast.Name) and target.id not in shared
        ]

    def _shared(self) -> set[str]:
        """Names that others can read: of the module, of an outer function, of a class in here."""
        shared: set[str] = set()
        for node in self.nodes:
            if isinstance(node, (ast.Global, ast.Nonlocal)):
                shared.update(node.names)
            elif isinstance(node, ast.ClassDef):
                shared |= {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}
        return shared

    def said_later(self, said: set[int]) -> set[int]:
        """The values of the local names that are read in what is said, and nowhere else."""
        read = {name for name, place in self._reads if place not in said}
        values = [
            value for name, value in self._values if name not in read and id(value) not in said
        ]
        return {id(inner) for value in values for inner in ast.walk(value)}

    def is_only_for_messages(self, named: list[int], said: set[int]) -> bool:
        """Whether it is private, and nothing but messages calls it.

        Args:
            named: where its name stands in the module.
            said: what is for people.
        """
        calls = [place for place in named if place not in self.ids]
        return self.name.startswith("_") and bool(calls) and said.issuperset(calls)


class _Emptied(ast.NodeTransformer):
    """Empties the strings among some nodes."""

    def __init__(self, said: set[int]) -> None:
        self._said = said

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        if id(node) in self._said and isinstance(node.value, str):
            return ast.Constant("")
        return node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.expr:
        self.generic_visit(node)
        if id(node) not in self._said:
            return node
        calls: list[ast.expr] = [part for part in ast.walk(node) if isinstance(part, ast.Call)]
        return ast.Tuple(calls, ast.Load()) if calls else ast.Constant("")


def _is_string(node: ast.AST) -> bool:
    """A docstring, of a definition or of an attribute: it has no effect."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


ROOT = Path(__file__).parents[1]
PACKAGES = ("adscale", "profiling", "analysis")


def run_digest(spec: MethodSpec) -> str:
    """Digest of what the measurement of a method depends on, see ``adscale.measured_code``."""
    return _with_foreign(_digest(run_modules(spec), ROOT), spec, code_digest)


def run_sources(spec: MethodSpec) -> str:
    """Return the same as ``run_digest``, of the files as they are, without installed packages.

    It tells in whatever Python and place whether the files are those of a plan.
    """
    ours = _digest(run_modules(spec), ROOT, exact=True)
    return _with_foreign(ours, spec, source_digest, versions=False)


def run_modules(spec: MethodSpec) -> set[str]:
    """The modules of ours that the measurement of a method depends on.

    Raises:
        KeyError: it is a method of ours that ``METHODS`` does not have.
    """
    own = FOREIGN if spec.foreign else METHODS[spec.target]
    listed = [name for names in MEASURED.values() for name in names]
    return set(listed_modules([*listed, *own]))


def listed_modules(names: Iterable[str], root: Path = ROOT) -> Iterator[str]:
    """The modules that a list means, in which ``package.*`` is a package with all in it."""
    for name in names:
        package = name.removesuffix(".*")
        yield package
        if package != name:
            for file in root.joinpath(*package.split(".")).rglob("*.py"):
                parts = file.relative_to(root).with_suffix("").parts
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
        content = file.read_bytes() if exact else _normalised(file).encode()
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
    path = root.joinpath(*name.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


@cache
def _imports(name: str, root: Path, packages: tuple[str, ...] | None) -> frozenset[str]:
    """The modules that a module imports, with the packages in which they are."""
    found: set[str] = set()
    for node in ast.walk(_tree(_file(name, root))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = _source(node, name, root)
            # `from package import module` names a module only where such a file exists
            found.update((source, *(f"{source}.{alias.name}" for alias in node.names)))
    return frozenset(
        module[:end]
        for module in found
        if packages is None or module.split(".")[0] in packages
        for end in (*(dot.start() for dot in re.finditer(r"\.", module)), len(module))
    )


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
    """The code as Python unparses it, without what only people read."""
    return ast.unparse(without_texts(_tree(path)))  # imports stay in it
