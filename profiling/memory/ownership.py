"""Which submodule the parameters and buffers of a method belong to."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from .recording import size_bytes


def owner(path: str, submodule_of: Mapping[str, str], otherwise: str | None = None) -> str:
    """The submodule that owns the tensors of a module.

    It is the one in which the module is called first. A module that is never called (a classifier
    behind the layer that is used) is resident all the same: it goes with the nearest module around
    it of which some part is called.

    Args:
        path: of the module in the method.
        submodule_of: the submodule of the first call, by the path of each module called.
        otherwise: what owns the tensors of a module around which nothing tells.

    Raises:
        RuntimeError: nothing around the module is called, or it is called by several submodules,
            and ``otherwise`` is None.
    """
    if path in submodule_of:
        return submodule_of[path]
    around = path
    while around:
        inside = {s for name, s in submodule_of.items() if f"{name}.".startswith(f"{around}.")}
        if len(inside) == 1:
            return inside.pop()
        if inside and otherwise is None:
            raise RuntimeError(f"{path} is never called, and {around} by several submodules")
        around = around.rpartition(".")[0]
    if otherwise is not None:
        return otherwise
    raise RuntimeError(f"tensors of {path or 'the method itself'} are in no module that is called")


def resident_bytes(
    method: nn.Module, submodule_of: Mapping[str, str], otherwise: str | None = None
) -> tuple[dict[str, int], dict[str, int]]:
    """Bytes of the parameters, and of the buffers, by submodule; shared tensors count once.

    Args:
        method: the method.
        submodule_of: see ``owner``.
        otherwise: see ``owner``.
    """
    parameters: dict[str, int] = {}
    buffers: dict[str, int] = {}
    seen: set[int] = set()
    for path, module in method.named_modules():
        for sums, tensors in (
            (parameters, module.parameters(recurse=False)),
            (buffers, module.buffers(recurse=False)),
        ):
            for tensor in tensors:
                if id(tensor) in seen:
                    continue
                seen.add(id(tensor))
                name = owner(path, submodule_of, otherwise)
                sums[name] = sums.get(name, 0) + size_bytes([tensor])
    return parameters, buffers
