"""Takes the contents of a method's tensors away, and moves what is left to a device.

The device need not exist. What shares memory goes on sharing it, as far as ``Module.to`` lets it:
a parameter that several modules have is one on every device; a buffer that several modules have is
copied for each of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor

from ..methods.base import is_fake
from ..methods.watching import own_name
from .quick import QuickMode, as_parameter

_to_copy = torch.ops.aten._to_copy.default  # noqa: SLF001 - an operator


def take_contents(
    method: nn.Module, mode: QuickMode, device: torch.device
) -> dict[str, list[torch.Tensor]]:
    """Replaces all tensors of a method, in place, by tensors without contents on a device.

    Args:
        method: built on the CPU, with contents or without.
        mode: to which the tensors shall belong.
        device: to which parameters and buffers move.

    Returns:
        The tensors that modules hold as plain attributes, by the module's path. ``Module.to`` does
        not know them: they stay where they are.
    """
    replaced: dict[int, torch.Tensor] = {}
    kept: list[torch.Tensor] = []  # an id is one tensor's only as long as that lives

    def without(tensor: torch.Tensor, *, moves: bool) -> torch.Tensor:
        if tensor.layout is not torch.strided:
            return tensor  # of shapes alone its size does not follow
        bare = tensor if is_fake(tensor) else mode.from_tensor(tensor)
        if not moves or bare.device == device:
            return bare
        moved: torch.Tensor = mode.call(_to_copy, (bare,), {"device": device})
        return moved

    for module in method.modules():
        for name, parameter in list(module._parameters.items()):  # noqa: SLF001 - no property's
            if parameter is None:
                continue
            if id(parameter) not in replaced:
                kept.append(parameter)
                bare: Any = without(parameter, moves=True)
                if is_fake(parameter) and type(bare) is FakeTensor and bare is not parameter:
                    bare = as_parameter(bare)
                elif bare is not parameter or parameter.requires_grad:
                    bare = nn.Parameter(bare, requires_grad=False)
                replaced[id(parameter)] = bare
            _put(module, module._parameters, name, replaced[id(parameter)])  # noqa: SLF001
        for name, buffer in list(module._buffers.items()):  # noqa: SLF001
            if buffer is not None:
                kept.append(buffer)
                replaced[id(buffer)] = without(buffer, moves=True)
                _put(module, module._buffers, name, replaced[id(buffer)])  # noqa: SLF001
    known = set(method.modules())
    return {
        own_name(path): held
        for path, module in method.named_modules()
        if (held := _replace_attributes(module, replaced, without, known))
    }


def _put(module: nn.Module, slots: Any, name: str, tensor: torch.Tensor) -> None:
    if isinstance(module, torch.jit.ScriptModule):  # it holds them where Python does not reach
        setattr(module, name, tensor)
    else:
        slots[name] = tensor


def _replace_attributes(
    module: nn.Module, replaced: dict[int, torch.Tensor], without: Any, known: set[nn.Module]
) -> Any:
    """Plain attributes of a module; those that are parameters, too, are not in the result.

    Modules among them, as in a plain list, keep their tensors, which are in the result.
    """
    held = []

    def bare(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            if id(value) not in replaced:
                replaced[id(value)] = without(value, moves=False)
                held.append(replaced[id(value)])
            return replaced[id(value)]
        if isinstance(value, nn.Module):
            for one in set(value.modules()) - known:
                known.add(one)
                held.extend(_tensors_of(one))
                for _, inner in _attributes(one):
                    bare(inner)
            return value
        if type(value) in (list, tuple):
            return type(value)(map(bare, value))
        if type(value) is dict:
            return {key: bare(one) for key, one in value.items()}
        return value

    for name, value in list(_attributes(module)):
        module.__dict__[name] = bare(value)
    return held


def _tensors_of(module: nn.Module) -> list[torch.Tensor]:
    return [*module.parameters(recurse=False), *module.buffers(recurse=False)]


def _attributes(module: nn.Module) -> Iterator[tuple[str, Any]]:
    own = {"_parameters", "_buffers", "_modules", "_non_persistent_buffers_set"}
    if isinstance(module, torch.jit.ScriptModule):
        return
    for name, value in vars(module).items():
        if name not in own and not name.endswith("_hooks") and _has_tensors(value):
            yield name, value


_PLAIN = frozenset((bool, int, float, str, type(None)))


def _has_tensors(value: Any) -> bool:
    if type(value) in _PLAIN:
        return False
    if type(value) is dict:
        return any(map(_has_tensors, value.values()))
    if type(value) in (list, tuple):
        return any(map(_has_tensors, value))
    return isinstance(value, (torch.Tensor, nn.Module))
