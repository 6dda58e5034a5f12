"""What a run has found in its first images, kept for the comparison of variants.

Scores are kept of every image once; of maps, a lattice of points of the first warm-up images, so
that nothing is copied where time is measured. Both are those of the images in their order, which is
the same in every run of a study.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Sequence

import torch

from adscale.run_record import Outputs

from .methods.results import Results, is_plain

MOST_IMAGES = 200
"""Of which scores are kept."""

MAP_IMAGES = 3
"""Of which maps are."""

LATTICE = 64
"""Rows and columns of points of a map at most, from edge to edge."""


class OutputWatch:
    """Keeps what inferences return.

    Args:
        images: different ones; the others are the same again.
    """

    def __init__(self, images: int) -> None:
        self.takes_maps = True
        """Until images are measured: it copies."""
        self._most = min(images, MOST_IMAGES)
        self._scores: dict[int, tuple[torch.Tensor, ...]] = {}
        self._maps: dict[int, torch.Tensor] = {}

    def take(self, first: int, images: int, results: Results) -> None:
        """Takes note of an inference.

        Args:
            first: index of its first image.
            images: their number.
            results: of its images. Of a network of the user's they may be anything.
        """
        maps, scores = results
        if first < self._most and sum(one.numel() for one in scores if is_plain(one)) == images:
            self._scores[first] = scores
        is_map = all(is_plain(one) and one.is_floating_point() and one.dim() for one in maps)
        if self.takes_maps and first < min(self._most, MAP_IMAGES) and is_map:
            for number, one in enumerate(_each_map(maps, images), first):
                if number < min(self._most, MAP_IMAGES):
                    self._maps[number] = _points(one)

    def found(self) -> Outputs | None:
        """What was kept; None: nothing."""
        scores: list[float | None] = []
        for first in sorted(self._scores):
            if first != len(scores):  # behind an inference that told none
                break
            parts = [one.detach().flatten().float() for one in self._scores[first]]
            values = [value for part in parts for value in part.tolist()]
            scores += [value if math.isfinite(value) else None for value in values]
        maps = [self._maps[number] for number in range(len(self._maps)) if number in self._maps]
        if not scores and not maps:
            return None
        if len({one.shape for one in maps}) != 1:
            return Outputs(tuple(scores[: self._most]), None, "")
        joined = torch.stack(maps)
        content = base64.b64encode(joined.numpy().astype("<f4").tobytes()).decode()
        images, rows, columns = joined.shape
        return Outputs(tuple(scores[: self._most]), (images, rows, columns), content)


def _each_map(maps: Sequence[torch.Tensor], images: int) -> Iterator[torch.Tensor]:
    """Those of one channel, each of shape (height, width).

    Args:
        maps: one of all images, or one of each.
        images: their number.
    """
    each = maps if len(maps) == images > 1 else [image for one in maps for image in one]
    for one in each:
        sides = (1, 1, *map(int, one.shape))
        if math.prod(sides[:-2]) == 1 and one.dim() > 1 and one.numel():
            yield one.reshape(sides[-2:])


def _points(anomaly_map: torch.Tensor) -> torch.Tensor:
    """Shape (height, width) to (rows, columns), float32, on the CPU."""
    rows, columns = (
        torch.linspace(0, side - 1, min(side, LATTICE), device=anomaly_map.device).round().long()
        for side in anomaly_map.shape
    )
    return anomaly_map[rows][:, columns].detach().float().cpu()
