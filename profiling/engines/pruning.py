"""Structured pruning: whole channels of a network are taken out, by torch-pruning.

Which layers have channels in common, torch-pruning finds out by following an inference (Fang et
al., "DepGraph", CVPR 2023). Of each such group the channels with the least weights go (Li et al.,
"Pruning Filters for Efficient ConvNets", ICLR 2017). Nothing is trained again. What the network is
given and returns keeps its width, and so does what ``Part.fixed`` names.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from adscale.errors import MethodError
from adscale.methods.spec import Part

from ..methods.base import Method, is_fake
from .parts import FlatNetwork, Inputs, PartNetwork

FILE = "pruned.pt"
"""The weights that are left, of engines that compute with torch's modules."""

WIDTHS = (
    "in_channels", "out_channels", "in_features", "out_features", "num_features", "num_channels",
)  # fmt: skip
"""Attributes of torch's layers that say how wide they are."""

PRUNABLE = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
"""Layers whose channels may go."""


class Pruned(NamedTuple):
    """What pruning has left of a network."""

    channels: int
    """That convolutions and linear layers put out, before."""
    removed_channels: int
    parameters: int
    """Before."""
    removed_parameters: int


def prune(
    method: Method, parts: Mapping[str, Part], percent: int, inputs: Mapping[str, Inputs]
) -> dict[str, Pruned]:
    """Takes channels out of the networks of a method, in place.

    Args:
        method: built, with weights or, where memory is counted, without contents.
        parts: its networks by submodule.
        percent: of the channels of each layer that may lose some.
        inputs: of a call of each network.

    Returns:
        By submodule, what was taken out.

    Raises:
        MethodError: torch-pruning cannot follow a network, or it returns something else then.
    """
    return {
        name: _pruned(name, method, part, percent, inputs[name]) for name, part in parts.items()
    }


def _pruned(name: str, method: Method, part: Part, percent: int, inputs: Inputs) -> Pruned:
    network = FlatNetwork(PartNetwork(method, part))
    before = _size(network)
    with torch.inference_mode(mode=False), torch.no_grad():
        given = tuple(one.clone() for one in inputs)
        shapes = [one.shape for one in network(*given)]
        try:
            _take_out(network, given, percent, set(_fixed(method, part)))
            left = [one.shape for one in network(*given)]
        except Exception as error:  # whatever a library that follows a graph may raise
            what = f"torch-pruning does not take this network ({type(error).__name__}: {error})"
            raise MethodError(name, " ".join(what.split()), "leave pruned variants out") from error
    if shapes != left:
        what = f"pruned it returns shapes {list(map(list, left))}, not {list(map(list, shapes))}"
        raise MethodError(name, what, "name what has to keep its width in Part.fixed")
    after = _size(network)
    return Pruned(before[0], before[0] - after[0], before[1], before[1] - after[1])


def _size(network: nn.Module) -> tuple[int, int]:
    channels = sum(len(one.weight) for one in network.modules() if isinstance(one, PRUNABLE))
    return channels, sum(one.numel() for one in network.parameters())


class _Watched(nn.Module):
    """A network behind whose outputs stand layers: what is coupled with them is returned."""

    def __init__(self, network: nn.Module, outputs: Sequence[torch.Tensor]) -> None:
        super().__init__()
        self.network = network
        with torch.device(outputs[0].device):
            self.ends = nn.ModuleList(
                nn.Conv2d(one.shape[1], 1, 1) if one.dim() == 4 else nn.Linear(one.shape[-1], 1)
                for one in outputs
            )

    def forward(self, *inputs: torch.Tensor) -> list[torch.Tensor]:
        return [end(one) for end, one in zip(self.ends, self.network(*inputs), strict=True)]


def _take_out(network: nn.Module, inputs: Inputs, percent: int, fixed: set[nn.Module]) -> None:
    import torch_pruning

    watched = _Watched(network, network(*inputs))
    ends = set(watched.ends)
    for one in watched.parameters():  # a graph is what autograd tells
        one.requires_grad_()
    try:
        with torch.enable_grad():
            graph = torch_pruning.DependencyGraph().build_dependency(
                watched, example_inputs=inputs, forward_fn=lambda model, given: model(*given),
                verbose=False,
            )  # fmt: skip
        for group in graph.get_all_groups(
            root_module_types=list(PRUNABLE), ignored_layers=[*ends, *fixed]
        ):
            if not _is_bound(group, ends, fixed):
                _thin(graph, group, percent)
    finally:
        for one in watched.parameters():
            one.requires_grad_(False)


def _fixed(method: Method, part: Part) -> Iterator[nn.Module]:
    for root in part.modules:
        for path, module in method.get_submodule(root).named_modules(prefix=root):
            if any(fnmatchcase(path, one) for one in part.fixed):
                yield module


def _is_bound(group: Any, ends: set[nn.Module], fixed: set[nn.Module]) -> bool:
    """Whether the width of a group is not ours to change: it is returned, or something expects it.

    Nor is it where torch-pruning names channels that a layer does not have: it loses its way in
    concatenations behind attention (1.6.1, in the U-Net of DDAD).

    Args:
        group: layers that have channels in common, with how each would be thinned.
        ends: what stands behind the outputs of the network.
        fixed: what they put out stays; what they are given may be less.
    """
    for item in group:
        layer, thins = item.dep.target.module, item.dep.handler.__name__
        divides = isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d) and layer.groups > 1
        if layer in ends or divides or (layer in fixed and thins == "prune_out_channels"):
            return True
        if max(item.idxs) >= _width(layer, thins):
            return True
    return False


def _width(layer: nn.Module, thins: str) -> float:
    """Channels that a layer puts out or is given; of what is no layer any number."""
    weight = getattr(layer, "weight", None)
    if not isinstance(weight, torch.Tensor):
        return math.inf
    return weight.shape[0 if weight.dim() == 1 or "out" in thins else 1]


def _thin(graph: Any, group: Any, percent: int) -> None:
    """Takes the channels with the least weights out of all layers of a group."""
    layer, function = group[0].dep.target.module, group[0].dep.handler
    channels = len(group[0].idxs)
    step = math.lcm(*(
        item.dep.target.module.num_groups
        for item in group
        if isinstance(item.dep.target.module, nn.GroupNorm)
    ))  # fmt: skip
    kept = max(1, round(channels * (100 - percent) / 100 / step)) * step
    if kept >= channels:
        return
    order = _order(group, channels)
    graph.get_pruning_group(layer, function, sorted(order[: channels - kept])).prune()


def _order(group: Any, channels: int) -> list[int]:
    """Channels by the norm of their weights in all layers; without contents all are equal."""
    import torch_pruning

    if any(is_fake(one) for one in group[0].dep.target.module.parameters()):
        return list(range(channels))
    weights: torch.Tensor = torch_pruning.importance.GroupMagnitudeImportance(p=2)(group)
    order: list[int] = weights.argsort().tolist()
    return order


def save(network: nn.Module, folder: Path) -> None:
    """Writes what is left of a network.

    Args:
        network: pruned.
        folder: of its files.
    """
    widths = {
        path: {name: getattr(module, name) for name in WIDTHS if hasattr(module, name)}
        for path, module in network.named_modules()
    }
    torch.save({"weights": network.state_dict(), "widths": widths}, folder / FILE)


def load(network: nn.Module, folder: Path) -> None:
    """Gives a network the weights that ``save`` has written.

    Args:
        network: as it was before it was pruned; changed in place.
        folder: of its files.
    """
    kept = torch.load(folder / FILE, weights_only=True)
    devices = {name: one.device for name, one in network.state_dict().items()}
    for name, tensor in kept["weights"].items():
        owner, _, own = name.rpartition(".")
        module, moved = network.get_submodule(owner), tensor.to(devices[name])
        if own in module._buffers:  # noqa: SLF001 - no other way puts one of another shape
            module._buffers[own] = moved  # noqa: SLF001
        else:
            setattr(module, own, nn.Parameter(moved, requires_grad=False))
    for path, widths in kept["widths"].items():
        for name, width in widths.items():
            setattr(network.get_submodule(path), name, width)
