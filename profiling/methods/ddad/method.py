"""DDAD-10 as it is measured."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from adscale.methods.checks import check_implementation, check_resolution, check_settings
from adscale.methods.ddad import SPEC

from ...annotation import Annotate
from ..base import Detection, Method
from ..host import generator_for
from ..preparation import IMAGENET_MEAN, IMAGENET_STD, symmetric_tensor
from ..weights import draw_weights, load_weights
from ..wide_resnet import STAGES as ALL_STAGES
from ..wide_resnet import cut_behind, fold_batch_norms, stage_outputs, wide_resnet101
from .diffusion import ReferenceDenoising, ScheduledDenoising
from .maps import STAGES, PooledDistanceMap, ReferenceDistanceMap
from .unet import UNet, optimize

if TYPE_CHECKING:
    from PIL.Image import Image

SIZES: Mapping[str, Mapping[str, Any]] = {
    "base": {"base_channels": 64, "heads": 4, "dropout": 0.0},
    "S": {"base_channels": 32, "heads": 2, "dropout": 0.3},
}
LAST_STAGE = {"reference": "layer4", "optimized": STAGES[-1]}
"""The reference computes a stage that it then throws away."""


class ImagenetNormalisation(nn.Module):
    """From values of −1 to 1 to those that the feature extractor was trained on."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        for name, values in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD)):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Shape (1, 3, s, s), as given."""
        return ((image + 1) / 2 - self.mean) / self.std


class DDAD(Method):
    """U-Net in a conditioned denoising, feature extractor on image and reconstruction, distances.

    Args:
        settings: of the method, checked.
        resolution_px: side length of the images, a multiple of 32.
        implementation: ``reference`` or ``optimized``.
        seed: of the noise.
    """

    submodules = SPEC.submodules
    counted_once = ("unet", *(f"feature_extractor.{stage}" for stage in ALL_STAGES))

    def __init__(
        self, settings: Mapping[str, Any], *, resolution_px: int, implementation: str, seed: int
    ) -> None:
        super().__init__()
        self.resolution_px = resolution_px
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
            resolution_px, pixel_weight=settings["pixel_weight"]
        )
        self.normalise = ImagenetNormalisation()

    @classmethod
    def build(
        cls, settings: Mapping[str, Any], *, resolution_px: int, implementation: str, seed: int
    ) -> DDAD:
        """Builds the method in evaluation mode on the CPU; see ``Method.build``.

        Raises:
            ConfigError: a setting, or the implementation, is unknown.
            WeightsError: the checkpoint cannot be read or does not fit the architecture.
            UnsupportedResolutionError: the resolution is no multiple of 32 px.
        """
        settings = check_settings(SPEC, settings)
        check_implementation(SPEC, implementation)
        check_resolution(SPEC, settings, resolution_px)
        method = cls(
            settings, resolution_px=resolution_px, implementation=implementation, seed=seed
        )
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
        """Resizes to s×s (bilinear, antialiased) and scales to −1 … 1.

        Returns:
            Shape (1, 3, s, s), float32, contiguous, on the CPU.
        """
        return symmetric_tensor(image, self.resolution_px)

    def infer(self, image: torch.Tensor, annotate: Annotate) -> Detection:
        """Runs one inference; the noise is the same for every image.

        Args:
            image: shape (1, 3, s, s), float32.
            annotate: opens the ranges denoising_unet (with a range step for each call of the
                U-Net), feature_extraction and anomaly_map.
        """
        with annotate("denoising_unet"):
            generator = generator_for(image, seed=self.seed)

            def noise(like: torch.Tensor) -> torch.Tensor:
                return torch.randn(like.shape, generator=generator, device=like.device)

            reconstruction = self.denoise(image, noise, annotate)
        with annotate("feature_extraction"):
            of_image = self._features(image)
            of_reconstruction = self._features(reconstruction)
        with annotate("anomaly_map"):
            anomaly_map = self.distance_map(image, reconstruction, of_image, of_reconstruction)
            # giving large blocks back to the system takes time, which is to be in a range
            del reconstruction, of_image, of_reconstruction
            return Detection(anomaly_map=anomaly_map, score=anomaly_map.amax())

    def _features(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        """The stages of the feature extractor that are compared, by name."""
        outputs = stage_outputs(self.feature_extractor, self.normalise(image), self.last_stage)
        return {stage: outputs[stage] for stage in STAGES}
