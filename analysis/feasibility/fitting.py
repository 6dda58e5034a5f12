"""Does it fit? What an inference needs at the image of a sensor.

Counted is what the device must hold for tensors and libraries, exactly (docs/memory.md). A process
takes more: CUDA's context with the code of its kernels, and what an allocator holds of the driver
beyond what is alive. Where no run measured the context it is assumed to lie in a range, and a GPU
whose memory lies between the two ends is `uncertain`. Runs on a device outweigh the count: the
largest image that ran, the smallest that did not fit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from adscale.resolution import Resolution

from ..columns import BY_SIZE, images_in
from ..figures.captions import DEVICE_WORDS
from ..numbers import places

GIB = 2**30

ASSUMED_CONTEXT_BYTES = (int(0.25 * GIB), int(1.0 * GIB))
"""Range of CUDA's context with the code of kernels and of cuDNN, where it was not measured.

An assumption, wide on purpose: it depends on driver, GPU and libraries. On a CPU device the range
of a process that has loaded torch.
"""

ALLOCATOR_RESERVE = 0.10
"""Share of the counted memory that torch's allocator may hold beyond what is alive, at most.

An assumption: pieces of memory that no tensor fits into.
"""

ASSUMED_SYSTEM_BYTES = (int(0.5 * GIB), int(4.0 * GIB))
"""Range of what the operating system and the process on the CPU take of a memory that CPU and GPU
share, as that of a Jetson.

An assumption, wide on purpose: it depends on desktop, drivers and what else runs.
"""

MOST_PADDING_PX = 64
"""A counted image that is less than this wider and higher may be that of the sensor, padded to the
next one at which a method runs: no stride of a network is larger."""

STRIDE_PX = 32
"""An image that was not counted may be padded to multiples of it: the largest stride of our methods
(DDAD)."""

SHAPE = 0.02
"""How much of its memory an image may need more or less than another of as many pixels.

Of our methods it is at most 0.008 for each pixel, counted from 1:1 to 4:1 (docs/feasibility.md).
"""

MOST_ELONGATED = 4
"""Width to height, or height to width, up to which `SHAPE` was counted: beyond it padding and
borders of a thin image may take as much as the image, and only images that hold it bound it."""

AS_MANY = 0.02
"""Images whose pixels differ by less are said to have about as many."""

STEEPEST_GROWTH = 2
"""Power of the pixels with which memory grows at most: that of attention over all positions."""


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
class Need:
    """The bytes that a method in a variant needs at an image.

    Attributes:
        resolution: at which it was counted: that of the sensor, or the next larger one counted,
            to which its image is padded, since a method may not run at every one.
        counted_low: counted for tensors and libraries, at least.
        counted_high: the same at most: greater than `counted_low` where the count lies between
            images with fewer and with more pixels; None where nothing as large was counted.
        context: what the process takes besides.
        basis: `counted`, `counted at A px, of about as many pixels`, `counted between A and B px`,
            `counted up to A px`, or `counted at no image that holds one of this shape`.
        device_type: for which it was counted.
        incomplete: what is not in the count, so that it holds from below only; None: nothing.
    """

    resolution: Resolution
    counted_low: int
    counted_high: int | None
    context: Context
    basis: str
    device_type: str
    incomplete: str | None

    @property
    def low(self) -> int:
        """The bytes with the context, at least."""
        return self.counted_low + self.context.low

    @property
    def high(self) -> int | None:
        """The bytes with context and the allocator's reserve, at most; None: not known."""
        if self.counted_high is None:
            return None
        return math.ceil(self.counted_high * (1 + ALLOCATOR_RESERVE)) + self.context.high


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


def counts_for(
    counts: pd.DataFrame, measured: pd.DataFrame | None, device_type: str
) -> pd.DataFrame:
    """Counts that hold on a type of device.

    A study counts for one type. Each run is counted for its own device before it begins, so that
    there are counts at the measured sides for other types, too.

    Args:
        counts: rows of `memory_methods.csv` of one method in one variant, at least one.
        measured: `memory_measured.csv`; None without it.
        device_type: `cpu` or `cuda`.

    Returns:
        Rows with the columns that `need_at` reads; `counts` where nothing holds there.
    """
    first = counts.iloc[0]
    if measured is None or first["device_type"] == device_type:
        return counts
    is_own = (
        (measured["role"] == "run")
        & (measured["device_type"] == device_type)
        & (measured["method"] == first["method"])
        & (measured["variant"] == first["variant"])
    )
    own = measured.loc[is_own & measured["counted_bytes"].notna()]
    if own.empty:
        return counts
    largest = own.sort_values("counted_bytes").drop_duplicates("resolution", keep="last")
    found: pd.DataFrame = largest.rename(columns={"counted_bytes": "needed_bytes"})
    return found


def _is_padded(asked: Resolution, size: Resolution) -> bool:
    """Whether a size may be the one to which a method pads the image that is asked for."""
    more = (size.width_px - asked.width_px, size.height_px - asked.height_px)
    return min(more) >= 0 and max(more) < MOST_PADDING_PX


def _is_bound(larger: Resolution, smaller: Resolution) -> bool:
    """Whether what the one needs bounds what the other needs, by `SHAPE`.

    The other may be padded to multiples of a stride.
    """
    sides = [(one.width_px, one.height_px) for one in (larger, smaller)]
    is_elongated = any(max(pair) > MOST_ELONGATED * min(pair) for pair in sides)
    room = Resolution(*(-(-side // STRIDE_PX) * STRIDE_PX for side in sides[1]))
    return larger.holds(smaller) or (larger.pixels >= room.pixels and not is_elongated)


def need_at(counts: pd.DataFrame, asked: Resolution, context: Context) -> Need:
    """Return the memory that is needed at an image.

    Between counts the pixels decide: the next image with fewer bounds it from below, the next with
    more from above, each by `SHAPE` less sharply where neither has room in the other. An elongated
    image is bounded only by such that hold it, or that it holds.

    Args:
        counts: rows of `memory_methods.csv` of one method in one variant, at least one.
        asked: the image of the sensor.
        context: to add.
    """
    rows = counts.sort_values(BY_SIZE)
    known = {Resolution.of(row["resolution"]): row for _, row in rows.iterrows()}
    needed = {size: int(row["needed_bytes"]) for size, row in known.items()}
    padded = next((size for size in known if _is_padded(asked, size)), None)
    above = padded or next((size for size in known if _is_bound(size, asked)), None)
    below = next((size for size in reversed(known) if _is_bound(asked, size)), None)
    low = 0.0 if below is None else needed[below] * (1 if asked.holds(below) else 1 - SHAPE)
    high = None
    if above is None:
        basis = f"counted up to {max(known)} px"
        if max(known).pixels >= asked.pixels:
            basis = "counted at no image that holds one of this shape"
    else:
        high = math.ceil(needed[above] * (1 if above.holds(asked) else 1 + SHAPE))
        share = asked.pixels / above.pixels
        least = needed[above] * share**STEEPEST_GROWTH * (1 if padded else 1 - SHAPE)
        if padded or share >= 1 - AS_MANY:  # the method may run there, too, and nobody counted
            low = max(low, least)
            basis = "counted" if padded else f"counted at {above} px, of about as many pixels"
        else:
            basis = f"counted between {below or 0} and {above} px"
    nearest = known[above or max(known)]
    incomplete = nearest["incomplete"]
    return Need(
        resolution=padded or asked,
        counted_low=int(low),
        counted_high=high,
        context=context,
        basis=basis,
        device_type=str(nearest["device_type"]),
        incomplete=None if pd.isna(incomplete) or not incomplete else str(incomplete),
    )


def fits(need: Need, memory_bytes: int | None, device_type: str) -> tuple[str, str]:
    """Whether it fits into a device by its count, and the reason.

    Args:
        need: what is needed.
        memory_bytes: of the device; None: not known.
        device_type: of the device. What is counted for another type does not hold there.

    Returns:
        `fits`, `does_not_fit` or `uncertain`; and why, in words.
    """
    if need.device_type != device_type:
        return "uncertain", f"counted for {DEVICE_WORDS[need.device_type]} only"
    if memory_bytes is None:
        return "uncertain", "the memory of the device is not known"
    size = f"{memory_bytes / GIB:.4g} GiB"
    if need.context.with_system:
        size += " that CPU and GPU share"
    if need.low > memory_bytes:
        return "does_not_fit", f"needs at least {need.low / GIB:.4g} of {size}"
    if need.incomplete:
        return "uncertain", f"the count is incomplete: {need.incomplete}"
    if need.high is None:
        return "uncertain", f"not counted at this size: {need.basis}"
    if need.high <= memory_bytes:
        return "fits", f"needs at most {need.high / GIB:.4g} of {size}"
    between = f"needs {between_gib(need.low, need.high, memory_bytes)} of {size}"
    return "uncertain", f"{between}: {_unknown(need)}"


def between_gib(low_bytes: float, high_bytes: float, limit_bytes: float | None = None) -> str:
    """Words such as `4.2 to 5.1`, in GiB, with the digits that the distance leaves.

    Args:
        low_bytes: lower end.
        high_bytes: upper end.
        limit_bytes: what lies between them and is told from both by more digits; None: nothing.
    """
    low, high = low_bytes / GIB, high_bytes / GIB
    if low == high:
        return f"{high:.4g}"
    place = max(places((low + high) / 2, low, high), 0)
    if limit_bytes is not None:
        limit = limit_bytes / GIB
        while place < 9 and not round(low, place) <= limit < round(high, place):
            place += 1
    return f"{low:,.{place}f} to {high:,.{place}f}"


def _unknown(need: Need) -> str:
    parts = []
    if need.context.basis == "assumed":
        what = "CUDA's context" if need.device_type == "cuda" else "the process without the method"
        system = " with the system's share" if need.context.with_system else ""
        parts.append(f"{what}{system} is assumed")
    if need.counted_low != need.counted_high:
        parts.append(need.basis)
    return "; ".join([*parts, "the allocator's reserve is assumed"])


RAN, OUT_OF_MEMORY = "ok", "out_of_memory"
"""Statuses of runs that say something; one that was predicted to run out says nothing new."""


def observed(runtime: pd.DataFrame, asked: Resolution) -> tuple[str, str] | None:
    """Whether an image fits, as runs of it tell, of such that hold it, or that it holds.

    Args:
        runtime: rows of `runtime.csv` of one device, method and variant.
        asked: the image.

    Returns:
        `fits`, `does_not_fit` or, where runs contradict each other, `uncertain`; and why, in
        words. None where no run tells.
    """
    ran = [one for one in images_in(runtime[runtime["status"] == RAN]) if one.holds(asked)]
    too_large = images_in(runtime[runtime["status"] == OUT_OF_MEMORY])
    lost = [one for one in too_large if asked.holds(one)]
    if ran and lost:
        return "uncertain", f"ran at {ran[0]} px, but not at {lost[-1]} px"
    if ran:
        return "fits", f"ran at {ran[0]} px"
    if lost:
        return "does_not_fit", f"ran out of memory at {lost[-1]} px"
    return None
