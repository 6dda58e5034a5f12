"""What EfficientAD remembers of its training set besides the networks.

The statistics are buffers of modules that are called where they are used, so that they are
counted with the submodule that needs them.
"""

from __future__ import annotations

import torch
from torch import nn


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
        """(features − mean) / std, shape (1, channels, q, q) as given."""
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
        """The mean of both normalised maps, shape (1, 1, q, q) as theirs.

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
        """As ``MapQuantiles.forward``; both maps are lost."""
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
