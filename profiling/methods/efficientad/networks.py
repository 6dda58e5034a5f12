"""The three networks of EfficientAD.

Sources: Batzner, Heckler, König, "EfficientAD" (WACV 2024), tables 5 to 7; the public
implementation nelson1425/EfficientAD, whose layer indices are kept so that its checkpoints fit;
anomalib 2.7 for a decoder that follows the image size.

The networks come with uninitialised weights and do not touch torch's global random state; the
method fills them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import nn

from adscale.resolution import Resolution

FEATURE_CHANNELS = 384
"""Channels of the teacher and of the autoencoder; the student has two heads of them."""

LATENT_CHANNELS = 64


class Conv2d(nn.Conv2d):
    """A convolution whose weights are left uninitialised."""

    def reset_parameters(self) -> None:
        """Draws nothing: it would cost time, and numbers of torch's global random state."""


def _conv(
    in_channels: int, out_channels: int, kernel: int, *, stride: int = 1, padding: int = 0
) -> nn.Module:
    return Conv2d(in_channels, out_channels, kernel, stride=stride, padding=padding)


def _relu() -> nn.Module:
    return nn.ReLU(inplace=True)


def pdn_small(out_channels: int, *, padding: bool) -> nn.Sequential:
    """Patch description network, small: 9 modules.

    Args:
        out_channels: 384 for a teacher, 768 for a student.
        padding: pad convolutions and pools, so that the output has sides ceil(s/4).

    Returns:
        (N, 3, height, width) to (N, out_channels, p, q), each side ceil(s/4), less 8 without
        padding.
    """
    pad = int(padding)
    return nn.Sequential(
        _conv(3, 128, 4, padding=3 * pad),
        _relu(),
        nn.AvgPool2d(2, stride=2, padding=pad),
        _conv(128, 256, 4, padding=3 * pad),
        _relu(),
        nn.AvgPool2d(2, stride=2, padding=pad),
        _conv(256, 256, 3, padding=pad),
        _relu(),
        _conv(256, out_channels, 4),
    )


def pdn_medium(out_channels: int, *, padding: bool) -> nn.Sequential:
    """Patch description network, medium: 13 modules.

    Args:
        out_channels: 384 for a teacher, 768 for a student.
        padding: pad convolutions and pools, so that the output has sides ceil(s/4).

    Returns:
        (N, 3, height, width) to (N, out_channels, p, q), each side ceil(s/4), less 8 without
        padding.
    """
    pad = int(padding)
    return nn.Sequential(
        _conv(3, 256, 4, padding=3 * pad),
        _relu(),
        nn.AvgPool2d(2, stride=2, padding=pad),
        _conv(256, 512, 4, padding=3 * pad),
        _relu(),
        nn.AvgPool2d(2, stride=2, padding=pad),
        _conv(512, 512, 1),
        _relu(),
        _conv(512, 512, 3, padding=pad),
        _relu(),
        _conv(512, out_channels, 4),
        _relu(),
        _conv(out_channels, out_channels, 1),
    )


STRIP_BYTES = 256 * 2**20
"""Of what the first convolution puts out, at once: all of it in images of up to some 512 px."""

_HEAD = 6
"""Layers of the first two convolutions, each with its activation and pooling."""


class StripedNetwork(nn.Sequential):
    """A patch description network without padding, whose first layers run in strips of rows.

    What the first convolution puts out is by far the largest tensor. Each strip goes through both
    convolutions and poolings before the next one begins, with the rows that their kernels need
    besides: six rows of the first convolution are computed twice. The values are the same.
    """

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Shape (N, 3, height, width) to (N, C, p, q), as the network itself."""
        hidden = self._head(image)
        for index in range(_HEAD, len(self)):
            hidden = self[index](hidden)
        return hidden

    def _head(self, image: torch.Tensor) -> torch.Tensor:
        layers = [self[index] for index in range(_HEAD)]
        channels = int(cast("nn.Conv2d", layers[0]).out_channels)
        whole_bytes = channels * image[:, 0].numel() * image.element_size()
        strips = math.ceil(whole_bytes / STRIP_BYTES)
        # 4 x 4 kernels without padding take three rows, and poolings halve
        rows = ((image.shape[2] - 3) // 2 - 3) // 2
        step = math.ceil(rows / strips)
        joined: torch.Tensor | None = None
        for first in range(0, rows, step):
            last = min(first + step, rows)
            strip = image[:, :, 4 * first : 4 * last + 9]
            if strips == 1:
                strip = image
            for layer in layers:
                strip = layer(strip)
            if strips == 1:
                return strip
            if joined is None:
                size = (*strip.shape[:2], rows, strip.shape[3])
                joined = torch.empty_like(strip[:, :, :1].expand(size))
            joined[:, :, first:last] = strip
            del strip
        assert joined is not None
        return joined


def map_side_px(side_px: int, *, padding: bool) -> int:
    """A side of the feature maps, and of the anomaly map before upsampling, in px.

    Args:
        side_px: the same side of the image.
        padding: whether the patch description networks pad.
    """
    return math.ceil(side_px / 4) - (0 if padding else 8)


Size = tuple[int, int]
"""Height and width of a map in px."""

FIXED_DECODER_SIZES: tuple[Size, ...] = tuple((side, side) for side in (3, 8, 15, 32, 63, 127, 56))
"""The sizes to which the decoder of the reference resizes, whatever the image's."""


def adaptive_decoder_sizes(resolution: Resolution, *, padding: bool) -> tuple[Size, ...]:
    """The seven sizes to which the decoder resizes when it follows the image size.

    At 256 px without padding they are those of the fixed form. Height and width follow those of the
    image each by itself, as in anomalib 2.7.

    Args:
        resolution: of the image.
        padding: whether the patch description networks pad.
    """
    down, across = (_decoder_sides_px(side_px, padding=padding) for side_px in resolution.shape)
    return tuple(zip(down, across, strict=True))


def _decoder_sides_px(side_px: int, *, padding: bool) -> tuple[int, ...]:
    return (
        side_px // 64 - 1,
        side_px // 32,
        side_px // 16 - 1,
        side_px // 8,
        side_px // 4 - 1,
        side_px // 2 - 1,
        map_side_px(side_px, padding=padding),
    )


def _encoder() -> list[nn.Module]:
    layers: list[nn.Module] = []
    for in_channels, out_channels in ((3, 32), (32, 32), (32, 64), (64, 64), (64, 64)):
        layers += [_conv(in_channels, out_channels, 4, stride=2, padding=1), _relu()]
    return [*layers, _conv(LATENT_CHANNELS, LATENT_CHANNELS, 8)]


def autoencoder(decoder_sizes: Sequence[Size]) -> nn.Sequential:
    """The autoencoder: 39 modules (14 Conv2d, 12 ReLU, 7 Upsample, 6 Dropout).

    Args:
        decoder_sizes: the sizes to which the seven Upsample modules resize; the last is that of
            the output.

    Returns:
        (N, 3, height, width), each of at least 256 px, to (N, 384, p, q), the last of the sizes.
    """
    *inner_sizes, output_size = decoder_sizes
    layers = _encoder()
    for size in inner_sizes:
        layers += [
            nn.Upsample(size=size, mode="bilinear"),
            _conv(LATENT_CHANNELS, LATENT_CHANNELS, 4, padding=2),
            _relu(),
            nn.Dropout(0.2),
        ]
    return nn.Sequential(
        *layers,
        nn.Upsample(size=output_size, mode="bilinear"),
        _conv(LATENT_CHANNELS, LATENT_CHANNELS, 3, padding=1),
        _relu(),
        _conv(LATENT_CHANNELS, FEATURE_CHANNELS, 3, padding=1),
    )
