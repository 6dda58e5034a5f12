"""Operators as a CUDA device would run them, where there is none.

Some operators ask the device how they shall be computed. On an absent GPU, attention falls back to
the plain way, which holds the whole matrix of weights, where a GPU takes the memory-efficient
kernel (torch, SDPA backends); and recurrent layers ask cuDNN, which fails. While memory is counted
for a CUDA device, these operators are replaced for it, whoever calls them and in whatever form.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from .fused import can_be_efficient

_aten = torch.ops.aten


@contextmanager
def as_on_a_gpu() -> Iterator[None]:
    """Replaces the operators for tensors on CUDA devices while it is entered."""
    library: Any = torch.library.Library("aten", "IMPL")  # type: ignore[no-untyped-call]
    try:
        library.impl("scaled_dot_product_attention", _attention, "AutogradCUDA")
        for name, mode in (("rnn_relu", 0), ("rnn_tanh", 1), ("gru", 3)):
            library.impl(f"{name}.input", _recurrent(mode), "AutogradCUDA")
        library.impl("lstm.input", _lstm, "AutogradCUDA")
        yield
    finally:
        library._destroy()  # noqa: SLF001 - torch has no other name for it


def _attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> torch.Tensor:
    if query.dim() == key.dim() == value.dim() == 3:  # torch does the same
        mask = attn_mask if attn_mask is None or attn_mask.dim() == 2 else attn_mask.unsqueeze(0)
        return _attention(
            query.unsqueeze(0), key.unsqueeze(0), value.unsqueeze(0), mask, dropout_p, is_causal,
            scale=scale, enable_gqa=enable_gqa,
        ).squeeze(0)  # fmt: skip
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        attn_mask = torch.zeros_like(attn_mask, dtype=query.dtype).masked_fill_(
            attn_mask.logical_not(), -torch.inf
        )
    if dropout_p == 0 and can_be_efficient(query, key, value):
        if attn_mask is not None:
            attn_mask = attn_mask.expand(*query.shape[:-1], key.shape[-2])
        efficient = _aten._scaled_dot_product_efficient_attention  # noqa: SLF001 - an operator
        result: torch.Tensor = efficient(
            query, key, value, attn_mask, False, 0.0, is_causal, scale=scale
        )[0]
        return result
    plain = _aten._scaled_dot_product_attention_math  # noqa: SLF001 - an operator
    whole: torch.Tensor = plain(
        query, key, value, attn_mask, dropout_p, is_causal, None, scale=scale, enable_gqa=enable_gqa
    )[0]
    return whole


def _cudnn(
    mode: int,
    source: torch.Tensor,
    states: Sequence[torch.Tensor | None],
    weights: Sequence[torch.Tensor],
    per_layer: int,
    options: tuple[int, float, bool, bool, bool],
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    layers, dropout, train, bidirectional, batch_first = options
    hidden, cell = states
    assert hidden is not None
    of_cell = hidden if cell is None else cell
    projection = hidden.shape[-1] if hidden.shape[-1] != of_cell.shape[-1] else 0
    found = _aten._cudnn_rnn(  # noqa: SLF001 - an operator
        source, list(weights), per_layer, None, hidden, cell, mode, of_cell.shape[-1], projection,
        layers, batch_first, dropout, train, bidirectional, [], None,
    )  # fmt: skip
    return found[0], found[1], found[2]


def _lstm(
    source: torch.Tensor,
    hx: Sequence[torch.Tensor],
    params: Sequence[torch.Tensor],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    projected = hx[0].shape[-1] != hx[1].shape[-1]
    per_layer = (4 if has_biases else 2) + projected
    options = (num_layers, dropout, train, bidirectional, batch_first)
    return _cudnn(2, source, hx, params, per_layer, options)


def _recurrent(mode: int) -> Any:
    def run(
        source: torch.Tensor,
        hx: torch.Tensor,
        params: Sequence[torch.Tensor],
        has_biases: bool,
        num_layers: int,
        dropout: float,
        train: bool,
        bidirectional: bool,
        batch_first: bool,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        options = (num_layers, dropout, train, bidirectional, batch_first)
        output, hidden, _ = _cudnn(
            mode, source, (hx, None), params, 4 if has_biases else 2, options
        )
        return output, hidden

    return run
