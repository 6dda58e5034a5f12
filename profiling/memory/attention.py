"""Attention as a CUDA device would compute it, where there is none.

Which kernel ``scaled_dot_product_attention`` takes is decided by the device, and fake tensors on an
absent GPU fall back to the plain one, which holds the whole matrix of weights. A GPU takes the
memory-efficient kernel in 32-bit floats (torch, SDPA backends), which does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

_EFFICIENT = torch.ops.aten._scaled_dot_product_efficient_attention  # noqa: SLF001 -- an operator


class _CudaAttention(TorchFunctionMode):
    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: Any = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func is functional.scaled_dot_product_attention:
            query, key, value, *others = args
            mask = others[0] if others else kwargs.get("attn_mask")
            if query.device.type == "cuda":
                return _EFFICIENT(query, key, value, mask, compute_log_sumexp=False)[0]
        return func(*args, **kwargs)


def cuda_attention() -> TorchFunctionMode:
    """While entered, attention of fake tensors on a CUDA device is the memory-efficient one."""
    return _CudaAttention()
