"""Labels beside what they belong to, moved apart where they would overlap."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def spread(wanted: Sequence[float], gap: float) -> list[float]:
    """Positions as near as may be to the wanted ones, in their order, a gap apart.

    Labels that touch form a block around the mean of what they want (the least squares solution,
    by pooling adjacent violators). Positions stay within 0 and 1 as long as there is room.

    Args:
        wanted: between 0 and 1, in any order.
        gap: smallest distance of two labels.
    """
    count = len(wanted)
    if count < 2:
        return [float(position) for position in wanted]
    gap = min(gap, 1 / (count - 1))  # more than fit: as far apart as there is room
    order = np.argsort(wanted, kind="stable")
    # with the gaps taken out, only the order is left to be kept
    pooled = _pooled([float(wanted[index]) - gap * rank for rank, index in enumerate(order)])
    lowest, highest = 0.0, 1.0 - gap * (count - 1)
    positions = [0.0] * count
    for rank, index in enumerate(order):
        positions[index] = min(max(pooled[rank], lowest), highest) + gap * rank
    return positions


def _pooled(values: Sequence[float]) -> list[float]:
    """The ascending sequence nearest to the values."""
    blocks: list[tuple[float, int]] = []
    for value in values:
        mean, size = value, 1
        while blocks and blocks[-1][0] > mean:
            other, others = blocks.pop()
            mean, size = (mean * size + other * others) / (size + others), size + others
        blocks.append((mean, size))
    return [mean for mean, size in blocks for _ in range(size)]
