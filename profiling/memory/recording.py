"""Which modules an inference calls, inside which submodule, and which outputs are activations.

A convention of counting is a condition on ``ModuleCall``: that of the paper, and the others that
are in use. Each module is counted in its first call only, as the paper counts: ten calls of a
network are one network. Nothing is doubled: torchinfo and torchsummary print twice their sum, for
gradients that an inference does not have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from threading import get_ident
from typing import Any, Literal

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils.parametrize import is_parametrized
from torch.utils._pytree import tree_leaves

from adscale.names import TILE

from ..annotation import BETWEEN
from ..methods.base import held_by, repetitions
from ..methods.watching import own_name, unwatch, watch
from .live import LiveTensors, Position, Section
from .quick import QuickMode


@dataclass(frozen=True)
class ModuleCall:
    """The first call of a module."""

    submodule: str
    name: str
    """Path of the module in the method, such as ``teacher.0``."""
    module: nn.Module
    is_leaf: bool
    """Whether it has no children."""
    output_shape: tuple[int, ...]
    """Shape of the first tensor that it puts out."""
    output_bytes: int
    """Bytes of all tensors that it puts out."""
    parameters_bytes: int
    """Bytes of the parameters that the module itself owns."""


class Recorder:
    """Follows one inference of a method through its ranges and its modules.

    Args:
        method: whose modules are watched, from ``attach`` on.
        submodules: the names of the ranges that partition the inference; None where they are not
            known beforehand.
        device_type: of the inference.
        below: see ``LiveTensors``.
    """

    def __init__(
        self,
        method: nn.Module,
        submodules: Sequence[str] | None,
        device_type: str = "cpu",
        below: QuickMode | None = None,
    ) -> None:
        self.calls: list[ModuleCall] = []
        """The first call of each module, in the order in which they ended."""
        self.submodule_of: dict[str, str] = {}
        """The submodule in which a module was called first, by the module's path."""
        self.interrupted: str | None = None
        """The submodule in which the inference ended with an error, if it did."""
        self.sections: dict[str, list[Section]] = {}
        """The sections of each submodule, one for each of its ranges."""
        self.elsewhere: dict[str, None] = {}
        """Modules that are called in another thread, in which no operator is seen."""
        self.live = LiveTensors(device_type, self, below)
        self._names = {module: own_name(name) for name, module in method.named_modules() if name}
        self._submodules = submodules
        self._open: list[str] = []
        self._running: list[tuple[str, str]] = []
        self._called: set[str] = set()
        self._gap: AbstractContextManager[Section] | None = None
        self._thread = get_ident()

    def annotate(self, name: str) -> AbstractContextManager[object]:
        """The range of that name; an ``Annotate``. Ranges inside a submodule change nothing.

        Nor does that of a tile around submodules.
        """
        if name == TILE and not self._open:
            return nullcontext()
        return self._range(name)

    def position(self) -> Position:
        """The submodule and the innermost module that are running."""
        between = BETWEEN if self._submodules is None else None
        submodule = self._open[0] if self._open else between
        return Position(submodule, self._running[-1][0] if self._running else None)

    @contextmanager
    def attach(self) -> Iterator[None]:
        """Watches modules and tensors while it is entered."""
        for module in self._names:
            watch(module, self)
        try:
            with self.live, self._between():
                yield
        finally:
            for module in self._names:
                unwatch(module, self)

    @contextmanager
    def _between(self) -> Iterator[None]:
        """Follows what a method of a user's does outside of all ranges."""
        self._begin_gap()
        try:
            yield
        finally:
            self._end_gap()

    def _begin_gap(self) -> None:
        if self._submodules is None:
            self._gap = self.live.follow()
            self.sections.setdefault(BETWEEN, []).append(self._gap.__enter__())

    def _end_gap(self) -> None:
        if self._gap is not None:
            self._gap.__exit__(None, None, None)
            self._gap = None

    @contextmanager
    def _range(self, name: str) -> Iterator[None]:
        if self._open:
            self._open.append(name)
            try:
                yield
            finally:
                self._open.pop()
            return
        if self._submodules is not None and name not in self._submodules:
            msg = f"range {name!r} is none of the submodules {', '.join(self._submodules)}"
            raise RuntimeError(msg)
        self._end_gap()
        self._open.append(name)
        try:
            with self.live.follow() as section:
                self.sections.setdefault(name, []).append(section)
                yield
            section.flops *= repetitions()
            section.allocated_bytes *= repetitions()
        except BaseException:
            self.interrupted = name
            raise
        finally:
            self._open.pop()
            self._begin_gap()

    def before(self, module: nn.Module) -> None:
        """See ``Watcher``."""
        name = self._names[module]
        if get_ident() != self._thread:
            self.elsewhere.setdefault(name)
            return
        if self._open:
            submodule = self._open[0]
        elif not is_childless(module):
            return  # a network around its submodules
        elif self._submodules is None:
            submodule = BETWEEN
        else:
            raise RuntimeError(f"layer {name} is called outside every submodule")
        self.submodule_of.setdefault(name, submodule)
        # as it is called: a range that the call itself opens may be closed at its end
        self._running.append((name, submodule))

    def after(self, module: nn.Module, output: Any, *, failed: bool) -> None:
        """See ``Watcher``."""
        name = self._names[module]
        if failed or not self._running or self._running[-1][0] != name:
            return
        if get_ident() != self._thread:
            return
        _, submodule = self._running.pop()
        if name in self._called:
            return
        self._called.add(name)
        if isinstance(module, nn.TransformerEncoderLayer):
            self._add_fused(name, module, submodule, output)
        self._add(name, module, submodule, output)

    def _add_fused(
        self, path: str, module: nn.TransformerEncoderLayer, submodule: str, output: Any
    ) -> None:
        """The layers of one that torch runs as a single operator, where they are not called."""
        if not isinstance(output, torch.Tensor):
            return
        for part, layer in module.named_children():
            name = f"{path}.{part}"
            if name in self._called or not isinstance(layer, (nn.Linear, nn.LayerNorm)):
                continue
            self._called.add(name)
            self.submodule_of.setdefault(name, submodule)
            width = layer.out_features if isinstance(layer, nn.Linear) else output.shape[-1]
            with self.live.paused():
                self._add(name, layer, submodule, output.new_empty(*output.shape[:-1], width))

    def _add(self, name: str, module: nn.Module, submodule: str, output: Any) -> None:
        leaves = {id(leaf): leaf for leaf in tree_leaves(output)}.values()
        tensors = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
        self.calls.append(
            ModuleCall(
                submodule=submodule,
                name=name,
                module=module,
                is_leaf=is_childless(module),
                output_shape=() if not tensors or tensors[0].is_nested else tuple(tensors[0].shape),
                output_bytes=size_bytes(tensors),
                parameters_bytes=size_bytes(_own_parameters(module)),
            )
        )


def is_childless(module: nn.Module) -> bool:
    """Whether a module is a layer: it has no children but what makes its own weights."""
    weights = _parametrizations(module)
    return all(child is weights for child in module.children())


def own_tensors(
    module: nn.Module, kind: Literal["parameters", "buffers"]
) -> Iterable[torch.Tensor]:
    """Parameters or buffers that a module itself has.

    ``Module.parameters`` looks through modules for them, a tenth of the time of a count.
    """
    if isinstance(module, torch.jit.ScriptModule):  # it holds them where Python does not reach
        found: Iterable[torch.Tensor] = getattr(module, kind)(recurse=False)
        return found
    slots: Mapping[str, torch.Tensor | None] = vars(module)[f"_{kind}"]
    return [tensor for tensor in dict.fromkeys(slots.values()) if tensor is not None]


def _own_parameters(module: nn.Module) -> Iterator[torch.Tensor]:
    yield from own_tensors(module, "parameters")
    weights = _parametrizations(module)
    if weights is not None:
        yield from weights.parameters()


def _parametrizations(module: nn.Module) -> nn.Module | None:
    found = getattr(module, "parametrizations", None) if is_parametrized(module) else None
    return found if isinstance(found, nn.Module) else None


def size_bytes(tensors: Iterable[torch.Tensor]) -> int:
    """Sum of the sizes of tensors in bytes; of a sparse one those of its indices and values."""
    parts = (part for tensor in tensors for part in held_by(tensor))
    return sum(part.numel() * part.element_size() for part in parts)


Convention = Callable[[ModuleCall], bool]


def owns_parameters(call: ModuleCall) -> bool:
    """The paper's convention (its equation 3): leaf modules that own parameters; torchinfo's."""
    return call.is_leaf and call.parameters_bytes > 0


def is_convolution(call: ModuleCall) -> bool:
    """Convolutions and linear layers."""
    return isinstance(call.module, (_ConvNd, nn.Linear))


def is_leaf(call: ModuleCall) -> bool:
    """Every module without children."""
    return call.is_leaf


def is_not_in_place(call: ModuleCall) -> bool:
    """Leaf modules whose output is a tensor of its own."""
    passes_on = isinstance(call.module, (nn.Dropout, nn.Dropout2d, nn.Identity))
    return call.is_leaf and not passes_on and not getattr(call.module, "inplace", False)


def is_in_torchsummary(call: ModuleCall) -> bool:
    """The modules that torchsummary hooks: all but lists of modules and whole networks."""
    is_network = not call.is_leaf and "." not in call.name
    return not is_network and not isinstance(call.module, (nn.Sequential, nn.ModuleList))


OTHER_CONVENTIONS: Mapping[str, Convention] = {
    "convolution": is_convolution,
    "not_in_place": is_not_in_place,
    "leaf": is_leaf,
    "torchsummary": is_in_torchsummary,
}
"""By their names in ``memory.json``."""
