"""The modules of a network: which can be told apart while it runs, and watching their calls.

Modules are watched from around their calls, not by torch's hooks: where a layer has hooks, torch
does not take the fused paths that it has for attention, and other operators would be measured than
those that run without us.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import torch
from torch import fx, nn

_COMPILED = "_orig_mod"
"""The name by which ``torch.compile`` keeps the network that it was given."""

_GUARDS = "_guards_fn"
"""What an exported program calls to check its input; else it is a graph of operators."""

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
        node.op == "call_module" and node.target != _GUARDS for node in module.graph.nodes
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
