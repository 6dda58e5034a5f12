"""What a method must offer to be measured."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from profiling.annotation import Annotate

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class Detection:
    """What one inference yields."""

    anomaly_map: torch.Tensor
    """Shape (1, 1, s, s), float32, on the device of the inference."""
    score: torch.Tensor
    """Scalar: how anomalous the image is as a whole."""


class Method(nn.Module, ABC):
    """One anomaly-detection method, built for one resolution, ready for inference.

    It is an ``nn.Module``: what has to live on the device (networks, statistics, a memory bank)
    are its children and buffers, and ``.to(device)`` moves them.
    """

    @classmethod
    @abstractmethod
    def build(
        cls, settings: Mapping[str, Any], *, resolution_px: int, implementation: str, seed: int
    ) -> Method:
        """Builds the method in evaluation mode on the CPU.

        Weights come from ``settings["weights"]`` or, where that is None, from ``seed``.

        Raises:
            WeightsError: the checkpoint cannot be read or does not fit the architecture.
            UnsupportedResolutionError: the architecture does not run at this resolution.
        """

    @abstractmethod
    def prepare(self, image: Image) -> torch.Tensor:
        """Resizes and normalises a decoded image as the method prescribes.

        Returns:
            Shape (1, 3, s, s), float32, on the CPU.
        """

    @abstractmethod
    def infer(self, image: torch.Tensor, annotate: Annotate) -> Detection:
        """Runs one inference, each submodule in a range of its name.

        Args:
            image: what ``prepare`` returned, on the method's device.
            annotate: opens a range. Every operation happens inside exactly one submodule's range.
        """
