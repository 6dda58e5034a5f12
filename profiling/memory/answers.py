"""Answers of torch about operators without a rule, given once for all calls that are alike.

What an operator returns on tensors without contents follows from what it is given: shapes, strides,
types, devices and numbers. Calls that agree in all of this have the same answer. Whatever changes
a tensor, knows a value, or returns anything but new tensors in order and views is asked each time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch._subclasses.fake_tensor import FakeTensor

from .rules import in_kernel

if TYPE_CHECKING:
    from .quick import QuickMode

_as_strided = torch.ops.aten.as_strided.default
_OTHERWISE = object()


class _UnknownError(Exception):
    """An argument of which an answer may depend in other ways."""


def answered(mode: QuickMode, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """What torch answers, or has answered to a call that was alike.

    Args:
        mode: keeps the answers.
        func: the operator.
        args: its positional arguments.
        kwargs: those by name.
    """
    tensors: list[FakeTensor] = []
    key = _key(mode, func, args, kwargs, tensors) if _is_pure(func) else None
    if key is None:
        return mode.ask(func, args, kwargs)
    found = mode.learned.get(key)
    if found is None:
        result = mode.ask(func, args, kwargs)
        mode.learned[key] = _learned(mode, result, tensors)
        return result
    if found is _OTHERWISE:
        return mode.ask(func, args, kwargs)
    kind, makings = found
    made = [_made(mode, making, tensors) for making in makings]
    return made[0] if kind is None else kind(made)


def _key(
    mode: QuickMode,
    func: Any,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    tensors: list[FakeTensor],
) -> Any:
    """All that the answer depends on; None: more than that. The tensors are added to the list."""
    try:
        told = [_told(mode, value, tensors) for value in args]
        named = [(name, _told(mode, value, tensors)) for name, value in kwargs.items()]
        key = (func, torch.get_default_dtype(), *told, *named)
        hash(key)
    except (_UnknownError, TypeError):
        return None
    return key


@cache
def _is_pure(func: Any) -> bool:
    schema = func._schema  # noqa: SLF001 - its declaration
    aliases = [part.alias_info for part in schema.arguments if part.alias_info is not None]
    return schema.name.startswith("aten::") and not any(one.is_write for one in aliases)


def _told(mode: QuickMode, value: Any, tensors: list[FakeTensor]) -> Any:
    """All of an argument that an answer may depend on."""
    if isinstance(value, FakeTensor) and mode.is_plain(value):
        storage = value.untyped_storage()
        of = next((at for at, one in enumerate(tensors) if one.untyped_storage() is storage), -1)
        tensors.append(value)
        lies = (value.shape, value.stride(), value.storage_offset(), storage.nbytes())
        return (*lies, of, value.dtype, value.fake_device)
    if isinstance(value, (list, tuple)):
        return (list, *(_told(mode, one, tensors) for one in value))
    if isinstance(value, (torch.Tensor, torch.SymInt, torch.Generator)):
        raise _UnknownError
    return (type(value), value)


def _learned(mode: QuickMode, result: Any, tensors: Sequence[FakeTensor]) -> Any:
    """How to make what torch has returned; or that it must be asked again."""
    if isinstance(result, torch.Tensor):
        kind, parts = None, [result]
    elif type(result) in (tuple, list):
        kind, parts = type(result), list(result)
    else:
        return _OTHERWISE
    makings = [_making(mode, part, tensors) for part in parts]
    if None in makings:
        return _OTHERWISE
    new = [part for part, (place, *_) in zip(parts, makings, strict=True) if place is None]
    if len({id(part.untyped_storage()) for part in new}) < len(new):
        return _OTHERWISE  # they share a new one
    return kind, makings


def _making(mode: QuickMode, part: Any, tensors: Sequence[FakeTensor]) -> Any:
    """Of a view which tensor it is of, and how it lies; of a new one None, and what it is."""
    if not mode.is_plain(part) or part.requires_grad:
        return None
    storage = part.untyped_storage()
    for place, source in enumerate(tensors):
        if source.untyped_storage() is storage:
            lies = (tuple(part.shape), part.stride(), part.storage_offset())
            return (place, *lies) if part.dtype is source.dtype else None
    is_new = mode.is_contiguous(part) and storage.nbytes() == part.numel() * part.element_size()
    return (None, tuple(part.shape), part.dtype, part.fake_device) if is_new else None


def _made(mode: QuickMode, making: Any, tensors: Sequence[FakeTensor]) -> FakeTensor:
    place, *rest = making
    if place is None:
        return mode.new(*rest)
    source = tensors[place]
    return mode.wrap(in_kernel(mode, _as_strided, (source, *rest), {}), source.fake_device)
