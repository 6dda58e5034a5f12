"""Classes of methods as careless users write them, by the names of targets."""

from __future__ import annotations

from typing import Any

import torch

from examples.blur_distance import BlurDistance
from profiling.methods.base import Detection, Method


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


class Unnamed(BlurDistance):
    """Opens a range that is none of its submodules, with most of the work in it."""

    def infer(self, image: torch.Tensor, annotate: Any) -> Detection:
        with annotate("unnamed"):
            for _ in range(20):
                image = image.cos()
        return super().infer(image, annotate)
