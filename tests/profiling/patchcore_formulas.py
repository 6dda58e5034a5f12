"""The patch embedding of PatchCore by its definition: loops over positions, in double precision."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def neighbourhoods(features: Array) -> Array:
    """(C, g, g) to (g, g, C, 3, 3), zeros beyond the border."""
    channels, side, _ = features.shape
    found = np.zeros((side, side, channels, 3, 3))
    for row in range(side):
        for column in range(side):
            for down in range(3):
                for right in range(3):
                    y, x = row + down - 1, column + right - 1
                    if 0 <= y < side and 0 <= x < side:
                        found[row, column, :, down, right] = features[:, y, x]
    return found


def bilinear(grid: Array, side: int) -> Array:
    """(h, h, …) to (side, side, …), pixel centres at half integers, borders continued."""
    small = grid.shape[0]
    positions = [max((k + 0.5) * small / side - 0.5, 0.0) for k in range(side)]
    found = np.zeros((side, side, *grid.shape[2:]))
    for row, y in enumerate(positions):
        for column, x in enumerate(positions):
            y0, x0 = math.floor(y), math.floor(x)
            y1, x1 = min(y0 + 1, small - 1), min(x0 + 1, small - 1)
            dy, dx = y - y0, x - x0
            found[row, column] = (
                (1 - dy) * (1 - dx) * grid[y0, x0]
                + (1 - dy) * dx * grid[y0, x1]
                + dy * (1 - dx) * grid[y1, x0]
                + dy * dx * grid[y1, x1]
            )
    return found


def pooled(values: Array, bins: int) -> Array:
    """Mean of each bin of the last axis: bin k covers floor(k·n/bins) to ceil((k+1)·n/bins)."""
    count = values.shape[-1]
    edges = [(k * count // bins, -((k + 1) * count // -bins)) for k in range(bins)]
    return np.stack([values[..., low:high].mean(axis=-1) for low, high in edges], axis=-1)


def embedding(middle: Array, deep: Array) -> Array:
    """(512, g, g) and (1024, h, h) to (g², 1024)."""
    side = middle.shape[1]
    near = neighbourhoods(middle).reshape(side * side, -1)
    far = bilinear(neighbourhoods(deep), side).reshape(side * side, -1)
    both = np.concatenate([pooled(near, 1024), pooled(far, 1024)], axis=1)
    return pooled(both, 1024)
