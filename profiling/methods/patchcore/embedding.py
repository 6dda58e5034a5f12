"""Makes one vector per patch from two feature maps, and the anomaly map from distances.

Both steps exist in two ways with the same result. Source of the vectors: Roth et al., "Towards
Total Recall in Industrial Anomaly Detection" (CVPR 2022), section 3.1, as
amazon-science/patchcore-inspection performs it: 3 x 3 neighbourhoods, both maps brought to the grid
of the larger one, 1024 values per patch.

For the map the reference enlarges the grid of distances bilinearly to the image's side and smooths
it on the host with scipy's Gaussian filter, σ = 4 px. Both steps are linear in rows and in columns,
so that a matrix W for each does both: map = W · grid · Wᵀ, of a square with the same W.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.ndimage
import torch
from torch import nn
from torch.nn import functional

from adscale.methods.patchcore import DIMENSION
from adscale.resolution import Resolution

from ..base import is_fake, on_host

NEIGHBOURHOOD = 3
"""Side of the square of positions that a patch looks at."""


def reference_embedding(middle: torch.Tensor, deep: torch.Tensor) -> list[torch.Tensor]:
    """The operations of the reference: unfold, interpolate every offset's plane, pool three times.

    Each vector then goes to the host by itself, which on a GPU is a synchronising copy per patch.

    Args:
        middle: second stage, shape (N, 512, g, f).
        deep: third stage, shape (N, 1024, h, e).

    Returns:
        N · g · f vectors of shape (1024,) on the host, image by image, row by row of the grid.
    """
    patches = [_patches(middle), _patches(deep)]
    patches[1] = _to_grid(patches[1], deep.shape[-2:], middle.shape[-2:])
    # of one image it is the same tensor seen in another way, of several a copy
    patches = [of_stage.reshape(-1, *of_stage.shape[2:]) for of_stage in patches]
    rows = torch.stack([_pool(of_stage) for of_stage in patches], dim=1)
    del patches  # not sooner: they are part of the reference's peak
    rows = rows.reshape(len(rows), 1, -1)
    embedding = functional.adaptive_avg_pool1d(rows, DIMENSION).reshape(len(rows), -1)
    if is_fake(embedding):  # while memory is counted they move at once: the same bytes, sooner
        return [embedding.cpu()]
    return [row.detach().cpu() for row in embedding]


def gathered(rows: Sequence[torch.Tensor]) -> torch.Tensor:
    """The vectors as one array, joined with no other kind of feature, as the reference does.

    Args:
        rows: what ``reference_embedding`` returned.

    Returns:
        Shape (patches, 1024).
    """
    return torch.cat([torch.stack(list(rows)).reshape(-1, DIMENSION)], dim=1)


def _patches(features: torch.Tensor) -> torch.Tensor:
    """Shape (N, C, g, f) to (N, g · f, C, 3, 3): each neighbourhood, zeros at the border."""
    unfolded = functional.unfold(features, NEIGHBOURHOOD, padding=NEIGHBOURHOOD // 2)
    windows = unfolded.reshape(*features.shape[:2], NEIGHBOURHOOD, NEIGHBOURHOOD, -1)
    return windows.permute(0, 4, 1, 2, 3)


def _to_grid(patches: torch.Tensor, grid: torch.Size, to_grid: torch.Size) -> torch.Tensor:
    """(N, h · e, C, 3, 3) to (N, g · f, C, 3, 3): each channel and offset's plane, interpolated."""
    images, _, channels = patches.shape[:3]
    planes = patches.reshape(images, *grid, -1).permute(0, 3, 1, 2)
    larger = functional.interpolate(
        planes.reshape(-1, 1, *grid), size=tuple(to_grid), mode="bilinear", align_corners=False
    )
    rows = larger.reshape(images, -1, *to_grid).permute(0, 2, 3, 1)
    return rows.reshape(images, -1, channels, NEIGHBOURHOOD, NEIGHBOURHOOD)


def _pool(patches: torch.Tensor) -> torch.Tensor:
    """(n, C, 3, 3) to (n, 1024): neighbouring values of channels and offsets, averaged."""
    rows = patches.reshape(len(patches), 1, -1)
    return functional.adaptive_avg_pool1d(rows, DIMENSION).squeeze(1)


def closed_form_embedding(middle: torch.Tensor, deep: torch.Tensor) -> torch.Tensor:
    """Computes directly what the chain of the reference amounts to.

    With A the 3 x 3 mean (zeros of the border counted): values 0 to 511 are (9·A(middle) +
    middle) / 10, because the two windows of five values that the last pooling joins share the
    centre of the neighbourhood; values 512 to 1023 are the bilinear interpolation of the mean of
    the channels 2j and 2j+1 of A(deep). Holds for these two stages and 1024 values only.

    Args:
        middle: second stage, shape (N, 512, g, f).
        deep: third stage, shape (N, 1024, h, e).

    Returns:
        Shape (N · g · f, 1024), image by image, row by row of the grid.
    """
    grid, half = tuple(middle.shape[-2:]), DIMENSION // 2
    rows = middle.new_empty(len(middle), *grid, DIMENSION)
    planes = rows.permute(0, 3, 1, 2)  # filled in place rather than joined
    planes[:, :half].copy_(_mean3(middle).mul_(0.9).add_(middle, alpha=0.1))
    pairs = _mean3(deep.reshape(-1, half, 2, *deep.shape[2:]).mean(dim=2))
    planes[:, half:].copy_(
        functional.interpolate(pairs, size=grid, mode="bilinear", align_corners=False)
    )
    return rows.reshape(-1, DIMENSION)


def _mean3(features: torch.Tensor) -> torch.Tensor:
    return functional.avg_pool2d(features, NEIGHBOURHOOD, stride=1, padding=NEIGHBOURHOOD // 2)


SIGMA_PX = 4


class ReferenceMap(nn.Module):
    """Interpolation on the device, smoothing on the host: of a batch image by image, as there.

    Args:
        resolution: of the image.
    """

    def __init__(self, resolution: Resolution) -> None:
        super().__init__()
        self.size = resolution.shape

    def forward(self, grid: torch.Tensor) -> torch.Tensor:
        """Shape (N, 1, g, f) to (N, 1, height, width), on the host."""
        large = functional.interpolate(grid, size=self.size, mode="bilinear", align_corners=False)
        return on_host(_smooth, large.cpu(), shape=large.shape)


def _smooth(
    maps: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    smoothed = [scipy.ndimage.gaussian_filter(one[0], sigma=SIGMA_PX) for one in maps]
    # of a single image without the copy that joining them makes
    whole = smoothed[0][np.newaxis] if len(smoothed) == 1 else np.stack(smoothed)
    return whole[:, np.newaxis]


class MatrixMap(nn.Module):
    """Both steps as two matrix products, on the device.

    Args:
        resolution: of the image.
        grid: rows and columns of the grid of patches.
    """

    matrix: torch.Tensor
    """W of the rows, shape (height, g)."""
    of_columns: torch.Tensor | None
    """W of the columns, shape (width, f); None: the same."""

    def __init__(self, resolution: Resolution, grid: tuple[int, int]) -> None:
        super().__init__()
        (height, width), (rows, columns) = resolution.shape, grid
        self.register_buffer("matrix", _map_matrix(height, rows), persistent=False)
        of_columns = None if resolution.is_square else _map_matrix(width, columns)
        self.register_buffer("of_columns", of_columns, persistent=False)

    def forward(self, grid: torch.Tensor) -> torch.Tensor:
        """Shape (N, 1, g, f) to (N, 1, height, width), on the device of the grid."""
        of_columns = self.matrix if self.of_columns is None else self.of_columns
        return self.matrix @ grid @ of_columns.T


def _map_matrix(side_px: int, grid_side: int) -> torch.Tensor:
    """W, shape (side, grid side): what becomes of each single row of the grid."""
    matrix = torch.empty(side_px, grid_side)
    if is_fake(matrix):
        return matrix
    rows = torch.eye(grid_side, dtype=torch.float64).unsqueeze(0)
    large = functional.interpolate(rows, size=side_px, mode="linear", align_corners=False)
    smooth = scipy.ndimage.gaussian_filter1d(large[0].numpy(), sigma=SIGMA_PX, axis=1)
    return matrix.copy_(torch.from_numpy(smooth.T))
