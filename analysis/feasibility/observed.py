"""What runs on a device have shown: the largest image that ran, the smallest that did not fit."""

from __future__ import annotations

import pandas as pd

RAN, OUT_OF_MEMORY = "ok", "out_of_memory"
"""Statuses of runs that say something; one that was predicted to run out says nothing new."""


def observed(runtime: pd.DataFrame, side_px: int) -> tuple[str, str] | None:
    """Whether an image fits, as runs at its side, at a larger or at a smaller one tell.

    Args:
        runtime: rows of `runtime.csv` of one device, method and variant.
        side_px: of the image.

    Returns:
        `fits`, `does_not_fit` or, where runs contradict each other, `uncertain`; and why, in
        words. None where no run tells.
    """
    sides = runtime["resolution_px"]
    ran = sides[(runtime["status"] == RAN) & (sides >= side_px)]
    lost = sides[(runtime["status"] == OUT_OF_MEMORY) & (sides <= side_px)]
    if len(ran) and len(lost):
        return "uncertain", f"ran at {ran.min()} px, but not at {lost.max()} px"
    if len(ran):
        return "fits", f"ran at {ran.min()} px"
    if len(lost):
        return "does_not_fit", f"ran out of memory at {lost.max()} px"
    return None
