"""EfficientAD as it is measured, and what it remembers of its training set besides the networks.

The statistics are buffers of modules that are called where they are used, so that they are
counted with the submodule that needs them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

from adscale.errors import UnsupportedResolutionError, WeightsError
from adscale.methods.efficientad import SPEC
from adscale.methods.spec import check_countable, check_implementation, check_settings
from adscale.resolution import Resolution

from ...annotation import Annotate
from ..base import Detection, Method
from ..preparation import imagenet_tensor
from ..weights import draw_weights, load_weights
from .networks import (
    FEATURE_CHANNELS,
    FIXED_DECODER_SIZES,
    StripedNetwork,
    adaptive_decoder_sizes,
    autoencoder,
    pdn_medium,
    pdn_small,
)

if TYPE_CHECKING:
    from PIL.Image import Image


class TeacherStatistics(nn.Module):
    """Normalises the teacher's channels (Batzner et al. 2024, algorithm 1, lines 6 to 14).

    Mean 0 and deviation 1 unless a checkpoint says otherwise.

    Args:
        channels: of the teacher.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(1, channels, 1, 1))
        self.register_buffer("std", torch.ones(1, channels, 1, 1))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(features − mean) / std, shape (N, channels, q, q) as given."""
        return (features - self.mean) / self.std

    def problem(self) -> tuple[str, str] | None:
        """The tensor that cannot be used, and why: a channel that never varied divides by 0."""
        if bool((self.std > 0).all()):
            return None
        return "std", "standard deviations must be positive"


class MapQuantiles(nn.Module):
    """Brings both maps to one scale and joins them (Batzner et al. 2024, section 3.4).

    The quantiles 0.9 (start) and 0.995 (end) of the maps of normal validation images go to 0 and
    0.1. Without a checkpoint start is 0 and end 0.1: the maps stay as they are.
    """

    st_start: torch.Tensor
    st_end: torch.Tensor
    ae_start: torch.Tensor
    ae_end: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("st", "ae"):
            self.register_buffer(f"{name}_start", torch.tensor(0.0))
            self.register_buffer(f"{name}_end", torch.tensor(0.1))

    def forward(self, map_st: torch.Tensor, map_ae: torch.Tensor) -> torch.Tensor:
        """The mean of both normalised maps, shape (N, 1, q, q) as theirs.

        Args:
            map_st: squared distance of teacher and student, mean over channels.
            map_ae: squared distance of autoencoder and student, mean over channels.
        """
        map_st = 0.1 * (map_st - self.st_start) / (self.st_end - self.st_start)
        map_ae = 0.1 * (map_ae - self.ae_start) / (self.ae_end - self.ae_start)
        return 0.5 * map_st + 0.5 * map_ae

    def problem(self) -> tuple[str, str] | None:
        """The tensor that cannot be used, and why: equal quantiles divide by 0."""
        for name, start, end in (
            ("st_end", self.st_start, self.st_end),
            ("ae_end", self.ae_start, self.ae_end),
        ):
            if not bool(end > start):
                return name, f"the upper quantile {float(end):g} is not above {float(start):g}"
        return None


class FoldedQuantiles(nn.Module):
    """``MapQuantiles`` as one sum: a factor for each map and a constant.

    Args:
        quantiles: what it stands for.
    """

    st_factor: torch.Tensor
    ae_factor: torch.Tensor
    constant: torch.Tensor

    def __init__(self, quantiles: MapQuantiles) -> None:
        super().__init__()
        st_factor = 0.05 / (quantiles.st_end - quantiles.st_start)
        ae_factor = 0.05 / (quantiles.ae_end - quantiles.ae_start)
        constant = -(st_factor * quantiles.st_start + ae_factor * quantiles.ae_start)
        for name, value in (
            ("st_factor", st_factor),
            ("ae_factor", ae_factor),
            ("constant", constant),
        ):
            self.register_buffer(name, value)

    def forward(self, map_st: torch.Tensor, map_ae: torch.Tensor) -> torch.Tensor:
        """Does ``MapQuantiles.forward``; both maps are lost."""
        map_st.mul_(self.st_factor).add_(map_ae.mul_(self.ae_factor))
        return map_st.add_(self.constant)


def fold_statistics(teacher: nn.Sequential, statistics: TeacherStatistics) -> None:
    """Makes the normalisation of the channels part of the teacher's last convolution.

    Args:
        teacher: ends in a convolution with bias; changed in place.
        statistics: no longer needed afterwards.
    """
    last = teacher[-1]
    assert isinstance(last, nn.Conv2d) and last.bias is not None  # noqa: PT018 -- for mypy
    mean, std = statistics.mean.flatten(), statistics.std.flatten()
    with torch.no_grad():
        last.weight.div_(std.view(-1, 1, 1, 1))
        last.bias.sub_(mean).div_(std)


PDN = {"S": pdn_small, "M": pdn_medium}

MAP_BORDER_PX = 4
"""Pixels that the unpadded networks cut off on every side of the map."""


class EfficientAD(Method):
    """Teacher, student and autoencoder with the operations of nelson1425/EfficientAD.

    The authors test one image at a time. A batch goes through the same operations at once, and each
    of its images has a score of its own.

    Args:
        settings: of the method, checked.
        resolution: of the images, both sides of at least 256 px.
    """

    submodules = SPEC.submodules
    takes_batches = True
    score_is_of_map = True
    teacher_statistics: nn.Module
    map_quantiles: nn.Module

    def __init__(self, settings: Mapping[str, Any], *, resolution: Resolution) -> None:
        super().__init__()
        self.resolution = resolution
        self.padding: bool = settings["padding"]
        self.optimized = False
        network = PDN[settings["size"]]
        self.teacher = network(FEATURE_CHANNELS, padding=self.padding)
        self.student = network(2 * FEATURE_CHANNELS, padding=self.padding)
        self.autoencoder = autoencoder(
            FIXED_DECODER_SIZES
            if settings["autoencoder"] == "fixed"
            else adaptive_decoder_sizes(resolution, padding=self.padding)
        )
        self.teacher_statistics = TeacherStatistics(FEATURE_CHANNELS)
        self.map_quantiles = MapQuantiles()

    @classmethod
    def build(
        cls, settings: Mapping[str, Any], *, resolution: Resolution, implementation: str, seed: int
    ) -> EfficientAD:
        """Builds the method in evaluation mode on the CPU; see ``Method.build``.

        Raises:
            ConfigError: a setting, or the implementation, is unknown.
            WeightsError: the checkpoint cannot be read or does not fit the architecture.
            UnsupportedResolutionError: a side is below 256 px.
        """
        settings = check_settings(SPEC, settings)
        check_implementation(SPEC, implementation)
        check_countable(SPEC, settings, resolution)
        method = cls(settings, resolution=resolution)
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
        if not self.padding:
            self.teacher = StripedNetwork(*self.teacher)
            self.student = StripedNetwork(*self.student)
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

    def move_to(self, device_type: str) -> None:
        """See ``Method.move_to``."""
        super().move_to(device_type)
        if self.optimized and device_type == "cpu":
            # so oneDNN computes its convolutions, and else reorders before and behind each
            self.to(memory_format=torch.channels_last)

    def prepare(self, image: Image) -> torch.Tensor:
        """Fits to the resolution (bilinear, antialiased) and normalises with ImageNet's statistics.

        Returns:
            Shape (1, 3, height, width), float32, contiguous, on the CPU.
        """
        return imagenet_tensor(image, self.resolution)

    def infer(self, image: torch.Tensor, annotate: Annotate) -> Detection:
        """Runs one inference: algorithm 2 of Batzner et al. 2024.

        Args:
            image: shape (N, 3, height, width), float32.
            annotate: opens the ranges teacher, student, autoencoder and anomaly_map.

        Raises:
            ValueError: the image has another shape than the method was built for.
            UnsupportedResolutionError: the fixed autoencoder does not fit the student.
        """
        expected = (len(image), 3, *self.resolution.shape)
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
        if reconstruction.shape[-2:] != teacher.shape[-2:]:
            own, other = (tuple(reversed(t.shape[-2:])) for t in (reconstruction, teacher))
            raise UnsupportedResolutionError(
                "autoencoder",
                f"its map has {own[0]} x {own[1]} values, the student's {other[0]} x {other[1]}",
                "set `autoencoder: adaptive`",
            )
        of_teacher, of_autoencoder = student[:, :FEATURE_CHANNELS], student[:, FEATURE_CHANNELS:]
        distance = distance_in_place if self.optimized else distance_of_maps
        joined = self.map_quantiles(
            distance(teacher, of_teacher), distance(reconstruction, of_autoencoder)
        )
        if not self.padding:
            joined = functional.pad(joined, (MAP_BORDER_PX,) * 4)
        anomaly_map = functional.interpolate(joined, size=self.resolution.shape, mode="bilinear")
        return Detection(anomaly_map=anomaly_map, score=anomaly_map.amax(dim=(1, 2, 3)))


def distance_of_maps(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Mean squared difference over channels, shape (N, C, q, q) to (N, 1, q, q)."""
    return torch.mean((first - second) ** 2, dim=1, keepdim=True)


def distance_in_place(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Does ``distance_of_maps`` with one buffer instead of two; the first map is lost."""
    return first.sub_(second).square_().mean(dim=1, keepdim=True)
