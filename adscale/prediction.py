"""What a count predicts of a run's memory, and whether that rules the run out. No torch."""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_MARGIN = 0.1
"""By which share of the device's memory a count must exceed it before a run is left out."""


@dataclass(frozen=True)
class Prediction:
    """What a run will need by count, and what its device has; as ``run.json`` stores it."""

    needed_bytes: int
    """What the device must hold at least, see ``profiling.prediction``."""
    device_memory_bytes: int
    """Of the GPU in all; of a CPU device, what this process may have of the main memory."""
    available_bytes: int
    """What of it was free when the run started."""
    incomplete: str | None
    """Up to where a method of the user's was counted, and why not further; None: it all was."""
    counted_by: str
    """Digest of the code that counted: another one may count otherwise."""

    def rules_out(self, margin: float | None) -> bool:
        """Whether the run cannot fit, whatever else is in the device's memory.

        The count is a bound from below: what has been counted must be there at once, what has not
        comes on top. So more than the device has is too much, and the margin is only for faults of
        the count itself.

        Args:
            margin: share of the device's memory by which the count must exceed it; None: no run is
                to be ruled out.
        """
        if margin is None:
            return False
        return self.needed_bytes > self.device_memory_bytes * (1 + margin)

    def sentence(self, margin: float) -> str:
        """Why a run was ruled out, in words."""
        return (
            f"not run: it needs at least {self.needed_bytes:,} bytes by count, more than the "
            f"{self.device_memory_bytes:,} bytes of the device with a margin of {margin:g}"
        )
