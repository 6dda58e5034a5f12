"""The U-Net of DDAD: residual blocks with a time embedding, attention in the three deepest levels.

Sources: Dhariwal and Nichol, "Diffusion Models Beat GANs" (2021), whose network it is; the
configuration for 256 px of arimousa/DDAD, and the names of its tensors, so that its checkpoints
fit. Every multiple of 32 px runs through it.

The network is built as the reference builds it; ``optimize`` then changes how it computes, not
what.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import cast

import torch
from torch import nn
from torch.nn import functional

from .strips import STRIPED_BYTES, add_skipped, convolve_in_place, convolved

GROUPS = 32
MULTIPLIERS = (1, 1, 2, 2, 4, 4)
"""Channels of each level, in units of the base channels."""
BLOCKS_PER_LEVEL = 2
ATTENTION_FACTORS = (8, 16, 32)
"""Reductions of the side at whose levels there is attention."""


class UNet(nn.Module):
    """Predicts the noise in an image at a diffusion step.

    Args:
        base_channels: 64 (DDAD) or 32 (DDAD-S).
        heads: of the attention: 4 or 2.
        dropout: 0 or 0.3; without effect in evaluation mode.
    """

    def __init__(self, *, base_channels: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.in_place = False
        time_channels = 4 * base_channels
        self.time_embedding = nn.Sequential(
            StepEncoding(base_channels),
            nn.Linear(base_channels, time_channels),
            nn.SiLU(),
            nn.Linear(time_channels, time_channels),
        )

        def residual(inward: int, outward: int, **resize: bool) -> ResidualBlock:
            return ResidualBlock(inward, outward, time_channels, dropout=dropout, **resize)

        channels, factor = base_channels, 1
        self.down = nn.ModuleList([Level(nn.Conv2d(3, channels, 3, padding=1))])
        skipped = [channels]
        for level, multiplier in enumerate(MULTIPLIERS):
            for _ in range(BLOCKS_PER_LEVEL):
                layers: list[nn.Module] = [residual(channels, multiplier * base_channels)]
                channels = multiplier * base_channels
                if factor in ATTENTION_FACTORS:
                    layers.append(AttentionBlock(channels, heads))
                self.down.append(Level(*layers))
                skipped.append(channels)
            if level < len(MULTIPLIERS) - 1:
                self.down.append(Level(residual(channels, channels, down=True)))
                skipped.append(channels)
                factor *= 2
        self.middle = Level(
            residual(channels, channels),
            AttentionBlock(channels, heads),
            residual(channels, channels),
        )
        self.up = nn.ModuleList()
        for level, multiplier in reversed(list(enumerate(MULTIPLIERS))):
            for block in range(BLOCKS_PER_LEVEL + 1):
                layers = [residual(channels + skipped.pop(), multiplier * base_channels)]
                channels = multiplier * base_channels
                if factor in ATTENTION_FACTORS:
                    layers.append(AttentionBlock(channels, heads))
                if level and block == BLOCKS_PER_LEVEL:
                    layers.append(residual(channels, channels, up=True))
                    factor //= 2
                self.up.append(Level(*layers))
        self.out = nn.Sequential(
            nn.GroupNorm(GROUPS, channels), nn.SiLU(), nn.Conv2d(channels, 3, 3, padding=1)
        )

    def forward(self, image: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
        """Noise in a disturbed image.

        Args:
            image: shape (N, 3, height, width), sides multiples of 32.
            step: shape (N,) or, of all images, (1,), float: the diffusion step, from 0.

        Returns:
            Shape (N, 3, height, width).
        """
        time = self.time_embedding(step)
        skipped = []
        hidden = image
        for level in self.down:
            hidden = level(hidden, time)
            skipped.append(hidden)
        hidden = self.middle(hidden, time)
        for level in self.up:
            if self.in_place:
                # a level takes them out of the list: from then on nobody else holds them
                parts = [hidden, skipped.pop()]
                del hidden
                hidden = level(parts, time)
            else:  # as in the authors' code, which holds what it has joined while the level works
                hidden = torch.cat([hidden, skipped.pop()], dim=1)
                hidden = level(hidden, time)
        result: torch.Tensor = self.out(hidden)
        return result


class StepEncoding(nn.Module):
    """Sines and cosines of the diffusion step (Vaswani et al. 2017), frequencies 1 to 1/10000.

    Args:
        channels: of the encoding; even.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.frequencies = channels // 2
        self.dtype = torch.float32
        """Of the result: that of the layers behind it."""

    def _apply(
        self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True
    ) -> StepEncoding:
        # it has no weights that would tell to which type the network is brought
        self.dtype = fn(torch.empty(0, dtype=self.dtype)).dtype
        return cast("StepEncoding", super()._apply(fn, recurse))  # type: ignore[no-untyped-call]

    def forward(self, step: torch.Tensor) -> torch.Tensor:
        """Shape (n,) to (n, channels)."""
        positions = torch.arange(self.frequencies, device=step.device)
        scales = torch.exp(positions * (-math.log(10000) / self.frequencies))
        angles = torch.outer(step, scales)
        return torch.cat((angles.sin(), angles.cos()), dim=-1).to(self.dtype)


class Level(nn.Sequential):
    """Layers in a row, of which the residual blocks also see the time embedding."""

    def forward(  # type: ignore[override]
        self, given: torch.Tensor | list[torch.Tensor], time: torch.Tensor
    ) -> torch.Tensor:
        """Shape (N, C, h, w) to that of the last layer.

        Args:
            given: the tensor; or parts of its channels, which are taken out of the list.
            time: the embedding of the step.
        """
        first, *others = self
        hidden: torch.Tensor
        if isinstance(given, torch.Tensor):
            hidden = first(given, time) if isinstance(first, ResidualBlock) else first(given)
        else:
            hidden = cast("ResidualBlock", first)(given, time)
        for layer in others:
            hidden = layer(hidden, time) if isinstance(layer, ResidualBlock) else layer(hidden)
        return hidden


class ResidualBlock(nn.Module):
    """Two convolutions beside a skip connection; may double or halve the side.

    Args:
        inward: channels of the input.
        outward: channels of the output.
        time_channels: of the time embedding.
        dropout: before the second convolution.
        up: double the side.
        down: halve the side.
    """

    def __init__(
        self,
        inward: int,
        outward: int,
        time_channels: int,
        *,
        dropout: float,
        up: bool = False,
        down: bool = False,
    ) -> None:
        super().__init__()
        self.resizes = up or down
        self.in_layers = nn.Sequential(
            nn.GroupNorm(GROUPS, inward), nn.SiLU(), nn.Conv2d(inward, outward, 3, padding=1)
        )
        self.h_upd, self.x_upd = (_resize(up=up, down=down) for _ in range(2))
        self.embed_layers = nn.Sequential(nn.SiLU(), nn.Linear(time_channels, outward))
        self.out_layers = nn.Sequential(
            nn.GroupNorm(GROUPS, outward),
            nn.SiLU(),
            nn.Dropout(dropout),
            nn.Conv2d(outward, outward, 3, padding=1),
        )
        self.skip_connection = nn.Identity() if inward == outward else nn.Conv2d(inward, outward, 1)
        self.in_place = False
        self.factor = Fraction(2 if up else 1, 2 if down else 1)
        self.outward = outward

    def forward(self, given: torch.Tensor | list[torch.Tensor], time: torch.Tensor) -> torch.Tensor:
        """Shape (N, inward, h, w) to (N, outward, h', w'), sides doubled, halved or as given.

        Args:
            given: the tensor; or parts of its channels, which are taken out of the list.
            time: the embedding of the step.
        """
        parts = [given] if isinstance(given, torch.Tensor) else [*given]
        if not isinstance(given, torch.Tensor):
            given.clear()
        if self.in_place and self.factor >= 1 and self._output_bytes(parts[0]) > STRIPED_BYTES:
            return self._striped(parts, time)
        hidden = parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
        del given, parts
        norm, activation, convolution = self.in_layers
        inner = activation(norm(hidden))
        if self.resizes:
            inner = self.h_upd(inner)
            hidden = self.x_upd(hidden)
        inner = convolution(inner)
        shift = self.embed_layers(time)[..., None, None]
        inner = inner.add_(shift) if self.in_place else inner + shift
        inner = self.out_layers(inner)
        kept = self.skip_connection(hidden)
        joined: torch.Tensor = inner.add_(kept) if self.in_place else kept + inner
        return joined

    def _output_bytes(self, part: torch.Tensor) -> int:
        pixels = part[:, 0].numel() * self.factor**2
        return int(pixels * self.outward) * part.element_size()

    def _striped(self, parts: list[torch.Tensor], time: torch.Tensor) -> torch.Tensor:
        """Computes the same a few rows at a time, see ``strips``."""
        factor = int(self.factor)
        norm, activation, convolution = self.in_layers
        inner = convolved(
            parts,
            cast("nn.GroupNorm", norm),
            lambda piece: convolution(self.h_upd(activation(piece))),
            self.outward,
            factor=factor,
        )
        inner.add_(self.embed_layers(time)[..., None, None])
        norm_2, activation_2, _, convolution_2 = self.out_layers
        convolve_in_place(
            inner,
            cast("nn.GroupNorm", norm_2),
            lambda piece: convolution_2(activation_2(piece)),
        )
        add_skipped(
            inner, parts, lambda piece: self.skip_connection(self.x_upd(piece)), factor=factor
        )
        return inner


def _resize(*, up: bool, down: bool) -> nn.Module:
    if up:
        return nn.Upsample(scale_factor=2, mode="nearest")
    return nn.AvgPool2d(2, stride=2) if down else nn.Identity()


class AttentionBlock(nn.Module):
    """Attention among all positions of a map, beside a skip connection.

    Args:
        channels: of input and output.
        heads: among which the channels are divided.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(GROUPS, channels)
        self.to_qkv = nn.Conv1d(channels, 3 * channels, 1)
        self.attention: nn.Module = EagerAttention(heads)
        self.proj_out = nn.Conv1d(channels, channels, 1)
        self.in_place = False

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Shape (N, channels, h, w), as given."""
        flat = hidden.flatten(2)
        change = self.proj_out(self.attention(self.to_qkv(self.norm(flat))))
        joined: torch.Tensor = change.add_(flat) if self.in_place else flat + change
        return joined.reshape(hidden.shape)


class EagerAttention(nn.Module):
    """Attention as the reference computes it: the matrix of scores, its softmax, the product.

    Args:
        heads: among which the channels are divided.
    """

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.heads = heads

    def forward(self, qkv: torch.Tensor) -> torch.Tensor:
        """Shape (N, 3·C, n) to (N, C, n); per head, queries, keys and values follow each other."""
        query, key, value = split_heads(qkv, self.heads)
        scale = query.shape[1] ** -0.25
        weights = torch.einsum("bct,bcs->bts", query * scale, key * scale)
        weights = torch.softmax(weights, dim=-1)  # by the same name: the scores end here
        return torch.einsum("bts,bcs->bct", weights, value).reshape(len(qkv), -1, qkv.shape[-1])


class FusedAttention(nn.Module):
    """The same without a matrix of scores in memory (Dao et al. 2022, Rabe and Staats 2021).

    Args:
        heads: among which the channels are divided.
    """

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.heads = heads

    def forward(self, qkv: torch.Tensor) -> torch.Tensor:
        """Shape (N, 3·C, n) to (N, C, n), as ``EagerAttention``."""
        # the fused kernels want the channels of a position next to each other
        query, key, value = (
            part.transpose(1, 2).contiguous().unsqueeze(0) for part in split_heads(qkv, self.heads)
        )
        attended = functional.scaled_dot_product_attention(query, key, value)
        return attended.squeeze(0).transpose(1, 2).reshape(len(qkv), -1, qkv.shape[-1])


def split_heads(qkv: torch.Tensor, heads: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Queries, keys and values, each of shape (N · heads, C / heads, n)."""
    query, key, value = qkv.reshape(len(qkv) * heads, -1, qkv.shape[-1]).chunk(3, dim=1)
    return query, key, value


def optimize(unet: UNet) -> None:
    """Changes the network in place to fused attention, no dropout, and buffers used again.

    Tensors keep their names and values. For evaluation only.
    """
    unet.in_place = True
    for module in list(unet.modules()):
        if isinstance(module, ResidualBlock):
            module.in_place = True
            module.out_layers[2] = nn.Identity()
            for layers in (module.in_layers, module.out_layers):
                layers[1] = nn.SiLU(inplace=True)
        elif isinstance(module, AttentionBlock):
            module.in_place = True
            module.attention = FusedAttention(module.heads)
    unet.out[1] = nn.SiLU(inplace=True)
