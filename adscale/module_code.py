"""What the code of a module says to Python, without what only people read.

Comments, docstrings, layout, and the texts of errors, of descriptions and of what is printed are
gone. Of texts: what is left decides what the code does. So a text stays where it might be more than
a text: one that is returned, compared, recorded, or given to anything that is not known to say it
to people; and whatever is called inside an f-string.
"""

from __future__ import annotations

import ast
import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

from .files import cache_folder, write_atomically

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


class Import(NamedTuple):
    """One import of a module, as it stands there."""

    level: int
    """How many dots come before the module's name."""
    module: str
    names: Sequence[str]
    """What is imported from the module; nothing where the module itself is imported."""


@dataclass(frozen=True)
class ModuleCode:
    """A module of Python."""

    text: str
    """As Python unparses it, without what only people read; imports stay in it."""
    imports: tuple[Import, ...]
    """Those inside functions are among them."""


@cache
def module_code(path: Path) -> ModuleCode:
    """Reads a module.

    What was read is kept in the user's cache: reading takes as long as all else that Snakemake does
    before its first job.

    Args:
        path: the file.

    Raises:
        OSError: it cannot be read.
        SyntaxError: it is no Python.
    """
    source = path.read_bytes()
    key = hashlib.sha256(_reader() + source).hexdigest()
    with suppress(RuntimeError, OSError, ValueError, LookupError, TypeError):
        known = json.loads(_kept(path).read_text(encoding="utf-8"))
        if known["key"] == key:
            return ModuleCode(known["text"], tuple(Import(*one) for one in known["imports"]))
    code = _parsed(source, path)
    text = json.dumps({"key": key, "text": code.text, "imports": code.imports})
    with suppress(RuntimeError, OSError):  # no home, no room, no right: it is read anew each time
        write_atomically(_kept(path), lambda file: file.write_text(text, encoding="utf-8"))
    return code


def _kept(path: Path) -> Path:
    """Where it is kept what a file says; another version of Python may see another text."""
    place = hashlib.sha256(f"{path} {sys.version}".encode()).hexdigest()
    return cache_folder() / "code" / f"{place[:32]}.json"


@cache
def _reader() -> bytes:
    """What decides how a module is read: this code, and the version of Python."""
    return Path(__file__).read_bytes() + sys.version.encode()


def _parsed(source: bytes, path: Path) -> ModuleCode:
    tree = ast.parse(source, filename=str(path))
    imports = tuple(found for node in ast.walk(tree) for found in _imports(node))
    return ModuleCode(ast.unparse(without_texts(tree)), imports)


def _imports(node: ast.AST) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        yield from (Import(0, alias.name, ()) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        names = [alias.name for alias in node.names]
        yield Import(node.level, node.module or "", names)
