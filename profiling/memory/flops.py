"""Floating-point operations of single operators.

Twice the multiply-adds of convolutions, matrix products and attention, as usual in the field; what
works on single elements (activations, norms, sums) counts nothing. The formulas are those of
``torch.utils.flop_counter``, with the operators added that it does not know.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.utils.flop_counter import flop_registry

_ON_CPU = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu  # noqa: SLF001 -- an operator


def operator_flops(
    operator: torch._ops.OpOverload, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any
) -> int:
    """Floating-point operations of one call; 0 for operators that are not counted.

    Args:
        operator: that was called.
        args: its positional arguments.
        kwargs: its arguments by name.
        result: what it returned.
    """
    packet = operator.overloadpacket
    if packet is _ON_CPU:
        return _attention_flops(*(tensor.shape for tensor in args[:3]))
    formula = flop_registry.get(packet)
    return 0 if formula is None else int(formula(*args, **kwargs, out_val=result))


def _attention_flops(query: Sequence[int], key: Sequence[int], value: Sequence[int]) -> int:
    """Both products: shapes (…, queries, d), (…, keys, d) and (…, keys, e)."""
    *batch, queries, dimension = query
    return 2 * math.prod(batch) * queries * key[-2] * (dimension + value[-1])
