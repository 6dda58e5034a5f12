"""Floating-point operations of torch's operators, and which operators have work without a formula.

They are twice the multiply-adds of convolutions, matrix products, attention, recurrent layers and
distances, as usual in the field; what works on single elements (activations, norms, sums, resizing)
counts nothing. Most formulas are those of ``torch.utils.flop_counter``; here are those that it
lacks.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import torch
from torch.utils.flop_counter import flop_registry

Arguments = Mapping[str, Any]
"""The arguments of a call by the names of the operator's declaration, defaults filled in."""


def arguments_of(
    operator: torch._ops.OpOverload, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Arguments:
    """The arguments of a call by name.

    Args:
        operator: that was called.
        args: its positional arguments.
        kwargs: its arguments by name.
    """
    declared = operator._schema.arguments  # noqa: SLF001 - its declaration
    defaults = {part.name: part.default_value for part in declared if part.has_default_value()}
    return {**defaults, **dict(zip((part.name for part in declared), args)), **kwargs}  # noqa: B905


def operator_flops(
    operator: torch._ops.OpOverload, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any
) -> int | None:
    """Floating-point operations of one call; 0 where single elements are worked on.

    Args:
        operator: that was called.
        args: its positional arguments.
        kwargs: its arguments by name.
        result: what it returned.

    Returns:
        None: it multiplies and adds, or may do so, and there is no formula.
    """
    formula = _formula(operator)
    if not callable(formula):
        return formula
    is_complex = isinstance(result, torch.Tensor) and result.is_complex()
    return formula(args, kwargs, result) * (_OF_COMPLEX if is_complex else 1)


_OF_COMPLEX = 4
"""Products of real numbers in one of complex numbers. Convolutions of them come as real ones."""

Formula = Callable[[Sequence[Any], Mapping[str, Any], Any], int]


@cache
def _formula(operator: torch._ops.OpOverload) -> Formula | int | None:
    """Of an operator; or what ``operator_flops`` returns of each of its calls."""
    name = operator_name(operator)
    if name in _PRODUCTS:
        return _PRODUCTS[name]
    ours = _FORMULAS.get(name)
    if ours is not None:
        of_names: Callable[[Arguments, Any], int] = ours
        return lambda args, kwargs, result: int(
            of_names(arguments_of(operator, args, kwargs), result)
        )
    formula = flop_registry.get(operator.overloadpacket)
    if formula is not None:
        by_torch: Callable[..., Any] = formula
        return lambda args, kwargs, result: int(by_torch(*args, **kwargs, out_val=result))
    return None if _may_multiply(operator) else 0


@cache
def operator_name(operator: torch._ops.OpOverload) -> str:
    """Return the name as profilers write it: ``aten::bmm``."""
    name: str = operator.name()  # type: ignore[no-untyped-call]
    return name.partition(".")[0]


_MULTIPLYING = re.compile(
    r"(^|_)(add|b|badd|addb|hsp|sp|sspadd|int)?mm($|_|\d)|(^|_)(add)?mv($|_)|matmul|conv(olution)?(_|\d|$)"
    r"|linalg|(^|_)fft_|[cp]dist|euclidean|rnn|lstm|gru_|gru$|attention|transformer|cholesky"
    r"|solve|eigh?(_|$)|svd|(^|_)(orm|ge)?qrf?($|_)|lstsq|(^|_)v?dot($|_)|addr_?$|trilinear$"
    r"|mkldnn_linear|mixed_dtypes_linear|structured_linear"
)
"""Names of operators of ``aten`` that multiply and add more than single elements."""

_SINGLE_ELEMENTS = re.compile(
    r"linalg_(vector_norm|cross|_powsum)|fft_r?fftfreq|flatten_weight|upsample|dropout_state"
    r"|reorder|resolve"
)
"""Those among them that do not."""

_ELSEWHERE = {
    "torchvision::nms",
    "torchvision::roi_align",
    "torchvision::roi_pool",
    "torchvision::ps_roi_align",
    "torchvision::ps_roi_pool",
}
"""Operators of other libraries of which the same is known."""


@cache
def _may_multiply(operator: torch._ops.OpOverload) -> bool:
    name = operator_name(operator)
    namespace, _, own = name.partition("::")
    if namespace in ("prim", "prims", "profiler") or name in _ELSEWHERE:
        return False
    if namespace != "aten":
        return True  # nobody knows what it does
    if torch.Tag.pointwise in operator.tags:
        return False
    return bool(_MULTIPLYING.search(own)) and not _SINGLE_ELEMENTS.search(own)


def _attention(given: Arguments, _result: Any) -> int:
    """Both products: shapes (…, queries, d), (…, keys, d) and (…, keys, e)."""
    *batch, queries, dimension = given["query"].shape
    keys, values = given["key"].shape[-2], given["value"].shape[-1]
    return int(2 * math.prod(batch) * queries * keys * (dimension + values))


def _whole_attention(given: Arguments, _result: Any) -> int:
    """Projections of (B, T, D) to queries, keys, values and back, and both products."""
    return _projected_attention(given["query"].shape)


def _projected_attention(shape: Sequence[int]) -> int:
    batch, length, dimension = shape
    return 2 * batch * length * dimension * (4 * dimension + 2 * length)


def _transformer_layer(given: Arguments, _result: Any) -> int:
    batch, length, dimension = given["src"].shape
    hidden = given["ffn_weight_1"].shape[0]
    return _projected_attention(given["src"].shape) + int(4 * batch * length * dimension * hidden)


def _distances(given: Arguments, result: Any) -> int:
    """As one product of both matrices, whose rows are compared each with each."""
    return 2 * int(result.numel()) * int(given["x1"].shape[-1])


def _recurrent(weights: Sequence[torch.Tensor], rows: int) -> int:
    """Each step multiplies its input and the state by all matrices; biases are no products."""
    return 2 * rows * sum(weight.numel() for weight in weights if weight.dim() == 2)


def _rnn_layer(given: Arguments, _result: Any) -> int:
    return _recurrent([given["weight0"], given["weight1"]], math.prod(given["input"].shape[:-1]))


def _cudnn_rnn(given: Arguments, _result: Any) -> int:
    return _recurrent(given["weight"], math.prod(given["input"].shape[:-1]))


def _deformable_convolution(given: Arguments, result: Any) -> int:
    """As a convolution of the sampled values; the sampling works on single elements."""
    return int(2 * result.numel() * math.prod(given["weight"].shape[1:]))


def _matrix_vector(given: Arguments, _result: Any) -> int:
    return 2 * int(given["mat" if "mat" in given else "self"].numel())


def _convolution(args: Sequence[Any], _kwargs: Mapping[str, Any], result: Any) -> int:
    """Each result is a sum of products over the window; of a transposed one, each input is."""
    source, weight, transposed = args[0], args[1], args[6]
    swept = source if transposed else result
    return int(2 * swept.numel() * math.prod(weight.shape[1:]))


_PRODUCTS: Mapping[str, Formula] = {
    "aten::convolution": _convolution,
    "aten::mm": lambda args, _kwargs, result: 2 * int(result.numel()) * int(args[0].shape[-1]),
    "aten::bmm": lambda args, _kwargs, result: 2 * int(result.numel()) * int(args[0].shape[-1]),
    "aten::addmm": lambda args, _kwargs, result: 2 * int(result.numel()) * int(args[1].shape[-1]),
}
"""Of those that are called most: as torch's own, in a tenth of the time."""

_FORMULAS: Mapping[str, Callable[[Arguments, Any], int]] = {
    "aten::_scaled_dot_product_flash_attention_for_cpu": _attention,
    "aten::_scaled_dot_product_flash_attention": _attention,
    "aten::_scaled_dot_product_efficient_attention": _attention,
    "aten::_scaled_dot_product_cudnn_attention": _attention,
    "aten::_native_multi_head_attention": _whole_attention,
    "aten::_transformer_encoder_layer_fwd": _transformer_layer,
    "aten::_cdist_forward": _distances,
    "aten::_euclidean_dist": _distances,
    "aten::mkldnn_rnn_layer": _rnn_layer,
    "aten::_cudnn_rnn": _cudnn_rnn,
    "torchvision::deform_conv2d": _deformable_convolution,
    "aten::mv": _matrix_vector,
    "aten::addmv": _matrix_vector,
    "aten::addmv_": _matrix_vector,
    "aten::dot": lambda given, _result: 2 * given["self"].numel(),
    "aten::vdot": lambda given, _result: 2 * given["self"].numel(),
    "aten::addr": lambda _given, result: 2 * result.numel(),
    "aten::addbmm": lambda given, _result: 2 * given["batch1"].numel() * given["batch2"].shape[-1],
    "aten::_addmm_activation": lambda given, _result: (
        2 * given["mat1"].numel() * given["mat2"].shape[-1]
    ),
    "aten::addmm_": lambda given, _result: 2 * given["mat1"].numel() * given["mat2"].shape[-1],
    "aten::baddbmm_": lambda given, _result: (
        2 * given["batch1"].numel() * given["batch2"].shape[-1]
    ),
    "aten::_int_mm": lambda given, _result: 2 * given["self"].numel() * given["mat2"].shape[-1],
    "aten::_trilinear": lambda given, result: (
        4 * result.numel() * given["i1"].shape[-1] * given["i3"].shape[-1]
    ),
}
"""By the operator's name."""

_COPYING = re.compile(
    r"aten::(_?adaptive_(avg|max)_pool|avg_pool|max_pool|_?upsample|grid_sampler|im2col|convolution"
    r"|(native_)?(batch|group|layer)_norm|_native_batch_norm|reflection_pad|replication_pad)"
)
"""Operators whose kernels bring their input in order, by a copy of it, before they begin."""


@cache
def _may_copy(name: str) -> bool:
    return _COPYING.match(name) is not None


def copied_bytes(name: str, args: Sequence[Any]) -> int:
    """Bytes of the copy that an operator makes inside itself of an input that is not contiguous.

    Args:
        name: of the operator.
        args: its positional arguments.
    """
    if not _may_copy(name) or not isinstance(args[0], torch.Tensor):
        return 0
    source = args[0]
    in_order = [torch.contiguous_format, *([torch.channels_last] if source.dim() == 4 else [])]
    if any(source.is_contiguous(memory_format=order) for order in in_order):
        return 0
    return source.numel() * source.element_size()
