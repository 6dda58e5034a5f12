"""EfficientAD as it is measured."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

from adscale.errors import UnsupportedResolutionError, WeightsError
from adscale.methods.checks import check_countable, check_implementation, check_settings
from adscale.methods.efficientad import SPEC

from ...annotation import Annotate
from ..base import Detection, Method
from ..preparation import imagenet_tensor
from ..weights import draw_weights, load_weights
from .networks import (
    FEATURE_CHANNELS,
    FIXED_DECODER_SIDES_PX,
    adaptive_decoder_sides_px,
    autoencoder,
    pdn_medium,
    pdn_small,
)
from .statistics import FoldedQuantiles, MapQuantiles, TeacherStatistics, fold_statistics

if TYPE_CHECKING:
    from PIL.Image import Image

PDN = {"S": pdn_small, "M": pdn_medium}

MAP_BORDER_PX = 4
"""What the unpadded networks cut off on every side of the map."""


class EfficientAD(Method):
    """Teacher, student and autoencoder with the operations of nelson1425/EfficientAD.

    Args:
        settings: of the method, checked.
        resolution_px: side length of the images, at least 256.
    """

    submodules = SPEC.submodules
    teacher_statistics: nn.Module
    map_quantiles: nn.Module

    def __init__(self, settings: Mapping[str, Any], *, resolution_px: int) -> None:
        super().__init__()
        self.resolution_px = resolution_px
        self.padding: bool = settings["padding"]
        self.optimized = False
        network = PDN[settings["size"]]
        self.teacher = network(FEATURE_CHANNELS, padding=self.padding)
        self.student = network(2 * FEATURE_CHANNELS, padding=self.padding)
        self.autoencoder = autoencoder(
            FIXED_DECODER_SIDES_PX
            if settings["autoencoder"] == "fixed"
            else adaptive_decoder_sides_px(resolution_px, padding=self.padding)
        )
        self.teacher_statistics = TeacherStatistics(FEATURE_CHANNELS)
        self.map_quantiles = MapQuantiles()

    @classmethod
    def build(
        cls, settings: Mapping[str, Any], *, resolution_px: int, implementation: str, seed: int
    ) -> EfficientAD:
        """Builds the method in evaluation mode on the CPU; see ``Method.build``.

        Raises:
            ConfigError: a setting, or the implementation, is unknown.
            WeightsError: the checkpoint cannot be read or does not fit the architecture.
            UnsupportedResolutionError: the resolution is below 256 px.
        """
        settings = check_settings(SPEC, settings)
        check_implementation(SPEC, implementation)
        check_countable(SPEC, settings, resolution_px)
        method = cls(settings, resolution_px=resolution_px)
        if settings["weights"] is None:
            draw_weights(method, seed=seed)
        else:
            method._load(Path(settings["weights"]))
        method.requires_grad_(requires_grad=False).eval()
        if implementation == "optimized":
            method._optimize()
        return method

    def _optimize(self) -> None:
        """Puts the normalisations into what stands before them, and takes the dropout out."""
        statistics, quantiles = self.teacher_statistics, self.map_quantiles
        assert isinstance(statistics, TeacherStatistics)
        assert isinstance(quantiles, MapQuantiles)
        fold_statistics(self.teacher, statistics)
        self.teacher_statistics = nn.Identity()
        self.map_quantiles = FoldedQuantiles(quantiles)
        for index, layer in enumerate(self.autoencoder):
            if isinstance(layer, nn.Dropout):
                self.autoencoder[index] = nn.Identity()
        self.optimized = True

    def _load(self, file: Path) -> None:
        load_weights(self, file, optional=("teacher_statistics", "map_quantiles"))
        for group in ("teacher_statistics", "map_quantiles"):
            problem = getattr(self, group).problem()
            if problem is not None:
                name, reason = problem
                raise WeightsError(f"{file}: {group}.{name}", reason, "compute the statistic anew")

    def prepare(self, image: Image) -> torch.Tensor:
        """Resizes to s×s (bilinear, antialiased) and normalises with ImageNet's statistics.

        Returns:
            Shape (1, 3, s, s), float32, contiguous, on the CPU.
        """
        return imagenet_tensor(image, self.resolution_px)

    def infer(self, image: torch.Tensor, annotate: Annotate) -> Detection:
        """Runs one inference: algorithm 2 of Batzner et al. 2024.

        Args:
            image: shape (1, 3, s, s), float32.
            annotate: opens the ranges teacher, student, autoencoder and anomaly_map.

        Raises:
            ValueError: the image has another shape than the method was built for.
            UnsupportedResolutionError: the fixed autoencoder does not fit the student.
        """
        expected = (1, 3, self.resolution_px, self.resolution_px)
        if image.shape != expected:
            raise ValueError(f"image of shape {tuple(image.shape)}, built for {expected}")
        with annotate("teacher"):
            teacher = self.teacher_statistics(self.teacher(image))
        with annotate("student"):
            student = self.student(image)
        with annotate("autoencoder"):
            reconstruction = self.autoencoder(image)
        with annotate("anomaly_map"):
            detection = self._detect(teacher, student, reconstruction)
            # giving large blocks back to the system takes time, which is to be in a range
            del teacher, student, reconstruction
        return detection

    def _detect(
        self, teacher: torch.Tensor, student: torch.Tensor, reconstruction: torch.Tensor
    ) -> Detection:
        if reconstruction.shape[-1] != teacher.shape[-1]:
            raise UnsupportedResolutionError(
                "autoencoder",
                f"its map is {reconstruction.shape[-1]} px wide, the student's "
                f"{teacher.shape[-1]} px",
                "set `autoencoder: adaptive`",
            )
        of_teacher, of_autoencoder = student[:, :FEATURE_CHANNELS], student[:, FEATURE_CHANNELS:]
        distance = distance_in_place if self.optimized else distance_of_maps
        joined = self.map_quantiles(
            distance(teacher, of_teacher), distance(reconstruction, of_autoencoder)
        )
        if not self.padding:
            joined = functional.pad(joined, (MAP_BORDER_PX,) * 4)
        anomaly_map = functional.interpolate(
            joined, size=(self.resolution_px, self.resolution_px), mode="bilinear"
        )
        return Detection(anomaly_map=anomaly_map, score=anomaly_map.amax())


def distance_of_maps(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Mean squared difference over channels, shape (1, C, q, q) to (1, 1, q, q)."""
    return torch.mean((first - second) ** 2, dim=1, keepdim=True)


def distance_in_place(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """As ``distance_of_maps``, with one buffer instead of two; the first map is lost."""
    return first.sub_(second).square_().mean(dim=1, keepdim=True)
