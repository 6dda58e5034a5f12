"""Memory banks: drawn, or fitted to normal images and kept on disk.

A fitted bank is an approximate greedy coreset of the patches of the training set. Source: Roth et
al. 2022, algorithm 1, in the approximate form of amazon-science/patchcore-inspection: distances on
a random projection to 128 values, and the mean distance to ten starting points in place of the full
matrix of distances.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from adscale.errors import ConfigError
from adscale.files import cache_folder, write_atomically
from adscale.progress import Progress
from adscale.resolution import Resolution
from adscale.tiles import TilePlan

from ...image_reading import decoding_in_force
from ...images import ImageSet
from ..weights import file_sha256

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


FORMAT = 2
"""Part of every cache key: raise it where a fitted bank would come out differently."""


def draw_bank(bank: torch.Tensor, *, seed: int) -> None:
    """Fills a bank with uniform numbers from 0 to 1, the same on every machine.

    A flat index compares every query with every vector, whatever their values: `make bench` holds
    its search time against that of a fitted bank.

    Args:
        bank: shape (rows, dimension); filled in place.
        seed: non-negative.
    """
    bank.uniform_(0, 1, generator=torch.Generator(device="cpu").manual_seed(seed))


def normal_images(folder: str | None) -> ImageSet:
    """The images to which a bank is fitted.

    Raises:
        ConfigError: no folder is given.
        ImageFolderError: it holds no image that can be read.
    """
    if folder is None:
        raise ConfigError(
            "normal_images", "missing where bank is fit", "name a folder of normal images"
        )
    return ImageSet.from_folder(Path(folder), select="normal")


def fit_bank(
    bank: torch.Tensor,
    images: ImageSet,
    embed: Callable[[int], torch.Tensor],
    backbone: nn.Module,
    *,
    resolution: Resolution,
    seed: int,
    cut: TilePlan | None = None,
) -> None:
    """Fills a bank with the coreset of the patches of normal images.

    What was fitted before, from the same images and weights, is read from the cache instead.

    Args:
        bank: shape (rows, dimension); filled in place.
        images: the normal images.
        embed: the patches of the image of that index, shape (p, dimension), on the CPU.
        backbone: what computes them; its weights are part of the cache's key.
        resolution: of the images, or of their tiles.
        seed: of the coreset.
        cut: how the images are cut; None: they are not.
    """
    key = _key(images, backbone, bank, f"{resolution} {seed}{'' if cut is None else f' {cut}'}")
    file = cache_folder() / f"patchcore-bank-{key}.npy"
    if not _read(file, bank):
        bank.copy_(_coreset(images, embed, len(bank), seed))
        write_atomically(file, lambda stream: np.save(stream, bank.numpy(), allow_pickle=False))


def _key(images: ImageSet, backbone: nn.Module, bank: torch.Tensor, asked: str) -> str:
    parts = f"{FORMAT} {tuple(bank.shape)} {asked} {decoding_in_force()}"
    digest = hashlib.sha256(parts.encode())
    for file in images.files:
        digest.update(file_sha256(file).encode())
    for name, tensor in backbone.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()[:32]


def _read(file: Path, bank: torch.Tensor) -> bool:
    """Fills the bank from a cached file; False where there is none of use."""
    try:
        found = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError):  # absent or damaged: it is fitted anew
        return False
    if found.shape != tuple(bank.shape) or found.dtype != np.float32:
        return False
    bank.numpy()[:] = found
    return True


def _coreset(
    images: ImageSet, embed: Callable[[int], torch.Tensor], rows: int, seed: int
) -> torch.Tensor:
    with Progress("memory bank") as progress:
        parts = []
        for index in range(len(images)):
            parts.append(embed(index))
            progress.update("features", index + 1, len(images), None)
        features = torch.cat(parts)
        del parts
        device = "cuda" if torch.cuda.is_available() else "cpu"
        chosen = greedy_coreset(
            features.to(device),
            rows,
            seed=seed,
            on_step=lambda done: progress.update("coreset", done, rows, None, unit="vectors"),
        )
    return features[chosen]
