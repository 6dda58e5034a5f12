"""How a network is divided: which of its modules have a range of their own, and what runs between.

A submodule is a child of the network, with all that lies in it. Often its layers are called from
outside, one by one (``for layer in self.features``): each then runs in the child's range. What the
network does itself, such as adding two outputs, is a submodule of its own, ``between submodules``.

Modules are watched from around their calls, not by torch's hooks: where a layer has hooks, torch
does not take the fused paths that it has for attention, and other operators would be measured than
those that run without us. Which modules are called from outside is seen in the first image, in
which all are watched; later only these.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

import torch
from torch import fx, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ..annotation import Annotate, child_name

BETWEEN = "between submodules"
"""The submodule of what runs in no child."""

_COMPILED = "_orig_mod"
"""The name by which ``torch.compile`` keeps the network that it was given."""

_SLOT = "_compiled_call_impl"
"""What a module calls in place of its own ``_call_impl``, where it is set."""


class Watcher(Protocol):
    """Is told when a module is called."""

    def before(self, module: nn.Module) -> None:
        """A call begins."""

    def after(self, module: nn.Module, output: Any, *, failed: bool) -> None:
        """A call has ended; without an output where it has failed."""


class _Watched:
    """A module's call, with those who watch it around it; its hooks are inside."""

    def __init__(self, module: nn.Module, call: Callable[..., Any]) -> None:
        self.module = module
        self.call = call
        self.watchers: tuple[Watcher, ...] = ()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_compiling():  # nothing of ours belongs into a compiled graph
            return self.call(*args, **kwargs)
        module, watchers = self.module, self.watchers
        for watcher in watchers:
            watcher.before(module)
        output, failed = None, True
        try:
            output = self.call(*args, **kwargs)
            failed = False
        finally:
            for watcher in reversed(watchers):
                watcher.after(module, output, failed=failed)
        return output


def watch(module: nn.Module, watcher: Watcher) -> None:
    """Has a watcher told of every call of a module, within those who watch it already."""
    slots = module.__dict__  # a scripted module refuses to have its attributes set
    found = getattr(module, _SLOT, None)
    if not isinstance(found, _Watched):
        found = slots[_SLOT] = _Watched(module, found or module._call_impl)  # noqa: SLF001 - a slot
    found.watchers += (watcher,)


def unwatch(module: nn.Module, watcher: Watcher) -> None:
    """Ends ``watch``; the module is as before once nobody watches it."""
    found = module.__dict__.get(_SLOT)
    if not isinstance(found, _Watched):
        return
    found.watchers = tuple(one for one in found.watchers if one is not watcher)
    if found.watchers:
        return
    del module.__dict__[_SLOT]
    if getattr(found.call, "__func__", None) is not nn.Module._call_impl:  # noqa: SLF001 - a slot
        module.__dict__[_SLOT] = found.call


def own_name(path: str) -> str:
    """The path of a module as its author knows it, whatever ``torch.compile`` has put around."""
    return ".".join(part for part in path.split(".") if part != _COMPILED)


def indivisible(module: nn.Module) -> str | None:
    """Why the children of a module cannot be told apart while it runs; None: they can."""
    if isinstance(module, torch.jit.ScriptModule):
        # torch.jit.trace makes modules of such a class only
        return "traced" if "Traced" in type(module).__name__ else "scripted"
    if _is_compiled(module):
        return "compiled"
    if isinstance(module, fx.GraphModule) and not any(
        node.op == "call_module" for node in module.graph.nodes
    ):
        return "a graph of operators"
    return None


def _is_compiled(module: nn.Module) -> bool:
    found = getattr(module, _SLOT, None)
    if found is not None and not isinstance(found, _Watched):
        return True
    forward = getattr(module, "forward", None)
    return _COMPILED in module.__dict__.get("_modules", {}) or hasattr(
        forward, "_torchdynamo_orig_callable"
    )


def whole(network: nn.Module) -> str | None:
    """The name of the only submodule of a network that cannot be divided; None: it can be."""
    reason = indivisible(network)
    if reason is not None:
        return f"network ({reason})"
    return None if any(True for _ in network.children()) else "network"


def inner_modules(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The modules of a network that are called one by one, with their paths, each once."""
    seen = {network}

    def below(module: nn.Module, path: str) -> Iterator[tuple[str, nn.Module]]:
        for name, child in module.named_children():
            if child in seen:
                continue
            seen.add(child)
            inner = f"{path}.{name}" if path else name
            yield inner, child
            if indivisible(child) is None:
                yield from below(child, inner)

    return below(network, "")


class Division:
    """Opens the range of a child around its calls, and of ``between submodules`` around the rest.

    Args:
        network: whose calls are divided, from now on.
    """

    def __init__(self, network: nn.Module) -> None:
        self.whole = whole(network)
        self._network = network
        self._annotate: Annotate | None = None
        self._open: AbstractContextManager[object] | None = None
        self._depth = 0
        self._times: dict[nn.Module, int] = {}
        self._called: dict[str, None] = {}
        self._child: dict[nn.Module, str] = {}
        self._paths: dict[nn.Module, str] = {}
        self._first = _FirstCall()
        if self.whole is None:
            for path, module in inner_modules(network):
                self._paths[module] = path
                self._child[module] = child_name(path.partition(".")[0])
                watch(module, self)

    @property
    def submodules(self) -> tuple[str, ...]:
        """What was opened so far, in the order of the first time, ``between submodules`` last."""
        if self.whole is not None:
            return (self.whole,)
        return tuple(sorted(self._called, key=lambda name: name == BETWEEN))

    def __call__(self, annotate: Annotate, *inputs: Any) -> Any:
        """Calls the network.

        Args:
            annotate: opens the ranges.
            inputs: of the network.
        """
        if self.whole is not None:
            with annotate(self.whole):
                return self._network(*inputs)
        self._annotate = annotate
        is_first = not self._first.is_over
        try:
            self._times.clear()
            self._begin_gap((None, 0))
            return self._network(*inputs)
        finally:
            self._end_gap()
            self._annotate = None
            self._depth = 0
            if is_first:
                self._forget_inner()

    def before(self, module: nn.Module) -> None:
        """See ``Watcher``."""
        self._depth += 1
        if self._depth == 1 and self._annotate is not None:
            self._end_gap()
            name = self._child[module]
            self._called.setdefault(name)
            self._first.roots.add(module)
            self._open = self._annotate(name)
            self._open.__enter__()

    def after(self, module: nn.Module, output: Any, *, failed: bool) -> None:
        """See ``Watcher``."""
        del output, failed
        self._depth -= 1
        if self._depth == 0 and self._open is not None:
            self._open.__exit__(None, None, None)
            self._open = None
            times = self._times[module] = self._times.get(module, 0) + 1
            self._begin_gap((module, times))

    def _begin_gap(self, behind: _Position) -> None:
        if not self._first.is_over:
            self._first.begin_gap(behind)
        elif behind in self._first.gaps and self._annotate is not None:
            self._called.setdefault(BETWEEN)
            self._open = self._annotate(BETWEEN)
            self._open.__enter__()

    def _end_gap(self) -> None:
        if not self._first.is_over:
            self._first.end_gap()
        elif self._open is not None:
            self._open.__exit__(None, None, None)
            self._open = None

    def _forget_inner(self) -> None:
        """Leaves modules alone that run inside others."""
        first = self._first
        first.is_over = True
        if first.has_compiled():
            return  # another change of a module would compile again what has just been compiled
        roots = {self._paths[module] for module in first.roots}
        for module, path in self._paths.items():
            if module not in first.roots and any(around in roots for around in _around(path)):
                unwatch(module, self)


def _around(path: str) -> Iterable[str]:
    """The paths of the modules around one."""
    return (path[:end] for end, letter in enumerate(path) if letter == ".")


_Position = tuple["nn.Module | None", int]
"""Behind which call of a module, counted within an image; None: before the first of any."""


class _FirstCall:
    """What the first call of a network shows."""

    def __init__(self) -> None:
        self.is_over = False
        self.roots: set[nn.Module] = set()
        """Modules that were called while no other ran."""
        self.gaps: set[_Position] = set()
        """Where the network does something itself."""
        self._noticing: _Noticing | None = None
        self._frames = _compiled_frames()

    def begin_gap(self, behind: _Position) -> None:
        """The network itself runs from here on."""
        self._noticing = _Noticing(behind, self.gaps)
        self._noticing.__enter__()  # type: ignore[no-untyped-call]

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
        if computes(func, (args, kwargs), result):
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
    tensors = (leaf for leaf in tree_leaves(values) if isinstance(leaf, torch.Tensor))
    return {tensor.untyped_storage()._cdata for tensor in tensors}  # noqa: SLF001 - its identity
