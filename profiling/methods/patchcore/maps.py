"""From the distances of the patches to the anomaly map, in two ways with the same result.

The reference enlarges the grid of distances bilinearly to the image's side and smooths it on the
host with scipy's Gaussian filter, σ = 4 px. Both steps are linear in rows and in columns, so that
one matrix W does both: map = W · grid · Wᵀ.
"""

from __future__ import annotations

import numpy as np
import scipy.ndimage
import torch
from torch import nn
from torch.nn import functional

from ..host import is_fake, on_host

SIGMA_PX = 4


class ReferenceMap(nn.Module):
    """Interpolation on the device, smoothing on the host.

    Args:
        resolution_px: side length of the image.
    """

    def __init__(self, resolution_px: int) -> None:
        super().__init__()
        self.side_px = resolution_px

    def forward(self, grid: torch.Tensor) -> torch.Tensor:
        """Shape (1, 1, g, g) to (1, 1, s, s), on the host."""
        large = functional.interpolate(
            grid, size=(self.side_px, self.side_px), mode="bilinear", align_corners=False
        )
        return on_host(_smooth, large.cpu(), shape=large.shape)


def _smooth(
    maps: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    smoothed: np.ndarray[tuple[int, ...], np.dtype[np.float32]] = scipy.ndimage.gaussian_filter(
        maps[0, 0], sigma=SIGMA_PX
    )
    return smoothed[np.newaxis, np.newaxis]


class MatrixMap(nn.Module):
    """Both steps as two matrix products, on the device.

    Args:
        resolution_px: side length of the image.
        grid_side: side of the grid of patches.
    """

    matrix: torch.Tensor
    """W, shape (s, g)."""

    def __init__(self, resolution_px: int, grid_side: int) -> None:
        super().__init__()
        matrix = torch.empty(resolution_px, grid_side)
        if not is_fake(matrix):
            matrix.copy_(_map_matrix(resolution_px, grid_side))
        self.register_buffer("matrix", matrix, persistent=False)

    def forward(self, grid: torch.Tensor) -> torch.Tensor:
        """Shape (1, 1, g, g) to (1, 1, s, s), on the device of the grid."""
        return self.matrix @ grid @ self.matrix.T


def _map_matrix(side_px: int, grid_side: int) -> torch.Tensor:
    """W in double precision: what becomes of each single row of the grid."""
    rows = torch.eye(grid_side, dtype=torch.float64).unsqueeze(0)
    large = functional.interpolate(rows, size=side_px, mode="linear", align_corners=False)
    smooth = scipy.ndimage.gaussian_filter1d(large[0].numpy(), sigma=SIGMA_PX, axis=1)
    return torch.from_numpy(smooth.T)
