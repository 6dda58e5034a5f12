"""Energy of a GPU per image, from its counter over the measured images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SHORTEST_WINDOW_S = 5.0
"""The counter moves in steps of about 100 ms: over less than this a step is more than 2 %."""


@dataclass(frozen=True)
class EnergyPerImage:
    """What an image took, the time between images included.

    Attributes:
        joules: of the whole board.
        above_idle_joules: less what it draws at rest in that time; None where that is not known.
    """

    joules: float
    above_idle_joules: float | None


def energy_per_image(document: Mapping[str, Any]) -> EnergyPerImage | None:
    """Divide the energy of a measurement by its images.

    Args:
        document: `machine` of run.json.

    Returns:
        None where the counter was not read, no image was completed, or the window is too short.
    """
    energy, idle_w = document["energy"], document["idle_power_w"]
    if energy is None or energy["images"] == 0 or energy["window_s"] < SHORTEST_WINDOW_S:
        return None
    above_j = None if idle_w is None else energy["joules"] - idle_w * energy["window_s"]
    return EnergyPerImage(
        energy["joules"] / energy["images"],
        None if above_j is None else above_j / energy["images"],
    )
