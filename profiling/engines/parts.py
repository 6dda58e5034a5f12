"""The networks of a method: found, called by themselves, and replaced.

A method calls its networks as attributes of itself and knows nothing of what computes them. What
takes the place of one is put into the attribute's own instance, where Python looks first, so the
modules and their names stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import nn

from adscale.errors import UnsupportedResolutionError
from adscale.methods.spec import Part
from adscale.variant import Variant

from ..annotation import no_range
from ..methods.base import Method

DTYPES: Mapping[str, torch.dtype] = {"fp16": torch.float16, "bf16": torch.bfloat16}
"""Of precisions that are no switch of torch."""

IMAGE_DIMENSIONS = 4
"""A tensor of so many is an image or a map of features; steps of a diffusion stay in fp32."""

Inputs = tuple[torch.Tensor, ...]
"""Of one call of a network."""

Structure = tuple[str, ...] | int | None
"""What a network returns: a mapping with these keys, so many tensors, or one."""


class PartNetwork(nn.Module):
    """A network of a method, in a precision and layout, called with tensors in fp32.

    Args:
        method: whose network it is; found there as it is now.
        part: where.
        dtype: that it computes in; None: as the method was built.
        channels_last: whether the values of a pixel lie next to each other.
    """

    def __init__(
        self,
        method: Method,
        part: Part,
        dtype: torch.dtype | None = None,
        *,
        channels_last: bool = False,
    ) -> None:
        super().__init__()
        # unregistered: it may be a module that is registered below, or a method of one
        self._call = (_attribute(method, part.calls[0]),)
        self.dtype = dtype
        self.layout = torch.channels_last if channels_last else torch.preserve_format
        for path in part.modules:
            module = method.get_submodule(path)
            module.to(dtype=dtype)
            if channels_last:
                module.to(memory_format=torch.channels_last)
            self.add_module(path.replace(".", "_"), module)

    def forward(self, *inputs: torch.Tensor) -> Any:
        """What the method's own call returns, in fp32; shapes as given."""
        return mapped(torch.Tensor.float, self._call[0](*map(self._given, inputs)))

    def _given(self, tensor: torch.Tensor) -> torch.Tensor:
        is_as_given = self.dtype is None and self.layout == torch.preserve_format
        if is_as_given or tensor.dim() != IMAGE_DIMENSIONS:
            return tensor
        return tensor.to(dtype=self.dtype or tensor.dtype, memory_format=self.layout)


class FlatNetwork(nn.Module):
    """The same network with all that it returns in one tuple, as exporters want it.

    Args:
        network: of a method.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The tensors that the network returns."""
        return flat(self.network(*inputs))


def mapped(function: Callable[[torch.Tensor], torch.Tensor], outputs: Any) -> Any:
    """Applies a function to every tensor of what a network returns."""
    if isinstance(outputs, torch.Tensor):
        return function(outputs)
    return restored(tuple(map(function, flat(outputs))), structure(outputs))


def flat(outputs: Any) -> tuple[torch.Tensor, ...]:
    """The tensors that a network returns: one, several, or several by name."""
    if isinstance(outputs, torch.Tensor):
        return (outputs,)
    return tuple(outputs.values() if isinstance(outputs, Mapping) else outputs)


def structure(outputs: Any) -> Structure:
    """How the tensors of ``flat`` belong together."""
    if isinstance(outputs, torch.Tensor):
        return None
    return tuple(outputs) if isinstance(outputs, Mapping) else len(outputs)


def restored(tensors: tuple[torch.Tensor, ...], shape: Structure) -> Any:
    """What ``flat`` was made of."""
    if shape is None:
        return tensors[0]
    return tensors if isinstance(shape, int) else dict(zip(shape, tensors, strict=True))


def put(method: Method, part: Part, call: Callable[..., Any]) -> None:
    """Has the method call something else in the place of a network.

    Args:
        method: whose network it is.
        part: where.
        call: takes and returns what the network does.
    """
    for path in part.calls:
        owner, _, name = path.rpartition(".")
        vars(_attribute(method, owner) if owner else method)[name] = call


def drop(method: Method, part: Part, instead: nn.Module | None = None) -> None:
    """Frees the modules of a network that is computed elsewhere.

    Args:
        method: whose network it is.
        part: where.
        instead: stands for them among the modules of the method.
    """
    for path in part.modules:
        owner, _, name = path.rpartition(".")
        setattr(method.get_submodule(owner), name, instead or nn.Module())
        instead = None


def _attribute(method: object, path: str) -> Any:
    found = method
    for name in path.split("."):
        found = getattr(found, name)
    return found


def cast(method: Method, parts: Mapping[str, Part], variant: Variant) -> None:
    """Has torch compute the networks of a method in a variant's precision and layout.

    Args:
        method: built, in fp32.
        parts: its networks by submodule.
        variant: that is asked for.
    """
    dtype = DTYPES.get(variant.precision)
    if dtype is None and not variant.channels_last:
        return
    for part in parts.values():
        put(method, part, PartNetwork(method, part, dtype, channels_last=variant.channels_last))


class Example(NamedTuple):
    """One call of a network."""

    inputs: Inputs
    outputs: tuple[torch.Tensor, ...]
    structure: Structure


class _Recording:
    """Calls a network, and keeps its first call and the inputs of all."""

    def __init__(self, call: Callable[..., Any], *, keeps_all: bool) -> None:
        self.first: Example | None = None
        self.inputs: list[tuple[torch.Tensor, ...]] = []
        self._call = call
        self._keeps_all = keeps_all

    def __call__(self, *inputs: torch.Tensor) -> Any:
        # copies: what is given and returned may be changed in place later
        given = tuple(one.clone() for one in inputs) if self._keeps_all or not self.first else ()
        outputs = self._call(*inputs)
        if self.first is None:
            copies = tuple(one.clone() for one in flat(outputs))
            self.first = Example(given, copies, structure(outputs))
        if self._keeps_all:
            self.inputs.append(given)
        return outputs


@contextmanager
def _recorded(
    method: Method, parts: Mapping[str, Part], *, keeps_all: bool
) -> Iterator[Mapping[str, _Recording]]:
    """Records the calls of the networks while it is entered."""
    calls = {name: _attribute(method, part.calls[0]) for name, part in parts.items()}
    found = {name: _Recording(call, keeps_all=keeps_all) for name, call in calls.items()}
    for name, part in parts.items():
        put(method, part, found[name])
    try:
        yield found
    finally:
        for name, part in parts.items():
            put(method, part, calls[name])


def examples(
    method: Method, parts: Mapping[str, Part], image: torch.Tensor
) -> Mapping[str, Example]:
    """The first call of each network in an inference.

    Args:
        method: where it runs, as it is.
        parts: its networks by submodule.
        image: of the inference.

    Returns:
        By submodule, copies of what each was given and has returned.

    Raises:
        RuntimeError: a network is not called.
    """
    with _recorded(method, parts, keeps_all=False) as recordings:
        try:
            method.infer(image, no_range)
        except UnsupportedResolutionError:
            if not all(one.first for one in recordings.values()):
                raise  # else the networks run, though not together
    found = {name: one.first for name, one in recordings.items() if one.first is not None}
    absent = [name for name in parts if name not in found]
    if absent:
        raise RuntimeError(f"the networks of {', '.join(absent)} are not called")
    return found


def inputs_of(
    method: Method, parts: Mapping[str, Part], images: Iterable[torch.Tensor]
) -> Mapping[str, Sequence[tuple[torch.Tensor, ...]]]:
    """Copies of all that each network is given in some inferences, by submodule.

    Args:
        method: where it runs, as it is.
        parts: its networks by submodule.
        images: of an inference each.
    """
    with _recorded(method, parts, keeps_all=True) as recordings:
        for image in images:
            method.infer(image, no_range)
    return {name: one.inputs for name, one in recordings.items()}
