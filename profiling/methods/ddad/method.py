"""DDAD-10 as it is measured, with its distance map in two ways with the same result.

Source of the distance of an image to its reconstruction: Mousakhan et al. 2023, section 3.3, with
the operations of arimousa/DDAD: cosine distance of 3 x 3 neighbourhood means in two stages of the
feature extractor, plus the mean absolute distance of the pixels, scaled to the features' largest;
smoothed with a Gaussian of σ = 4 px.

Of a batch, the authors' code takes both largest values over all images, so that the map of one
depends on the others, and draws noise for all at once. Here each image of a batch is scaled by its
own and has the noise that it has alone: its result is that of batch 1.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

from adscale.methods.ddad import SPEC
from adscale.methods.spec import check_implementation, check_resolution, check_settings
from adscale.resolution import Resolution

from ...annotation import Annotate
from ..base import Detection, Method, generator_for
from ..preparation import IMAGENET_MEAN, IMAGENET_STD, symmetric_tensor
from ..weights import draw_weights, load_weights
from ..wide_resnet import STAGES as ALL_STAGES
from ..wide_resnet import cut_behind, fold_batch_norms, stage_outputs, wide_resnet101
from .diffusion import ReferenceDenoising, ScheduledDenoising
from .unet import UNet, optimize

if TYPE_CHECKING:
    from PIL.Image import Image


STAGES = ("layer2", "layer3")
NEIGHBOURHOOD = 3
SIGMA_PX = 4
RADIUS_PX = 16

Features = Mapping[str, torch.Tensor]


class DistanceMap(nn.Module, ABC):
    """Anomaly map of an image and its reconstruction.

    Args:
        resolution: of the image.
        pixel_weight: v.
    """

    kernel: torch.Tensor
    """The Gaussian, shape (33,), sum 1."""

    def __init__(self, resolution: Resolution, *, pixel_weight: float) -> None:
        super().__init__()
        self.size = resolution.shape
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
            image: shape (N, 3, height, width).
            reconstruction: as ``image``.
            of_image: features by stage.
            of_reconstruction: as ``of_image``.

        Returns:
            Shape (N, 1, height, width).
        """

    def enlarge(self, distance: torch.Tensor) -> torch.Tensor:
        """Shape (N, 1, g, f) to (N, 1, height, width), bilinear, corners on corners."""
        return functional.interpolate(distance, size=self.size, mode="bilinear", align_corners=True)

    def smooth(self, distance: torch.Tensor) -> torch.Tensor:
        """Gaussian of 33 px, borders mirrored; shape (N, 1, height, width) as given."""
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
        features = torch.zeros(len(image), 1, *self.size).to(image.device)
        for stage in STAGES:
            similarity = functional.cosine_similarity(
                _unfolded_mean(of_image[stage]), _unfolded_mean(of_reconstruction[stage])
            )
            features += self.enlarge(torch.unsqueeze(1 - similarity, dim=1))
        scale = self.pixel_weight * (_largest(features) / _largest(pixels))
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
        joined = torch.zeros(len(image), 1, *self.size, device=image.device)
        for stage in STAGES:
            similarity = _cosine(_mean3(of_image[stage]), _mean3(of_reconstruction[stage]))
            joined.add_(self.enlarge(1 - similarity))
        pixels = (reconstruction - image).abs_().mean(dim=1, keepdim=True)
        joined.add_(pixels.mul_(self.pixel_weight * _largest(joined) / _largest(pixels)))
        return self.smooth(joined)


def _largest(maps: torch.Tensor) -> torch.Tensor:
    """Shape (N, 1, height, width) to (N, 1, 1, 1)."""
    return maps.amax(dim=(1, 2, 3), keepdim=True)


def _unfolded_mean(features: torch.Tensor) -> torch.Tensor:
    """3 x 3 mean with zeros at the border, by unfolding; shape (N, C, g, f) as given."""
    images, channels, rows, columns = features.shape
    unfolded = functional.unfold(features, NEIGHBOURHOOD, padding=NEIGHBOURHOOD // 2)
    windows = unfolded.reshape(images, channels, NEIGHBOURHOOD, NEIGHBOURHOOD, -1)
    means = windows.permute(0, 4, 1, 2, 3).mean(dim=(3, 4))
    return means.reshape(images, rows, columns, channels).permute(0, 3, 1, 2)


def _mean3(features: torch.Tensor) -> torch.Tensor:
    return functional.avg_pool2d(features, NEIGHBOURHOOD, stride=1, padding=NEIGHBOURHOOD // 2)


def _cosine(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Cosine similarity over channels; shape (N, C, g, f) to (N, 1, g, f)."""
    norms = (t.square().sum(dim=1, keepdim=True).sqrt_().clamp_(min=1e-8) for t in (first, second))
    product = (first * second).sum(dim=1, keepdim=True)
    for norm in norms:
        product.div_(norm)
    return product


SIZES: Mapping[str, Mapping[str, Any]] = {
    "base": {"base_channels": 64, "heads": 4, "dropout": 0.0},
    "S": {"base_channels": 32, "heads": 2, "dropout": 0.3},
}
LAST_STAGE = {"reference": "layer4", "optimized": STAGES[-1]}
"""The reference computes a stage that it then throws away."""


class ImagenetNormalisation(nn.Module):
    """Maps values of −1 to 1 to those that the feature extractor was trained on."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        for name, values in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD)):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Shape (N, 3, height, width), as given."""
        return ((image + 1) / 2 - self.mean) / self.std


class DDAD(Method):
    """U-Net in a conditioned denoising, feature extractor on image and reconstruction, distances.

    Args:
        settings: of the method, checked.
        resolution: of the images, both sides multiples of 32 px.
        implementation: ``reference`` or ``optimized``.
        seed: of the noise.
    """

    submodules = SPEC.submodules
    takes_batches = True
    score_is_of_map = True
    counted_once = ("unet", *(f"feature_extractor.{stage}" for stage in ALL_STAGES))

    def __init__(
        self,
        settings: Mapping[str, Any],
        *,
        resolution: Resolution,
        implementation: str,
        seed: int,
    ) -> None:
        super().__init__()
        self.resolution = resolution
        self.last_stage = LAST_STAGE[implementation]
        self.seed = seed
        self.unet = UNet(**SIZES[settings["size"]])
        self.feature_extractor = wide_resnet101()
        optimized = implementation == "optimized"
        self.denoise = (ScheduledDenoising if optimized else ReferenceDenoising)(
            self.unet,
            start_step=settings["start_step"],
            skip=settings["skip"],
            condition_weight=settings["condition_weight"],
        )
        self.distance_map = (PooledDistanceMap if optimized else ReferenceDistanceMap)(
            resolution, pixel_weight=settings["pixel_weight"]
        )
        self.normalise = ImagenetNormalisation()

    @classmethod
    def build(
        cls, settings: Mapping[str, Any], *, resolution: Resolution, implementation: str, seed: int
    ) -> DDAD:
        """Builds the method in evaluation mode on the CPU; see ``Method.build``.

        Raises:
            ConfigError: a setting, or the implementation, is unknown.
            WeightsError: the checkpoint cannot be read or does not fit the architecture.
            UnsupportedResolutionError: a side is no multiple of 32 px.
        """
        settings = check_settings(SPEC, settings)
        check_implementation(SPEC, implementation)
        check_resolution(SPEC, settings, resolution)
        method = cls(settings, resolution=resolution, implementation=implementation, seed=seed)
        if settings["weights"] is None:
            draw_weights(method, seed=seed)
        else:
            load_weights(method, Path(settings["weights"]))
        method.requires_grad_(requires_grad=False).eval()
        if implementation == "optimized":
            optimize(method.unet)
            fold_batch_norms(method.feature_extractor)
            cut_behind(method.feature_extractor, method.last_stage)
        return method

    def prepare(self, image: Image) -> torch.Tensor:
        """Fits to the resolution (bilinear, antialiased) and scales to −1 … 1.

        Returns:
            Shape (1, 3, height, width), float32, contiguous, on the CPU.
        """
        return symmetric_tensor(image, self.resolution)

    def infer(self, image: torch.Tensor, annotate: Annotate) -> Detection:
        """Runs one inference; the noise is the same for every image.

        Args:
            image: shape (N, 3, height, width), float32.
            annotate: opens the ranges denoising_unet (with a range step for each call of the
                U-Net), feature_extraction and anomaly_map.
        """
        with annotate("denoising_unet"):
            generators = [generator_for(image, seed=self.seed) for _ in range(len(image))]

            def noise(like: torch.Tensor) -> torch.Tensor:
                if len(like) == 1:
                    return torch.randn(like.shape, generator=generators[0], device=like.device)
                drawn = torch.empty_like(like)
                for one, generator in zip(drawn, generators, strict=True):
                    one.normal_(generator=generator)
                return drawn

            reconstruction = self.denoise(image, noise, annotate)
        with annotate("feature_extraction"):
            of_image = self.features(image)
            of_reconstruction = self.features(reconstruction)
        with annotate("anomaly_map"):
            anomaly_map = self.distance_map(image, reconstruction, of_image, of_reconstruction)
            # giving large blocks back to the system takes time, which is to be in a range
            del reconstruction, of_image, of_reconstruction
            return Detection(anomaly_map=anomaly_map, score=anomaly_map.amax(dim=(1, 2, 3)))

    def features(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        """The stages of the feature extractor that are compared, by name."""
        outputs = stage_outputs(self.feature_extractor, self.normalise(image), self.last_stage)
        return {stage: outputs[stage] for stage in STAGES}
