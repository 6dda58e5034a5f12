"""Which layers an inference calls, inside which submodule, and what they put out.

Conventions of counting (which outputs are an "activation") are not decided here: a convention is a
condition on ``LayerCall``, see ``counting``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True)
class LayerCall:
    """One call of a leaf module: a module without children."""

    submodule: str
    name: str
    """Path of the module in the method, such as ``teacher.0``."""
    type: str
    output_shape: tuple[int, ...]
    output_bytes: int
    parameters_bytes: int
    """Of the parameters that the module itself owns."""
    first: bool
    """Whether the module had not been called before."""


class CallRecorder:
    """Follows one inference of a method through its ranges and its modules.

    Args:
        method: whose modules are watched, from ``attach`` on.
        submodules: the names of the ranges that partition the inference; None where they are not
            known beforehand.
    """

    def __init__(self, method: nn.Module, submodules: Sequence[str] | None) -> None:
        self.calls: list[LayerCall] = []
        """The calls of leaf modules, in their order."""
        self.submodule_of: dict[str, str] = {}
        """The submodule in which a module was called first, by the module's path."""
        self.interrupted: str | None = None
        """The submodule in which the inference ended with an error, if it did."""
        self._names = {module: name for name, module in method.named_modules() if name}
        self._submodules = submodules
        self._open: list[str] = []
        self._called: set[str] = set()
        self._inside: dict[nn.Module, str] = {}

    def annotate(self, name: str) -> AbstractContextManager[object]:
        """The range of that name; an ``Annotate``. Ranges inside a submodule change nothing."""
        return self._range(name)

    @contextmanager
    def attach(self) -> Iterator[None]:
        """Watches the modules while it is entered."""
        handles = []
        for module in self._names:
            handles.append(module.register_forward_pre_hook(self._before))
            if next(module.children(), None) is None:
                handles.append(module.register_forward_hook(self._after_leaf))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    @contextmanager
    def _range(self, name: str) -> Iterator[None]:
        if not self._open and self._submodules is not None and name not in self._submodules:
            msg = f"range {name!r} is none of the submodules {', '.join(self._submodules)}"
            raise RuntimeError(msg)
        self._open.append(name)
        try:
            yield
        except BaseException:
            self.interrupted = self._open[0]
            raise
        finally:
            self._open.pop()

    def _before(self, module: nn.Module, _args: Any) -> None:
        name = self._names[module]
        if not self._open:
            if next(module.children(), None) is None:
                raise RuntimeError(f"layer {name} is called outside every submodule")
            return  # a network around its submodules
        self.submodule_of.setdefault(name, self._open[0])
        self._inside[module] = self._open[0]

    def _after_leaf(self, module: nn.Module, _args: Any, output: Any) -> None:
        name = self._names[module]
        if not isinstance(output, torch.Tensor):
            kind = type(output).__name__
            raise NotImplementedError(f"cannot count layer {name}: its output is a {kind}")
        self.calls.append(
            LayerCall(
                # as it was called: a range that the call itself opened may be closed by now
                submodule=self._inside[module],
                name=name,
                type=type(module).__name__,
                output_shape=tuple(output.shape),
                output_bytes=size_bytes([output]),
                parameters_bytes=size_bytes(module.parameters(recurse=False)),
                first=name not in self._called,
            )
        )
        self._called.add(name)


def size_bytes(tensors: Iterable[torch.Tensor]) -> int:
    """Sum of the sizes of tensors in bytes."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
