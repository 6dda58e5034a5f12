"""A residual block of the U-Net in strips of rows, where its tensors are large.

At full resolution three skips have to live until the end. Beside them the block needs no more than
its input and one tensor of its output: normalisation, activation and convolution go through a few
rows at a time, so that neither the concatenation with a skip nor a normalised copy exists whole,
and the second convolution takes the place of its own input. The sums of a normalisation are taken
over all parts before. Values differ from those of whole tensors by rounding only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import nn

STRIPED_BYTES = 256 * 2**20
"""A block whose output is smaller runs as a whole, as up to 1,024 px with 64 channels."""

STRIP_BYTES = 32 * 2**20
"""Of a strip of that output."""


def strips(rows: int, row_bytes: int) -> Iterator[tuple[int, int]]:
    """Rows from one on, and up to, without, another.

    Args:
        rows: of the map.
        row_bytes: of one of them.
    """
    step = max(STRIP_BYTES // row_bytes, 1)
    return ((first, min(first + step, rows)) for first in range(0, rows, step))


def affine(norm: nn.GroupNorm, parts: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Factor and constant of each channel that a group normalisation amounts to.

    Args:
        norm: of the parts, joined.
        parts: each of shape (N, C, height, width).

    Returns:
        Two of shape (N, channels of all parts, 1, 1).
    """
    moments = [torch.var_mean(part, dim=(2, 3), correction=0) for part in parts]
    variance = torch.cat([one[0] for one in moments], dim=1)
    mean = torch.cat([one[1] for one in moments], dim=1)
    images, channels = mean.shape
    of_channel = mean.reshape(images, norm.num_groups, -1)
    of_group = of_channel.mean(dim=2, keepdim=True)
    # of channels with as many values: the mean of their variances, and the variance of their means
    spread = variance.reshape(of_channel.shape).mean(dim=2, keepdim=True)
    spread = spread + (of_channel - of_group).square().mean(dim=2, keepdim=True)
    scale = (spread + norm.eps).rsqrt().expand(of_channel.shape).reshape(images, channels)
    centre = of_group.expand(of_channel.shape).reshape(images, channels)
    factor = norm.weight * scale
    constant = norm.bias - centre * factor
    return factor[..., None, None], constant[..., None, None]


def convolved(
    parts: Sequence[torch.Tensor],
    norm: nn.GroupNorm,
    layers: Callable[[torch.Tensor], torch.Tensor],
    out_channels: int,
    *,
    factor: int,
) -> torch.Tensor:
    """Normalises, activates, perhaps enlarges, and convolves parts that are never joined.

    Args:
        parts: each of shape (N, C, height, width); they stay as they are.
        norm: of the parts, joined.
        layers: what follows: activation, resizing and a 3 x 3 convolution with padding.
        out_channels: of the convolution.
        factor: by which sides are enlarged.

    Returns:
        Shape (N, out_channels, factor · height, factor · width).
    """
    of_factor, of_constant = affine(norm, parts)
    images, _, rows, columns = parts[0].shape
    result = parts[0].new_empty(images, out_channels, factor * rows, factor * columns)
    row_bytes = factor * result[:, :, 0].numel() * result.element_size()
    for first, last in strips(rows, row_bytes):
        low, high = max(first - 1, 0), min(last + 1, rows)
        piece = torch.cat([part[:, :, low:high] for part in parts], dim=1)
        piece = layers(piece.mul_(of_factor).add_(of_constant))
        begin = factor * (first - low)
        result[:, :, factor * first : factor * last] = piece[
            :, :, begin : begin + factor * (last - first)
        ]
        del piece
    return result


def convolve_in_place(
    hidden: torch.Tensor, norm: nn.GroupNorm, layers: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    """Normalises, activates and convolves in place.

    Args:
        hidden: shape (N, C, height, width); overwritten.
        norm: of it.
        layers: what follows: activation and a 3 x 3 convolution with padding, to as many channels.
    """
    of_factor, of_constant = affine(norm, [hidden])
    rows = hidden.shape[2]
    above: torch.Tensor | None = None  # the row before, as it was
    for first, last in strips(rows, hidden[:, :, 0].numel() * hidden.element_size()):
        own = hidden[:, :, first : min(last + 1, rows)]
        piece = torch.cat([own] if above is None else [above, own], dim=2)
        above_rows = 0 if above is None else 1
        above = hidden[:, :, last - 1 : last].clone()
        piece = layers(piece.mul_(of_factor).add_(of_constant))
        hidden[:, :, first:last] = piece[:, :, above_rows : above_rows + last - first]
        del own, piece


def add_skipped(
    result: torch.Tensor,
    parts: Sequence[torch.Tensor],
    layers: Callable[[torch.Tensor], torch.Tensor],
    *,
    factor: int,
) -> None:
    """Adds what goes past the convolutions, in place.

    Args:
        result: shape (N, C, factor · height, factor · width).
        parts: each of shape (N, C', height, width).
        layers: what they go through, joined: a resizing and, or, a 1 x 1 convolution.
        factor: by which sides are enlarged.
    """
    rows = parts[0].shape[2]
    for first, last in strips(rows, factor * result[:, :, 0].numel() * result.element_size()):
        piece = [part[:, :, first:last] for part in parts]
        joined = torch.cat(piece, dim=1) if len(piece) > 1 else piece[0]
        result[:, :, factor * first : factor * last].add_(layers(joined))
        del piece, joined
