"""What counts as an activation: the study's convention, and the others that are in use.

Each module is counted in its first call only, as the study counts: ten calls of a network are one
network. Nothing is doubled: torchinfo and torchsummary print twice their sum, for gradients that an
inference does not have.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import nn
from torch.nn.modules.conv import _ConvNd

from .recording import ModuleCall

Convention = Callable[[ModuleCall], bool]


def owns_parameters(call: ModuleCall) -> bool:
    """The study's convention (its equation 3): leaf modules that own parameters; torchinfo's."""
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
    """What torchsummary hooks: every module but lists of modules and whole networks."""
    is_network = not call.is_leaf and "." not in call.name
    return not is_network and not isinstance(call.module, (nn.Sequential, nn.ModuleList))


OTHER_CONVENTIONS: Mapping[str, Convention] = {
    "convolution": is_convolution,
    "not_in_place": is_not_in_place,
    "leaf": is_leaf,
    "torchsummary": is_in_torchsummary,
}
"""By their names in ``memory.json``."""
