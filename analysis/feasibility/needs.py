"""What an inference needs on a GPU at the image of a sensor, from counts.

Counted is what the device must hold for tensors and libraries, exactly (docs/memory.md). A process
takes more: CUDA's context with the code of its kernels, and what an allocator holds of the driver
beyond what is alive. Where no run measured the context it is assumed to lie in a range, and a GPU
whose memory lies between the two ends is `uncertain`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

GIB = 2**30
MEGA = 1e6

ASSUMED_CONTEXT_BYTES = (int(0.25 * GIB), int(1.0 * GIB))
"""Range of CUDA's context with the code of kernels and of cuDNN, where it was not measured.

An assumption, wide on purpose: it depends on driver, GPU and libraries.
"""

ALLOCATOR_RESERVE = 0.10
"""Share of the counted memory that torch's allocator may hold beyond what is alive, at most.

An assumption: pieces of memory that no tensor fits into.
"""


def side_of(megapixels: float) -> int:
    """Side in px of the square image with as many pixels as a sensor, rounded up."""
    return math.ceil(math.sqrt(megapixels * MEGA))


@dataclass(frozen=True)
class Context:
    """What a process takes on a GPU before anything is allocated, in bytes.

    Attributes:
        low: at least.
        high: at most.
        basis: `measured` or `assumed`.
    """

    low: int
    high: int
    basis: str


@dataclass(frozen=True)
class Need:
    """What a method in a variant needs at an image, in bytes.

    Attributes:
        side_px: side at which it was counted: that of the sensor, or the next larger one counted,
            since a method may not run at every side.
        counted_low: counted for tensors and libraries, at least.
        counted_high: the same at most; greater than `counted_low` where the count lies between the
            sides next to the one asked for.
        low: with the context, at least.
        high: with the context and the allocator's reserve.
        basis: `counted`, or `counted between A and B px`.
        context: that was added.
        incomplete: what is not in the count, so that it holds from below only; None: nothing.
    """

    side_px: int
    counted_low: int
    counted_high: int
    low: int
    high: int
    basis: str
    context: Context
    incomplete: str | None


ADMISSIBLE_STEP = 1.02
"""A counted side that is at most this much larger is that of the sensor, rounded up by a method
that runs at some sides only."""


def measured_context(measured: pd.DataFrame | None, hardware: str | None) -> Context:
    """The context, from runs on a GPU where there are any.

    Args:
        measured: `memory_measured.csv`; None without it.
        hardware: model of the GPU in question; None or one that was not measured: an assumption.
    """
    assumed = Context(*ASSUMED_CONTEXT_BYTES, "assumed")
    if measured is None or hardware is None:
        return assumed
    of_gpu = measured[(measured["role"] == "run") & (measured["hardware"] == hardware)]
    outside = of_gpu["outside_allocator_bytes"].dropna()
    if outside.empty:
        return assumed
    return Context(int(outside.min()), int(outside.max()), "measured")


def need_at(counts: pd.DataFrame, side_px: int, context: Context) -> Need | None:
    """What is needed at a side; None where nothing as large was counted.

    Args:
        counts: rows of `memory_methods.csv` of one method in one variant.
        side_px: of the sensor's square image.
        context: to add.
    """
    rows = counts.sort_values("resolution_px")
    sides = rows["resolution_px"].to_numpy(dtype=np.int64)
    above = np.flatnonzero(sides >= side_px)
    if not len(above):
        return None
    upper = rows.iloc[above[0]]
    exact = sides[above[0]] <= side_px * ADMISSIBLE_STEP
    lower = upper if exact or above[0] == 0 else rows.iloc[above[0] - 1]
    low, high = int(lower["needed_bytes"]), int(upper["needed_bytes"])
    if not exact and above[0] == 0:
        low = 0
    between = f"counted between {int(lower['resolution_px'])} and {int(upper['resolution_px'])} px"
    incomplete = upper["incomplete"]
    return Need(
        side_px=int(upper["resolution_px"]) if exact else side_px,
        counted_low=low,
        counted_high=high,
        low=low + context.low,
        high=math.ceil(high * (1 + ALLOCATOR_RESERVE)) + context.high,
        basis="counted" if exact else between,
        context=context,
        incomplete=None if pd.isna(incomplete) or not incomplete else str(incomplete),
    )


def fits(need: Need | None, memory_bytes: float) -> tuple[str, str]:
    """Whether it fits into a GPU, and the reason.

    Args:
        need: None where nothing was counted.
        memory_bytes: of the GPU.

    Returns:
        `fits`, `does_not_fit` or `uncertain`; and why, in words.
    """
    if need is None:
        return "uncertain", "not counted at this size"
    size = f"{memory_bytes / GIB:.4g} GiB"
    if need.low > memory_bytes:
        return "does_not_fit", f"needs at least {need.low / GIB:.4g} of {size}"
    if need.incomplete:
        return "uncertain", f"the count is incomplete: {need.incomplete}"
    if need.high <= memory_bytes:
        return "fits", f"needs at most {need.high / GIB:.4g} of {size}"
    between = f"needs {need.low / GIB:.4g} to {need.high / GIB:.4g} of {size}"
    return "uncertain", f"{between}: {_unknown(need)}"


def _unknown(need: Need) -> str:
    parts = []
    if need.context.basis == "assumed":
        parts.append("CUDA's context is assumed")
    if need.counted_low < need.counted_high:
        parts.append(need.basis)
    return "; ".join([*parts, "the allocator's reserve is assumed"])
