"""Approximate greedy coreset: which patches of the training set the memory bank keeps.

Source: Roth et al. 2022, algorithm 1, in the approximate form of amazon-science/
patchcore-inspection: distances on a random projection to 128 values, and the mean distance to ten
starting points in place of the full matrix of distances.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

PROJECTED_DIMENSION = 128
STARTING_POINTS = 10


def greedy_coreset(
    features: torch.Tensor,
    count: int,
    *,
    seed: int,
    on_step: Callable[[int], None] = lambda _done: None,
) -> torch.Tensor:
    """Chooses vectors one by one, each the farthest from those before it.

    The first is the one farthest from the starting points on average.

    Args:
        features: shape (n, d), float32, on the device that shall compute.
        count: how many to choose, at most n.
        seed: of the projection and of the starting points.
        on_step: called with the number of vectors chosen so far.

    Returns:
        Their ``count`` positions in the order of choice, on the CPU.
    """
    generator = torch.Generator(device="cpu").manual_seed(seed)
    projected = _project(features, generator)
    starts = torch.randperm(len(features), generator=generator)[:STARTING_POINTS]
    # squared norms are needed for every distance: computed once
    norms = projected.square().sum(dim=1)
    nearest = torch.stack([_distances(projected, norms, int(i)) for i in starts]).mean(dim=0)
    chosen = torch.empty(count, dtype=torch.int64)
    for step in range(count):
        farthest = int(nearest.argmax())
        chosen[step] = farthest
        torch.minimum(nearest, _distances(projected, norms, farthest), out=nearest)
        on_step(step + 1)
    return chosen


def _project(features: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    dimension = features.shape[1]
    if dimension <= PROJECTED_DIMENSION:
        return features
    bound = 1 / math.sqrt(dimension)
    matrix = torch.empty(dimension, PROJECTED_DIMENSION).uniform_(
        -bound, bound, generator=generator
    )
    return features @ matrix.to(features.device)


def _distances(points: torch.Tensor, norms: torch.Tensor, index: int) -> torch.Tensor:
    """Euclidean distance of every point to one of them, shape (n,)."""
    squared = torch.addmv(norms + norms[index], points, points[index], alpha=-2)
    squared[index] = 0  # rounding would leave a point at a distance from itself
    return squared.clamp_(min=0).sqrt_()
