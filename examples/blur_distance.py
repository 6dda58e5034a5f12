"""A method of one's own: how far is each pixel from its blurred surroundings?

Not a good detector; it shows all that a method needs. `config.yaml` beside this file runs it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from PIL.Image import Image
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch.nn import functional

from adscale.models import CLOSED, Positive
from adscale.resolution import Resolution
from profiling.annotation import Annotate
from profiling.methods.base import Detection, Method
from profiling.methods.preparation import imagenet_tensor


@dataclass(frozen=True, config=CLOSED)
class Settings:
    """What a user may set; another key, or another value, is refused."""

    radius_px: Positive = Field(default=8, description="Radius of the square around a pixel.")


class BlurDistance(Method):
    """Distance of every pixel to the mean around it.

    Args:
        resolution: of the images.
        radius_px: of the square around a pixel.
    """

    # the ranges that `infer` opens, in their order: every operation is in exactly one
    submodules = ("blur", "distance")
    settings = Settings
    takes_batches = True  # else `variants` with batches are refused

    def __init__(self, resolution: Resolution, radius_px: int) -> None:
        super().__init__()
        self.resolution = resolution
        self.radius_px = radius_px

    @classmethod
    def build(
        cls, settings: Mapping[str, Any], *, resolution: Resolution, implementation: str, seed: int
    ) -> BlurDistance:
        """Builds the method from its entry in the configuration."""
        del implementation, seed  # there is one, and no weights to draw
        return cls(resolution, settings["radius_px"])

    def prepare(self, image: Image) -> torch.Tensor:
        """From a photograph to what `infer` takes, on the CPU; outside of what is measured."""
        return imagenet_tensor(image, self.resolution)

    def infer(self, image: torch.Tensor, annotate: Annotate) -> Detection:
        """One inference, of shape (N, 3, height, width)."""
        with annotate("blur"):
            size = 2 * self.radius_px + 1
            blurred = functional.avg_pool2d(
                image, size, stride=1, padding=self.radius_px, count_include_pad=False
            )
        with annotate("distance"):
            anomaly_map = (image - blurred).square().mean(dim=1, keepdim=True)
            return Detection(anomaly_map=anomaly_map, score=anomaly_map.amax(dim=(1, 2, 3)))
