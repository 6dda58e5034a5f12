"""What some operators of torch allocate inside themselves, as the operators that they consist of.

A count sees what operators return. A few of them are whole layers: those of the fused path that
``torch.nn.MultiheadAttention`` and ``TransformerEncoderLayer`` take without gradients, and the
distances of ``torch.cdist``. Their kernels hold more meanwhile than they return, a matrix of
attention above all. The steps below are those of torch's own kernels
(``native_multi_head_attention`` and ``transformer_encoder_layer_forward`` in
ATen/native/transformers, ``_euclidean_dist`` in ATen/native/Distance.cpp), in their order, and end
the lives of tensors where these do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch

from .operators import Arguments

_aten = torch.ops.aten


def can_be_efficient(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> bool:
    """Whether a CUDA device computes an attention without its matrix (torch, sdp_utils).

    Args:
        query: shape (…, queries, d).
        key: shape (…, keys, d).
        value: shape (…, keys, e).
    """
    aligned = 4 if query.dtype == torch.float32 else 1  # 16 bytes; the shorter floats are padded
    return (
        query.dim() == 4
        and query.dtype in (torch.float32, torch.float16, torch.bfloat16)
        and query.shape[:2] == key.shape[:2] == value.shape[:2]
        and all(one.stride(-1) == 1 and one.shape[-1] % aligned == 0 for one in (query, key, value))
        and all(one.shape[-2] > 0 for one in (query, key))
    )


def _multi_head_attention(given: Arguments) -> tuple[torch.Tensor, torch.Tensor]:
    query, heads, mask = given["query"], given["num_head"], given["mask"]
    batch, length, dimension = query.shape
    per_head = dimension // heads
    by_head = query.view(batch, length, heads, per_head).transpose(1, 2)
    may_skip = query is given["key"] and query is given["value"] and mask is None
    if (
        query.device.type == "cuda"
        and may_skip
        and not given["need_weights"]
        and per_head % 8 == 0
        and can_be_efficient(by_head, by_head, by_head)
    ):
        return _without_matrix(given, heads), query.new_empty(0)
    rows = query.reshape(-1, dimension)
    projected = _aten.mm(rows, given["qkv_weight"].t())
    packed = query.new_empty(3, batch, heads, length, per_head)
    del projected
    weights = _aten.bmm(packed[0].flatten(0, 1), packed[1].flatten(0, 1).transpose(1, 2))
    if mask is not None:  # without one, in place
        spread = torch.empty_like(weights, dtype=torch.bool)
        weights = torch.empty_like(weights)
        del spread
    kept = weights if given["need_weights"] else query.new_empty(0)
    del weights
    context = packed[0].transpose(1, 2).clone(memory_format=torch.contiguous_format)
    result = _aten.addmm(
        given["proj_bias"], context.reshape(-1, dimension), given["proj_weight"].t()
    )
    del context
    if given["need_weights"] and given["average_attn_weights"]:
        kept = kept.view(batch, heads, length, length).sum(1).div_(heads)
    elif given["need_weights"]:
        kept = kept.view(batch, heads, length, length)
    return result.view(batch, length, dimension), kept


def _without_matrix(given: Arguments, heads: int) -> torch.Tensor:
    query: torch.Tensor = given["query"]
    batch, length, dimension = query.shape
    rows = query.reshape(-1, dimension)
    projected = _aten.addmm(given["qkv_bias"], rows, given["qkv_weight"].t())
    parts = [
        part.view(batch, length, heads, dimension // heads).transpose(1, 2)
        for part in projected.view(batch, length, 3 * dimension).chunk(3, -1)
    ]
    attended = _aten._scaled_dot_product_efficient_attention(*parts, None, False)[0]  # noqa: SLF001
    joined = attended.transpose(1, 2).reshape(-1, dimension)
    result: torch.Tensor = _aten.addmm(given["proj_bias"], joined, given["proj_weight"].t())
    return result.view(batch, length, dimension)


def _encoder_layer(given: Arguments) -> torch.Tensor:
    src, first = given["src"], given["norm_first"]
    dimension = src.shape[-1]

    def norm(x: torch.Tensor, number: int) -> torch.Tensor:
        weight, bias = given[f"norm_weight_{number}"], given[f"norm_bias_{number}"]
        result: torch.Tensor = _aten.native_layer_norm(x, [dimension], weight, bias, given["eps"])[
            0
        ]
        return result

    x = norm(src, 1) if first else src
    attention = {
        "query": x, "key": x, "value": x, "num_head": given["num_heads"], "mask": given["mask"],
        "need_weights": False, "average_attn_weights": True,
        **{name: given[name] for name in ("qkv_weight", "qkv_bias", "proj_weight", "proj_bias")},
    }  # fmt: skip
    x = _multi_head_attention(attention)[0].add_(src)
    del attention  # which holds its input
    x = x if first else norm(x, 1)
    before = x
    x = norm(x, 2) if first else x
    rows = x.reshape(-1, dimension)
    hidden = _aten.addmm(given["ffn_bias_1"], rows, given["ffn_weight_1"].t())
    del rows, x
    x = _aten.addmm(given["ffn_bias_2"], hidden, given["ffn_weight_2"].t()).view(src.shape)
    del hidden
    x.add_(before)
    return x if first else norm(x, 2)


_MANY_ROWS = 25
"""More rows than these are compared by one product of matrices."""


def _distances(given: Arguments) -> torch.Tensor:
    first: torch.Tensor = given["x1"]
    second: torch.Tensor = given["x2"]
    shape = (*first.shape[:-1], second.shape[-2])
    mode = given["compute_mode"] or 0
    many = first.shape[-2] > _MANY_ROWS or second.shape[-2] > _MANY_ROWS
    if given["p"] == 2 and (mode == 1 or (mode == 0 and many)):
        return _euclidean(given)
    return first.new_empty(shape)


def _euclidean(given: Arguments) -> torch.Tensor:
    first, second = given["x1"], given["x2"]
    first_norm = first.pow(2).sum(-1, True)
    second_norm = second.pow(2).sum(-1, True)
    first_ones, second_ones = torch.ones_like(first_norm), torch.ones_like(second_norm)
    left = torch.cat([first.mul(-2), first_norm, first_ones], -1)
    right = torch.cat([second, second_ones, second_norm], -1)
    del first_norm, first_ones, second_norm, second_ones
    batch = math.prod(left.shape[:-2])
    result: torch.Tensor = _aten.bmm(
        left.reshape(batch, *left.shape[-2:]), right.reshape(batch, *right.shape[-2:]).mT
    )
    result.clamp_min_(0).sqrt_()
    return result.view(*left.shape[:-1], right.shape[-2])


STEPS: Mapping[str, Callable[[Arguments], Any]] = {
    "aten::_native_multi_head_attention": _multi_head_attention,
    "aten::_transformer_encoder_layer_fwd": _encoder_layer,
    "aten::_cdist_forward": _distances,
    "aten::_euclidean_dist": _euclidean,
}
"""By the operator's name: does with tensors without contents what its kernel does."""
