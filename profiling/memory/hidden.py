"""Networks that an engine computes: what they hold inside cannot be counted, and is not made up.

Each stands as one layer, with the weights of the layers that are called and with what it returns.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from adscale.methods.spec import Part

from ..engines.parts import Example, drop, examples, put, restored
from ..methods.base import Method


class HiddenNetwork(nn.Module):
    """A network without its layers, on tensors without contents.

    Args:
        modules: those that are called.
        example: what the network is given and returns.
        is_int8: whether weights of convolutions and products take a byte each.
    """

    def __init__(self, modules: list[nn.Module], example: Example, *, is_int8: bool) -> None:
        super().__init__()
        self._structure = example.structure
        self._outputs = [(one.shape, one.dtype, one.device) for one in example.outputs]
        for number, module in enumerate(modules):
            for name, weight in module.named_parameters(recurse=False):
                kept = weight.to(torch.int8) if is_int8 and weight.dim() > 1 else weight
                self.register_parameter(f"{name}_{number}", nn.Parameter(kept, False))
            for name, buffer in module.named_buffers(recurse=False):
                self.register_buffer(f"{name}_{number}", buffer)

    def forward(self, *inputs: torch.Tensor) -> object:
        """What the network returns."""
        del inputs
        made = (
            torch.empty(shape, dtype=dtype, device=device) for shape, dtype, device in self._outputs
        )
        return restored(tuple(made), self._structure)


def hide(method: Method, parts: Mapping[str, Part], image: torch.Tensor, *, is_int8: bool) -> None:
    """Puts a layer in the place of each network.

    Args:
        method: on tensors without contents.
        parts: its networks by submodule.
        image: of an inference.
        is_int8: see ``HiddenNetwork``.
    """
    called: set[nn.Module] = set()

    def note(module: nn.Module, _inputs: object) -> None:
        called.add(module)

    watched = {
        name: list(nn.ModuleList(map(method.get_submodule, part.modules)).modules())
        for name, part in parts.items()
    }
    hooks = [one.register_forward_pre_hook(note) for of in watched.values() for one in of]
    found = examples(method, parts, image)
    for hook in hooks:
        hook.remove()
    for name, part in parts.items():
        layers = [one for one in watched[name] if one in called]
        stand_in = HiddenNetwork(layers, found[name], is_int8=is_int8)
        drop(method, part, stand_in)
        put(method, part, stand_in)
