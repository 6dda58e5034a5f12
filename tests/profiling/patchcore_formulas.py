"""The patch embedding of PatchCore by its definition: loops over positions, in double precision."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def neighbourhoods(features: Array) -> Array:
    """(C, g, f) to (g, f, C, 3, 3), zeros beyond the border."""
    channels, rows, columns = features.shape
    found = np.zeros((rows, columns, channels, 3, 3))
    for row in range(rows):
        for column in range(columns):
            for down in range(3):
                for right in range(3):
                    y, x = row + down - 1, column + right - 1
                    if 0 <= y < rows and 0 <= x < columns:
                        found[row, column, :, down, right] = features[:, y, x]
    return found


def positions(small: int, large: int) -> list[float]:
    """Where the pixels of a large side lie on a small one, the border continued."""
    return [max((k + 0.5) * small / large - 0.5, 0.0) for k in range(large)]


def bilinear(grid: Array, rows: int, columns: int) -> Array:
    """(h, e, …) to (rows, columns, …), pixel centres at half integers, borders continued."""
    height, width = grid.shape[:2]
    found = np.zeros((rows, columns, *grid.shape[2:]))
    for row, y in enumerate(positions(height, rows)):
        for column, x in enumerate(positions(width, columns)):
            y0, x0 = math.floor(y), math.floor(x)
            y1, x1 = min(y0 + 1, height - 1), min(x0 + 1, width - 1)
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
    """(512, g, f) and (1024, h, e) to (g · f, 1024)."""
    rows, columns = middle.shape[1:]
    near = neighbourhoods(middle).reshape(rows * columns, -1)
    far = bilinear(neighbourhoods(deep), rows, columns).reshape(rows * columns, -1)
    both = np.concatenate([pooled(near, 1024), pooled(far, 1024)], axis=1)
    return pooled(both, 1024)
