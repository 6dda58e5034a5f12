"""Energy per image from the GPU's counter, and how far it can be trusted.

The counter of NVML does not move continuously: on GPUs of the data centre it steps about every
100 ms (Yang, Adamek and Armour, "Part-time power measurements", 2023, arXiv 2312.02741). Each of
its two readings may be one step old, so that a window is known to two steps of mean power.
"""

from __future__ import annotations

from typing import NamedTuple

STEP_S = 0.1
"""Time between two steps of the counter."""

SHORTEST_WINDOW_S = 5.0
"""Below this nothing is told: the error is 4 % there."""


class ImageEnergy(NamedTuple):
    """Energy that the GPU took per image, what it takes idle included.

    Attributes:
        joules: the counter's difference over the images.
        error_joules: largest error from the counter's steps, on either side.
    """

    joules: float
    error_joules: float


def image_energy(joules: float, window_s: float, images: int) -> ImageEnergy | None:
    """Energy per image; None where the window is too short to tell.

    Args:
        joules: difference of the counter over the measured images.
        window_s: time between its two readings.
        images: completed in between.
    """
    if images == 0 or window_s < SHORTEST_WINDOW_S:
        return None
    mean_power_w = joules / window_s
    return ImageEnergy(joules / images, 2 * STEP_S * mean_power_w / images)
