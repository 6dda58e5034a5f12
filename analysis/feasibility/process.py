"""What a process takes of a device beyond what is counted: measured, else assumed in a range."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from ..columns import images_in

GIB = 2**30

ASSUMED_CONTEXT_BYTES = (int(0.25 * GIB), int(1.0 * GIB))
"""Range of CUDA's context with the code of kernels and of cuDNN, where it was not measured.

An assumption, wide on purpose: it depends on driver, GPU and libraries. On a CPU device the range
of a process that has loaded torch.
"""

ASSUMED_SYSTEM_BYTES = (int(0.5 * GIB), int(4.0 * GIB))
"""Range of what the operating system and the process on the CPU take of a memory that CPU and GPU
share, as that of a Jetson.

An assumption, wide on purpose: it depends on desktop, drivers and what else runs.
"""


@dataclass(frozen=True)
class Context:
    """The bytes that a process takes on a device before the method is there.

    Attributes:
        low: at least.
        high: at most.
        basis: `measured` or `assumed`.
        with_system: whether what the system takes of a memory that CPU and GPU share is in it.
    """

    low: int
    high: int
    basis: str
    with_system: bool = False


ASSUMED = Context(*ASSUMED_CONTEXT_BYTES, "assumed")


@dataclass(frozen=True)
class ProcessGrowth:
    """How much more than the count a process on a CPU took, as runs there measured it.

    Attributes:
        ratio: the largest of growth of the process to count; not below 1.
        told: of how many runs it is, and at which sizes, in words.
    """

    ratio: float
    told: str


def measured_context(
    measured: pd.DataFrame | None, hardware: str | None, method: str, variant: str
) -> Context:
    """The context, from runs on the same hardware where there are any.

    Those of the method in the variant decide, since the code of its kernels is part of it; without
    them those of all methods. On a CPU it is what the process had before the method was built.

    Args:
        measured: `memory_measured.csv`; None without it.
        hardware: as it was measured; None: it was not.
        method: the user's label.
        variant: implementation and precision.
    """
    if measured is None or hardware is None:
        return ASSUMED
    runs = measured[(measured["role"] == "run") & (measured["hardware"] == hardware)]
    # libraries lie outside of the allocator, too, and are in the count
    counted = runs["moved_outside_bytes"].where(runs["measured_as"] == "allocator and libraries")
    outside = runs["outside_allocator_bytes"] - counted.fillna(0)
    sizes = outside.where(runs["device_type"] == "cuda", runs["host_resident_before_build_bytes"])
    own = sizes[(runs["method"] == method) & (runs["variant"] == variant)].dropna()
    known = own if len(own) else sizes.dropna()
    if known.empty:
        return ASSUMED
    return Context(max(int(known.min()), 0), int(known.max()), "measured")


def in_unified_memory(context: Context) -> Context:
    """A context with what the system takes of a memory that CPU and GPU share.

    That is assumed. Measured, a context may hold it already, since free memory is all that a driver
    tells there: then the lower end stays.
    """
    low, high = ASSUMED_SYSTEM_BYTES
    least = 0 if context.basis == "measured" else low
    return Context(context.low + least, context.high + high, "assumed", with_system=True)


def measured_growth(
    measured: pd.DataFrame | None, hardware: str | None, method: str, variant: str
) -> ProcessGrowth | None:
    """How much more than the count processes of a method took on a CPU; None: not measured.

    Only runs of the very method in the variant on the very hardware tell it: it is layouts and
    workspaces of the operators' library, and differs between networks by several times.

    Args:
        measured: `memory_measured.csv`; None without it.
        hardware: of the CPU; None: it was not measured.
        method: the user's label.
        variant: implementation and precision.
    """
    if measured is None or hardware is None:
        return None
    is_own = (
        (measured["role"] == "run")
        & (measured["device_type"] == "cpu")
        & (measured["hardware"] == hardware)
        & (measured["method"] == method)
        & (measured["variant"] == variant)
        & measured["measured_to_counted"].notna()
    )
    own = measured[is_own]
    if own.empty:
        return None
    sizes = list(dict.fromkeys(images_in(own)))
    at = str(sizes[0]) if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    ratio = max(float(own["measured_to_counted"].max()), 1.0)
    return ProcessGrowth(
        ratio, f"{ratio:.2f} times the count, the most of n = {len(own)} at {at} px"
    )
