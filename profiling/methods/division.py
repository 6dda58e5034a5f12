"""How a network is divided: which of its modules have a range of their own, and what runs between.

A submodule is a child of the network, with all that lies in it. Often its layers are called from
outside, one by one (``for layer in self.features``): each then runs in the child's range. What the
network does itself, such as adding two outputs, is a submodule of its own, ``between submodules``.
Modules further down have ranges inside of these where they are asked for, see ``range_paths``.

Which modules are called from outside is seen in the first image, in which all are watched; later
only these, and what has a range.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from threading import get_ident
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from adscale.errors import ConfigError
from adscale.models import nearest

from ..annotation import BETWEEN, EMPTY, Annotate, child_name, empty_range_ns, no_range
from .base import held_by
from .watching import indivisible, inner_modules, own_name, unwatch, watch, whole

Depth = int | Sequence[str]
"""Which modules have ranges: those of so many levels below the network, or its children and the
modules of these paths."""

_Chain = tuple[str, ...]
"""Names of the ranges around what a module does, outermost first."""


def range_paths(network: nn.Module, depth: Depth) -> Collection[str]:
    """Paths of the modules that have ranges of their own.

    Args:
        network: whose children always have one, unless it cannot be divided.
        depth: which others have one.

    Raises:
        ConfigError: a path is that of no module, or of one that cannot be told apart.
    """
    modules = {} if whole(network) else dict(inner_modules(network))
    if isinstance(depth, int):
        return {path for path in modules if path.count(".") < depth}
    for name in depth:
        if name not in modules:
            raise _no_range_of(name, network, modules)
    return {*depth, *(path for path in modules if "." not in path)}


def _no_range_of(name: str, network: nn.Module, modules: Mapping[str, nn.Module]) -> ConfigError:
    """Why a module cannot have a range of its own."""
    named: dict[str, nn.Module] = {}
    for path, one in network.named_modules(remove_duplicate=False):
        named.setdefault(own_name(path), one)  # the outer one, of what torch.compile wraps
    if name not in named:
        known = nearest(name, modules or named)
        return ConfigError("settings.depth", f"there is no module {name!r}{known}", _SEE_NAMES)
    for path in ("", *_around(name)):
        reason = indivisible(named.get(path, network))
        if reason is not None:
            where = repr(path) if path else "the network"
            what = f"{name!r} lies in {where}, which is {reason}: its parts cannot be told apart"
            return ConfigError("settings.depth", what, "leave the name out")
    same = [path for path, one in modules.items() if one is named[name]]
    what = f"{name!r} cannot be told apart"
    if same:
        what = f"{name!r} is the same module as {same[0]!r}"
    return ConfigError("settings.depth", what, f"name {same[0]!r}" if same else _SEE_NAMES)


_SEE_NAMES = "network.named_modules() lists the names"


def _chain(path: str, with_range: Collection[str]) -> _Chain:
    """The ranges around a module, with its own."""
    found = [one for one in (*_around(path), path) if one in with_range]
    return tuple(map(child_name, found))


class Division:
    """Opens ranges around the calls of modules, and ``between submodules`` around the rest.

    Args:
        network: whose calls are divided, from now on.
        depth: which modules have ranges inside of those of the network's children.

    Raises:
        ConfigError: see ``range_paths``.
    """

    def __init__(self, network: nn.Module, depth: Depth = 1) -> None:
        self.whole = whole(network)
        with_range = range_paths(network, depth)
        self._network, self._depth = network, depth
        self._annotate: Annotate | None = None
        self._gap: AbstractContextManager[object] | None = None
        self._open: list[tuple[str, AbstractContextManager[object]]] = []
        self._thread = get_ident()
        self._elsewhere: dict[str, None] = {}
        self._opened: list[int] = []
        """How many ranges each call that is watched has opened, the innermost last."""
        self._times: dict[nn.Module, int] = {}
        self._called: dict[str, None] = {}
        self._called_before: dict[str, None] = {}
        self._inner: dict[_Chain, None] = {}
        self._chains: dict[nn.Module, _Chain] = {}
        self._paths: dict[nn.Module, str] = {}
        self._first = _FirstCall()
        if self.whole is None:
            for path, module in inner_modules(network):
                self._paths[module] = path
                self._chains[module] = _chain(path, with_range)
                watch(module, self)
        self._asked = {chain for chain in self._chains.values() if len(chain) > 1}

    @property
    def submodules(self) -> tuple[str, ...]:
        """What was opened so far, in the order of the first time, ``between submodules`` last."""
        if self.whole is not None:
            return (self.whole,)
        return tuple(sorted(self._called, key=lambda name: name == BETWEEN))

    @property
    def inner_ranges(self) -> tuple[_Chain, ...]:
        """What was opened inside of submodules so far, with the names of the ranges around it."""
        return tuple(self._inner)

    @property
    def undivided(self) -> Mapping[str, str]:
        """Modules that stay one range though levels below them were asked for, and why."""
        return {
            path: reason
            for module, path in self._paths.items()
            if isinstance(self._depth, int) and path.count(".") + 1 < self._depth
            if (reason := indivisible(module)) is not None
        }

    def forget(self) -> None:
        """Has ``submodules`` and ``inner_ranges`` tell what is opened from now on."""
        self._called_before, self._called, self._inner = self._called, {}, {}

    @property
    def warmed_up(self) -> tuple[str, ...]:
        """The submodules that were opened before ``forget`` only."""
        return tuple(name for name in self._called_before if name not in self._called)

    @property
    def elsewhere(self) -> tuple[str, ...]:
        """Modules that were called in another thread than the network: ranges are of one thread."""
        return tuple(self._elsewhere)

    @property
    def never_opened(self) -> tuple[str, ...]:
        """The modules with ranges inside of submodules that were not called so far."""
        lacking = {chain[-1] for chain in self._asked - self._inner.keys()}
        return tuple(sorted(lacking - self._elsewhere.keys()))

    def __call__(self, annotate: Annotate, *inputs: Any) -> Any:
        """Calls the network.

        Args:
            annotate: opens the ranges.
            inputs: of the network.
        """
        if self.whole is not None:
            with annotate(self.whole):
                return _read(self._network(*inputs))
        self._annotate = annotate
        self._thread = get_ident()
        is_first = not self._first.is_over
        try:
            self._times.clear()
            self._begin_gap((None, 0))
            return _read(self._network(*inputs))
        finally:
            self._end_gap()
            self._annotate = None
            self._opened.clear()
            if is_first:
                self._forget_inner()

    def before(self, module: nn.Module) -> None:
        """See ``Watcher``."""
        if get_ident() != self._thread:
            self._elsewhere.setdefault(self._paths[module])
            return
        is_outer = not self._opened
        opened = 0
        if self._annotate is not None:
            if is_outer:
                self._end_gap()
            # a module that another one calls which does not hold it belongs to that one
            chain, around = self._chains[module], len(self._open)
            pairs = zip(self._open, chain, strict=False)
            if all(name == inner for (name, _), inner in pairs):
                for name in chain[around:]:
                    self._begin(name, self._annotate)
                    opened += 1
        if opened:
            self._first.openers.add(module)
        self._opened.append(opened)

    def _begin(self, name: str, annotate: Annotate) -> None:
        if self._open:
            self._inner.setdefault((*(around for around, _ in self._open), name))
        else:
            self._called.setdefault(name)
        opening = annotate(name)
        opening.__enter__()
        self._open.append((name, opening))

    def after(self, module: nn.Module, output: Any, *, failed: bool) -> None:
        """See ``Watcher``."""
        if get_ident() != self._thread:
            return
        del output
        ended_by = sys.exc_info() if failed else (None, None, None)
        for _ in range(self._opened.pop() if self._opened else 0):
            _, opened = self._open.pop()
            opened.__exit__(*ended_by)
        if not self._opened and self._annotate is not None:
            times = self._times[module] = self._times.get(module, 0) + 1
            self._begin_gap((module, times))

    def _begin_gap(self, behind: _Position) -> None:
        if not self._first.is_over:
            self._first.begin_gap(behind)
        elif behind in self._first.gaps and self._annotate is not None:
            self._called.setdefault(BETWEEN)
            self._gap = self._annotate(BETWEEN)
            self._gap.__enter__()

    def _end_gap(self) -> None:
        if not self._first.is_over:
            self._first.end_gap()
        elif self._gap is not None:
            self._gap.__exit__(None, None, None)
            self._gap = None

    def _forget_inner(self) -> None:
        """Leaves modules alone that run inside others and have no range of their own there."""
        first = self._first
        first.is_over = True
        if first.has_compiled():
            return  # another change of a module would compile again what has just been compiled
        opened = {(self._paths[module], self._chains[module]) for module in first.openers}
        for module, path in self._paths.items():
            chain = self._chains[module]
            if module not in first.openers and any((one, chain) in opened for one in _around(path)):
                unwatch(module, self)


def _read(output: Any) -> Any:
    """What a network returns; a generator computes while it is read, and a coroutine never.

    Raises:
        ConfigError: it is a coroutine.
    """
    if inspect.iscoroutine(output):
        output.close()
        what = "the network returns a coroutine, which computes nothing"
        raise ConfigError("target", what, "name a network whose `forward` is no `async def`")
    return list(output) if isinstance(output, Iterator) else output


def _around(path: str) -> Iterable[str]:
    """The paths of the modules around one."""
    return (path[:end] for end, letter in enumerate(path) if letter == ".")


_Position = tuple["nn.Module | None", int]
"""Behind which call of a module, counted within an image; None: before the first of any."""


class _FirstCall:
    """What the first call of a network shows."""

    def __init__(self) -> None:
        self.is_over = False
        self.openers: set[nn.Module] = set()
        """Modules whose calls have opened ranges."""
        self.gaps: set[_Position] = set()
        """Where the network does something itself."""
        self._noticing: _Noticing | None = None
        self._frames = _compiled_frames()

    def begin_gap(self, behind: _Position) -> None:
        """The network itself runs from here on."""
        self._noticing = _Noticing(behind, self.gaps).__enter__()  # type: ignore[no-untyped-call]

    def end_gap(self) -> None:
        """It does not any more."""
        if self._noticing is not None:
            self._noticing.__exit__(None, None, None)  # type: ignore[no-untyped-call]
            self._noticing = None

    def has_compiled(self) -> bool:
        """Whether something was compiled since this was made."""
        return _compiled_frames() != self._frames


def _compiled_frames() -> int:
    dynamo = sys.modules.get("torch._dynamo.utils")
    return 0 if dynamo is None else int(dynamo.counters["frames"]["total"])


class _Noticing(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notices whether anything is computed while it is entered."""

    supports_higher_order_operators = True  # else torch refuses to run any, such as flex_attention

    def __init__(self, behind: _Position, gaps: set[_Position]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._behind = behind
        self._gaps = gaps

    @classmethod
    def is_infra_mode(cls) -> bool:
        """Says to torch that what is compiled may be compiled under it."""
        return True

    @classmethod
    def ignore_compile_internals(cls) -> bool:
        """As ``is_infra_mode``."""
        return True

    def __torch_dispatch__(
        self,
        func: torch._ops.OpOverload,
        types: Any,
        args: Any = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        is_opaque = isinstance(func, torch._ops.HigherOrderOperator)  # noqa: SLF001
        if is_opaque or computes(func, (args, kwargs), result):
            self._gaps.add(self._behind)
        return result


def computes(operator: torch._ops.OpOverload, inputs: Any, result: Any) -> bool:
    """Whether an operator did more than to look at a tensor in another way.

    Args:
        operator: that was called.
        inputs: what it was given.
        result: what it returned.
    """
    returns = operator._schema.returns  # noqa: SLF001 - its declaration
    if operator.namespace == "prim" or not returns:
        return False
    if any(part.alias_info is None or part.alias_info.is_write for part in returns):
        return True
    return not _storages(result) <= _storages(inputs)  # a reshape that had to copy


def _storages(values: Any) -> set[int]:
    found: set[int] = set()
    for tensor in (leaf for leaf in tree_leaves(values) if isinstance(leaf, torch.Tensor)):
        parts = held_by(tensor)
        found |= {part.untyped_storage()._cdata for part in parts} or {id(tensor)}  # noqa: SLF001
    return found


class _Nothing(nn.Module):
    """Calls a module that does nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.add_module(EMPTY, _Empty())

    def forward(self) -> None:
        self.get_submodule(EMPTY)()


class _Empty(nn.Module):
    def forward(self) -> None:
        """Does nothing."""


def division_range_ns(annotate: Annotate) -> float:
    """Time of a module's range in ns if the module does nothing, with all that opens it.

    Args:
        annotate: opens ranges.
    """
    bare, divided = _Nothing(), _Nothing()
    division = Division(divided)
    division(no_range)  # the first call notices what later ones do not look for any more
    return empty_range_ns(lambda: division(annotate), bare)
