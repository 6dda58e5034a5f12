"""Distance of an image to its reconstruction, in two ways with the same result.

Source: Mousakhan et al. 2023, section 3.3, with the operations of arimousa/DDAD: cosine distance of
3 x 3 neighbourhood means in two stages of the feature extractor, plus the mean absolute distance of
the pixels, scaled to the features' largest; smoothed with a Gaussian of σ = 4 px.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional

STAGES = ("layer2", "layer3")
NEIGHBOURHOOD = 3
SIGMA_PX = 4
RADIUS_PX = 16

Features = Mapping[str, torch.Tensor]


class DistanceMap(nn.Module, ABC):
    """Anomaly map of an image and its reconstruction.

    Args:
        resolution_px: side length of the image.
        pixel_weight: v.
    """

    kernel: torch.Tensor
    """The Gaussian, shape (33,), sum 1."""

    def __init__(self, resolution_px: int, *, pixel_weight: float) -> None:
        super().__init__()
        self.side_px = resolution_px
        self.pixel_weight = pixel_weight
        offsets_px = torch.arange(-RADIUS_PX, RADIUS_PX + 1, dtype=torch.float32)
        kernel = torch.exp(-(offsets_px**2) / (2 * SIGMA_PX**2))
        self.register_buffer("kernel", kernel / kernel.sum(), persistent=False)

    @abstractmethod
    def forward(
        self,
        image: torch.Tensor,
        reconstruction: torch.Tensor,
        of_image: Features,
        of_reconstruction: Features,
    ) -> torch.Tensor:
        """Compares both.

        Args:
            image: shape (1, 3, s, s).
            reconstruction: as ``image``.
            of_image: features by stage.
            of_reconstruction: as ``of_image``.

        Returns:
            Shape (1, 1, s, s).
        """

    def enlarge(self, distance: torch.Tensor) -> torch.Tensor:
        """Shape (1, 1, h, h) to (1, 1, s, s), bilinear, corners on corners."""
        size = (self.side_px, self.side_px)
        return functional.interpolate(distance, size=size, mode="bilinear", align_corners=True)

    def smooth(self, distance: torch.Tensor) -> torch.Tensor:
        """Gaussian of 33 px, borders mirrored; shape (1, 1, s, s) as given."""
        padded = functional.pad(distance, (RADIUS_PX,) * 4, mode="reflect")
        rows = functional.conv2d(padded, self.kernel.view(1, 1, 1, -1))
        return functional.conv2d(rows, self.kernel.view(1, 1, -1, 1))


class ReferenceDistanceMap(DistanceMap):
    """The operations of the reference: every neighbourhood unfolded, then averaged."""

    def forward(
        self,
        image: torch.Tensor,
        reconstruction: torch.Tensor,
        of_image: Features,
        of_reconstruction: Features,
    ) -> torch.Tensor:
        """See ``DistanceMap.forward``."""
        pixels = torch.mean(torch.abs(reconstruction - image), dim=1).unsqueeze(1)
        features = torch.zeros(1, 1, self.side_px, self.side_px).to(image.device)
        for stage in STAGES:
            similarity = functional.cosine_similarity(
                _unfolded_mean(of_image[stage]), _unfolded_mean(of_reconstruction[stage])
            )
            features += self.enlarge(torch.unsqueeze(1 - similarity, dim=1))
        scale = self.pixel_weight * (torch.max(features) / torch.max(pixels))
        smoothed = self.smooth(0 + (features + scale * pixels))
        return torch.sum(smoothed, dim=1).unsqueeze(1)


class PooledDistanceMap(DistanceMap):
    """Neighbourhoods averaged by a pooling, cosine distances without copies of the features."""

    def forward(
        self,
        image: torch.Tensor,
        reconstruction: torch.Tensor,
        of_image: Features,
        of_reconstruction: Features,
    ) -> torch.Tensor:
        """See ``DistanceMap.forward``."""
        joined = torch.zeros(1, 1, self.side_px, self.side_px, device=image.device)
        for stage in STAGES:
            similarity = _cosine(_mean3(of_image[stage]), _mean3(of_reconstruction[stage]))
            joined.add_(self.enlarge(1 - similarity))
        pixels = (reconstruction - image).abs_().mean(dim=1, keepdim=True)
        joined.add_(pixels.mul_(self.pixel_weight * joined.amax() / pixels.amax()))
        return self.smooth(joined)


def _unfolded_mean(features: torch.Tensor) -> torch.Tensor:
    """3 x 3 mean with zeros at the border, by unfolding; shape (1, C, h, h) as given."""
    channels = features.shape[1]
    unfolded = functional.unfold(features, NEIGHBOURHOOD, padding=NEIGHBOURHOOD // 2)
    windows = unfolded.reshape(1, channels, NEIGHBOURHOOD, NEIGHBOURHOOD, -1)
    means = windows.permute(0, 4, 1, 2, 3).mean(dim=(3, 4))
    side = math.isqrt(means.shape[1])
    return means.reshape(1, side, side, channels).permute(0, 3, 1, 2)


def _mean3(features: torch.Tensor) -> torch.Tensor:
    return functional.avg_pool2d(features, NEIGHBOURHOOD, stride=1, padding=NEIGHBOURHOOD // 2)


def _cosine(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Cosine similarity over channels; shape (1, C, h, h) to (1, 1, h, h)."""
    norms = (t.square().sum(dim=1, keepdim=True).sqrt_().clamp_(min=1e-8) for t in (first, second))
    product = (first * second).sum(dim=1, keepdim=True)
    for norm in norms:
        product.div_(norm)
    return product
