"""Rules for the outputs of operators on tensors without contents, see ``quick``.

A rule returns what the operator would, or None where it does not hold: torch has to be asked.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch._subclasses.fake_tensor import FakeTensor, in_kernel_invocation_manager

if TYPE_CHECKING:
    from .quick import QuickMode

Rule = Callable[["QuickMode", Any, Sequence[Any], Mapping[str, Any]], Any]
"""Of a mode, an operator, its positional arguments, and those by name."""

_aten = torch.ops.aten
_FLOATS = frozenset((torch.float32, torch.float64))
KINDS = _FLOATS | {
    torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.uint8, torch.bool,
}  # fmt: skip
_OTHERWISE = object()
"""Learned of calls to which no rule applies."""


@cache
def ordered_strides(shape: Sequence[int]) -> tuple[int, ...]:
    """The strides of a new tensor."""
    return tuple(math.prod(max(size, 1) for size in shape[i + 1 :]) for i in range(len(shape)))


def _device(mode: QuickMode, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    del mode, func, kwargs
    return args[0].fake_device if isinstance(args[0], FakeTensor) else None


def _is_alike(first: Any, *others: Any) -> bool:
    return all(one.dtype is first.dtype and one.fake_device == first.fake_device for one in others)


def _spreads(one: torch.Tensor, to: torch.Tensor) -> bool:
    """Whether broadcasting one tensor with another gives the other's shape."""
    shape, given = to.shape, one.shape
    return shape == given or (
        len(given) <= len(shape)
        and all(own in (1, size) for own, size in zip(reversed(given), reversed(shape)))  # noqa: B905
    )


def _kind(value: Any) -> Any:
    """Of an argument, what decides about the type of the result."""
    if isinstance(value, torch.Tensor):
        return (value.dtype, value.dim() == 0)
    return type(value) if type(value) in (int, float) else repr(value)


def _kinds(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    named = [(name, _kind(value)) for name, value in kwargs.items()]
    return (func, *map(_kind, args), *named)


def _pointwise(mode: QuickMode, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """One operand has the shape of the result, and all lie in order: so does the result.

    Its type depends on the types of the operands, and is learned.
    """
    tensors = [value for value in args if isinstance(value, torch.Tensor)]
    if not tensors or not all(map(mode.is_contiguous, tensors)):
        return None
    largest: Any = max(tensors, key=lambda one: (one.dim(), one.numel()))
    device = largest.fake_device
    if not all(one.device == device and _spreads(one, largest) for one in tensors):
        return None
    key = _kinds(func, args, kwargs)
    dtype = mode.learned.get(key)
    if dtype is None:
        result = mode.ask(func, args, kwargs)
        is_so = (
            mode.is_contiguous(result)
            and result.shape == largest.shape
            and result.fake_device == device
        )
        mode.learned[key] = result.dtype if is_so else _OTHERWISE
        return result
    return None if dtype is _OTHERWISE else mode.new(largest.shape, dtype, device)


def _in_place(mode: QuickMode, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """What is written lies in order, and has the type and at least the shape of what is read."""
    tensors = [value for value in args if isinstance(value, torch.Tensor)]
    written = args[0]
    if not all(map(mode.is_contiguous, tensors)) or written.dtype not in _FLOATS:
        return None
    if not _is_alike(*tensors) or not all(_spreads(one, written) for one in tensors):
        return None
    key = _kinds(func, args, kwargs)
    if key not in mode.learned:
        result = mode.ask(func, args, kwargs)
        mode.learned[key] = None if result is written else _OTHERWISE
        return result
    return None if mode.learned[key] is _OTHERWISE else written


def _view(mode: QuickMode, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """As torch's kernel does it, with nothing around it."""
    source = args[0]
    if not mode.is_plain(source) or any(isinstance(one, torch.Tensor) for one in args[1:]):
        return None
    if func is _aten.view.default and not mode.is_contiguous(source):
        return None  # torch's rule for tensors without contents differs from its kernel's
    try:
        result = in_kernel(mode, func, args, kwargs)
    except (RuntimeError, IndexError, TypeError):
        return None  # torch shall say it in its own words
    device = source.fake_device
    if isinstance(result, torch.Tensor):
        return mode.wrap(result, device)
    return type(result)(mode.wrap(one, device) for one in result)


def in_kernel(mode: QuickMode, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """As ``in_kernel_invocation_manager`` of torch has it, without a context of Python."""
    if mode.in_kernel_invocation:
        with in_kernel_invocation_manager(mode):
            return func(*args, **kwargs)
    with torch._C._DisableTorchDispatch():  # noqa: SLF001 - as torch does
        mode.in_kernel_invocation = True
        with torch._C._PreserveDispatchKeyGuard():  # noqa: SLF001
            torch._C._set_meta_in_tls_dispatch_include(True)  # noqa: SLF001
            try:
                return func(*args, **kwargs)
            finally:
                mode.in_kernel_invocation = False


_OPTIONS = {
    "dtype", "device", "layout", "pin_memory", "non_blocking", "memory_format", "generator",
}  # fmt: skip


def _is_usual(kwargs: Mapping[str, Any]) -> bool:
    """Whether a new tensor shall lie in order."""
    return (
        kwargs.keys() <= _OPTIONS
        and kwargs.get("layout") in (None, torch.strided)
        and not kwargs.get("pin_memory")
        and kwargs.get("memory_format") in (None, torch.contiguous_format, torch.preserve_format)
    )


def _new(mode: QuickMode, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Of a shape that is given."""
    del func
    dtype = kwargs.get("dtype") or torch.get_default_dtype()
    device = kwargs.get("device") or torch.device("cpu")
    usual = _is_usual(kwargs) and dtype in KINDS and device.type in ("cpu", "cuda")
    if not usual or any(type(side) is not int or side < 0 for side in args[0]):
        return None
    return mode.new(args[0], dtype, device)


def _copy(mode: QuickMode, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Of what lies in order, or shall."""
    del func
    source = args[0]
    is_so = kwargs.get("memory_format") is torch.contiguous_format or mode.is_contiguous(source)
    if len(args) > 1 or not is_so or not mode.is_plain(source) or not _is_usual(kwargs):
        return None
    dtype, device = kwargs.get("dtype") or source.dtype, kwargs.get("device") or source.fake_device
    if dtype not in KINDS or device.type not in ("cpu", "cuda"):
        return None
    return mode.new(source.shape, dtype, device)


def _pair(value: Any, number: int) -> list[int]:
    return [*value] * number if len(value) == 1 else [*value]


def _windows(
    sides: Sequence[int], kernel: Any, stride: Any, padding: Any, dilation: Any
) -> list[int] | None:
    """How many windows there are along each side; None: not one."""
    number = len(sides)
    parts = (_pair(one, number) for one in (kernel, stride or kernel, padding, dilation))
    counts = [
        (side + 2 * border - apart * (size - 1) - 1) // step + 1
        for side, size, step, border, apart in zip(sides, *parts, strict=True)
    ]
    return counts if min(counts) > 0 else None


def _convolution(mode: QuickMode, func: Any, args: Sequence[Any], kwargs: Any) -> Any:
    del func
    source, weight, bias, stride, padding, dilation, transposed, _, groups = args
    tensors = [source, weight] if bias is None else [source, weight, bias]
    if kwargs or transposed or not all(map(mode.is_contiguous, tensors)):
        return None
    fits = (
        source.dtype in _FLOATS
        and _is_alike(*tensors)
        and source.dim() == weight.dim() in (3, 4)
        and source.shape[1] == weight.shape[1] * groups
        and weight.shape[0] % groups == 0
        and (bias is None or bias.shape == weight.shape[:1])
        and source.numel()
    )
    sides = fits and _windows(source.shape[2:], weight.shape[2:], stride, padding, dilation)
    if not sides:
        return None
    shape = (source.shape[0], weight.shape[0], *sides)
    return mode.new(shape, source.dtype, source.fake_device)


def _pooling(mode: QuickMode, func: Any, args: Sequence[Any], kwargs: Any) -> Any:
    """Of averages, and of maxima with their positions."""
    source, kernel = args[:2]
    if kwargs or not mode.is_contiguous(source) or source.dim() != 4 or not source.numel():
        return None
    maxima = func is _aten.max_pool2d_with_indices.default
    named: list[Any] = [*args[2:]]
    defaults: list[Any] = [[], [0]]
    stride, padding, *rest = [*named, *defaults[len(named) :]]
    dilation = rest.pop(0) if maxima and rest else [1]
    if source.dtype not in _FLOATS or (rest and rest[0]):
        return None
    if any(2 * border > size for border, size in zip(_pair(padding, 2), _pair(kernel, 2))):  # noqa: B905
        return None
    sides = _windows(source.shape[2:], kernel, stride, padding, dilation)
    if not sides:
        return None
    shape, device = (*source.shape[:2], *sides), source.fake_device
    found = mode.new(shape, source.dtype, device)
    return (found, mode.new(shape, torch.int64, device)) if maxima else found


def _resized(mode: QuickMode, func: Any, args: Sequence[Any], kwargs: Any) -> Any:
    """To sides that are given."""
    del func
    source, sides = args[:2]
    fits = mode.is_contiguous(source) and source.dtype in _FLOATS and source.dim() == 4
    if kwargs or not fits or not source.numel() or min(sides) < 1:
        return None
    return mode.new((*source.shape[:2], *sides), source.dtype, source.fake_device)


def _normalised(mode: QuickMode, func: Any, args: Sequence[Any], kwargs: Any) -> Any:
    """As given, with statistics that depend on channels and groups alone, and are learned."""
    source = args[0]
    tensors = [one for one in args if isinstance(one, torch.Tensor)]
    if kwargs or not all(map(mode.is_contiguous, tensors)) or not _is_alike(*tensors):
        return None
    by_groups = func is _aten.native_group_norm.default
    sides = math.prod(source.shape[2:])
    if source.dtype not in _FLOATS or source.dim() < 2 or not sides:
        return None
    if by_groups and (list(args[3:5]) != list(source.shape[:2]) or args[5] != sides):
        return None
    others = [
        tuple(one.shape) if isinstance(one, torch.Tensor) else one
        for index, one in enumerate(args)
        if index and not (by_groups and index == 5)
    ]
    key = (func, source.shape[:2], source.dim(), source.dtype, source.fake_device, *others)
    statistics = mode.learned.get(key)
    if statistics is None:
        result = mode.ask(func, args, kwargs)
        is_so = all(map(mode.is_contiguous, result)) and result[0].shape == source.shape
        mode.learned[key] = [(one.shape, one.dtype, one.fake_device) for one in result[1:]]
        if not is_so:
            mode.learned[key] = _OTHERWISE
        return result
    if statistics is _OTHERWISE:
        return None
    whole = mode.new(source.shape, source.dtype, source.fake_device)
    return (whole, *(mode.new(*one) for one in statistics))


def _softmax(mode: QuickMode, func: Any, args: Sequence[Any], kwargs: Any) -> Any:
    source, _, to_float = args
    del func
    if kwargs or to_float or not mode.is_contiguous(source) or source.dtype not in _FLOATS:
        return None
    return mode.new(source.shape, source.dtype, source.fake_device) if source.dim() else None


def _product(mode: QuickMode, func: Any, args: Sequence[Any], kwargs: Any) -> Any:
    """Of matrices, which may lie in any order."""
    if not all(map(mode.is_plain, args)) or kwargs or args[0].dtype not in _FLOATS:
        return None
    *added, first, second = args
    shape = (*first.shape[:-1], second.shape[-1])
    fits = (
        _is_alike(*args)
        and first.dim() == second.dim() == (3 if func is _aten.bmm.default else 2)
        and first.shape[:-2] == second.shape[:-2]
        and first.shape[-1] == second.shape[-2]
        and all(one.shape == shape[-1:] for one in added)
        and 0 not in (*first.shape, *second.shape)
    )
    return mode.new(shape, first.dtype, first.fake_device) if fits else None


def _joined(mode: QuickMode, func: Any, args: Sequence[Any], kwargs: Any) -> Any:
    del func
    parts, dim = args[0], args[1] if len(args) > 1 else 0
    if kwargs or not all(map(mode.is_contiguous, parts)) or not _is_alike(*parts):
        return None
    shape = list(parts[0].shape)
    if not -len(shape) <= dim < len(shape):
        return None
    others = [one.shape[:dim] + one.shape[dim:][1:] for one in parts]
    if any(not one.numel() for one in parts) or any(one != others[0] for one in others):
        return None
    shape[dim] = sum(one.shape[dim] for one in parts)
    return mode.new(shape, parts[0].dtype, parts[0].fake_device)


_BY_NAME: Mapping[Rule, str] = {
    _view: "view permute transpose.int t unsqueeze squeeze.dim squeeze expand slice.Tensor "
    "select.int split.Tensor unbind.int detach",
    _new: "empty.memory_format zeros ones randn randn.generator",
    _copy: "_to_copy clone zeros_like",
    _convolution: "convolution",
    _pooling: "avg_pool2d max_pool2d_with_indices",
    _resized: "upsample_nearest2d upsample_bilinear2d",
    _normalised: "native_batch_norm cudnn_batch_norm native_group_norm",
    _softmax: "_softmax",
    _product: "mm bmm addmm",
    _joined: "cat",
}


def _operator(name: str) -> Any:
    packet, _, overload = name.partition(".")
    return getattr(getattr(_aten, packet), overload or "default")


RULES: Mapping[Any, Rule] = {
    torch.ops.prim.device.default: _device,
    **{_operator(name): rule for rule, names in _BY_NAME.items() for name in names.split()},
}
"""By operator. What is tagged as working on single elements has one besides."""


@cache
def rule_of(func: Any) -> Rule | None:
    """The rule for an operator; None: there is none."""
    if func in RULES or torch.Tag.pointwise not in func.tags:
        return RULES.get(func)
    schema = func._schema  # noqa: SLF001 - its declaration
    if len(schema.returns) != 1 or str(schema.returns[0].type) != "Tensor":
        return None
    written = [part.alias_info is not None for part in schema.arguments]
    if not any(written):
        return _pointwise
    return _in_place if written[0] and sum(written) == 1 else None
