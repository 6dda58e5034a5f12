"""A small method of a user's that names its networks, so that engines can take them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from PIL import Image
from torch import nn

from adscale.methods.spec import Part
from adscale.resolution import Resolution
from profiling.annotation import Annotate
from profiling.methods.base import Detection, Method
from profiling.methods.preparation import imagenet_tensor


class Parted(Method):
    """Distance of two stages of a network to their means, and of another's answer."""

    submodules = ("features", "answer", "distance")
    implementations = ("reference", "optimized")
    takes_batches = True
    parts: ClassVar[Mapping[str, Part]] = {
        "features": Part(calls=("features",), modules=("network",)),
        "answer": Part(calls=("answer",), modules=("answer",)),
    }

    def __init__(self, resolution: Resolution) -> None:
        super().__init__()
        self.resolution = resolution
        self.network = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 16, 3)
        )
        self.answer = nn.Sequential(nn.Conv2d(3, 4, 5, padding=2), nn.GroupNorm(2, 4), nn.SiLU())

    @classmethod
    def build(
        cls, settings: Mapping[str, Any], *, resolution: Resolution, implementation: str, seed: int
    ) -> Parted:
        del settings, implementation
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            method = cls(resolution)
        return method.requires_grad_(requires_grad=False).eval()

    def prepare(self, image: Image.Image) -> torch.Tensor:
        return imagenet_tensor(image, self.resolution)

    def features(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        first = self.network[2](self.network[1](self.network[0](image)))
        return {"first": first, "second": self.network[3](first)}

    def infer(self, image: torch.Tensor, annotate: Annotate) -> Detection:
        with annotate("features"):
            features = self.features(image)
        with annotate("answer"):
            answer = self.answer(image)
        with annotate("distance"):
            second = nn.functional.pad(features["second"], (1, 1, 1, 1))
            found = features["first"].square().mean(1, keepdim=True)
            found = found + second.square().mean(1, keepdim=True)
            found = found + answer.abs().mean(1, keepdim=True)
            return Detection(found, found.amax(dim=(1, 2, 3)))


class Deeper(Parted):
    """The same with an answer that has a hidden layer, which may lose channels."""

    def __init__(self, resolution: Resolution) -> None:
        super().__init__(resolution)
        self.answer = nn.Sequential(
            nn.Conv2d(3, 8, 5, padding=2), nn.GroupNorm(2, 8), nn.SiLU(),
            nn.Conv2d(8, 4, 3, padding=1),
        )  # fmt: skip
