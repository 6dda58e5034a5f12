"""Classes of methods as careless users write them, by the names of targets."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from examples.blur_distance import BlurDistance
from profiling.methods.base import Method


class TextForTuple(BlurDistance):
    submodules = "blur"  # type: ignore[assignment]


class Twice(BlurDistance):
    submodules = ("blur", "blur")


class Numbers(BlurDistance):
    submodules = (1, 2)  # type: ignore[assignment]


class ImplementationText(BlurDistance):
    implementations = "reference"  # type: ignore[assignment]


class PrecisionText(BlurDistance):
    precisions = "fp32"  # type: ignore[assignment]


class Unfinished(Method):
    submodules = ("blur",)


class SettingsOfADict(BlurDistance):
    settings = dict


class SettingsOfAnyClass(BlurDistance):
    settings = type("Plain", (), {})


class ProblemAsText(BlurDistance):
    @classmethod
    def resolution_problem(cls, settings: Any, resolution: Any) -> Any:
        return "only multiples of 32"


class BuildsNothing(BlurDistance):
    @classmethod
    def build(cls, *_: Any, **_settings: Any) -> Any:
        return None


class Gradients(nn.Module):
    """Explains its output by gradients."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        with torch.enable_grad():
            asked = image.clone().requires_grad_(requires_grad=True)
            return torch.autograd.grad(asked.square().sum(), asked)[0]
