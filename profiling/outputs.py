"""What a run has found in its first images, kept for the comparison of variants.

Scores are kept of every image once; of maps, a lattice of points of the first warm-up images, so
that nothing is copied where time is measured. Both are those of the images in their order, which is
the same in every run of a study.
"""

from __future__ import annotations

import base64
import math

import torch

from adscale.run_record import Outputs

from .methods.base import Detection

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
        self._scores: dict[int, torch.Tensor] = {}
        self._maps: dict[int, torch.Tensor] = {}

    def take(self, first: int, detection: Detection) -> None:
        """Takes note of an inference.

        Args:
            first: index of its first image.
            detection: of its images.
        """
        if first < self._most and detection.score is not None:
            self._scores[first] = detection.score
        if self.takes_maps and first < min(self._most, MAP_IMAGES):
            self._take_maps(first, detection.anomaly_map)

    def _take_maps(self, first: int, maps: torch.Tensor | None) -> None:
        """Of a network of the user's what is found may be anything."""
        if maps is None or maps.dim() != 4 or maps.shape[1] != 1 or not maps.is_floating_point():
            return
        for number, one in enumerate(maps[:, 0], first):
            if number < min(self._most, MAP_IMAGES):
                self._maps[number] = _points(one)

    def found(self) -> Outputs | None:
        """What was kept; None: nothing."""
        scores: list[float | None] = []
        for first in sorted(self._scores):
            if first != len(scores):  # behind an inference that told none
                break
            values = self._scores[first].detach().flatten().float().tolist()
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


def _points(anomaly_map: torch.Tensor) -> torch.Tensor:
    """Shape (height, width) to (rows, columns), float32, on the CPU."""
    rows, columns = (
        torch.linspace(0, side - 1, min(side, LATTICE), device=anomaly_map.device).round().long()
        for side in anomaly_map.shape
    )
    return anomaly_map[rows][:, columns].detach().float().cpu()
