"""Why a GPU's clocks are not higher: NVML's bit mask in words.

The bits are those of `nvmlClocksEventReason…` in nvml.h (until driver 535 `nvmlClocksThrottle…`).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

Cause = Literal["heat", "power", "the hardware"]

IDLE = 0x01
"""Nothing runs on the GPU, and so its clocks say nothing."""

CAUSES: dict[Cause, int] = {
    "heat": 0x20 | 0x40,  # SwThermalSlowdown, HwThermalSlowdown
    "power": 0x04 | 0x80,  # SwPowerCap, HwPowerBrakeSlowdown
    "the hardware": 0x08,  # HwSlowdown: heat or power; the GPUs that tell which set that bit too
}
"""Reasons that slow a measurement down. Left out are clocks that the user has set (0x02), a GPU's
waiting for others of its group (0x10) and the display (0x100), which hold for the whole run."""


def is_idle(reasons: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Samples in which nothing ran on the GPU; a missing sample is not one."""
    return _bits(reasons, IDLE)


def held_down_by(reasons: npt.NDArray[np.float64]) -> dict[Cause, npt.NDArray[np.bool_]]:
    """Samples in which the clocks were held down, by cause.

    Where heat or power is told, `the hardware` is not a cause of its own.
    """
    causes = {cause: _bits(reasons, mask) for cause, mask in CAUSES.items()}
    causes["the hardware"] &= ~(causes["heat"] | causes["power"])
    return causes


def _bits(reasons: npt.NDArray[np.float64], mask: int) -> npt.NDArray[np.bool_]:
    whole = np.where(np.isnan(reasons), 0, reasons).astype(np.int64)
    return np.asarray((whole & mask) != 0)
