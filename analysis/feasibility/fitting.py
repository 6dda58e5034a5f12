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
from .process import GIB, Context, ProcessGrowth

ALLOCATOR_RESERVE = 0.10
"""Share of the counted memory that torch's allocator is taken to hold beyond it, at least.

Its pieces into which no tensor fits are replayed, and may be more; workspaces of cuDNN and cuBLAS,
which are nowhere in the count, are assumed to find room in the larger of the two.
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
        growth: of a process on a CPU; None: not measured there, or the device is a GPU.
        reserved: by how many times the allocator of a GPU holds more than is counted, replayed: at
            this image, else at most at those that were counted; None: not replayed.
    """

    resolution: Resolution
    counted_low: int
    counted_high: int | None
    context: Context
    basis: str
    device_type: str
    incomplete: str | None
    growth: ProcessGrowth | None = None
    reserved: float | None = None

    @property
    def low(self) -> int:
        """The bytes with the context, at least; on a CPU those of the count alone."""
        return self.counted_low + (self.context.low if self.device_type == "cuda" else 0)

    @property
    def high(self) -> int | None:
        """The bytes with the context and what is taken beyond the count, at most.

        Beyond it a GPU's allocator holds a reserve, and a process on a CPU takes as many times the
        count as was measured. None: not known.
        """
        if self.counted_high is None:
            return None
        if self.device_type == "cuda":
            times = max(1 + ALLOCATOR_RESERVE, self.reserved or 0)
        elif self.growth is None:
            return None
        else:
            times = self.growth.ratio
        return math.ceil(self.counted_high * times) + self.context.high


def counts_for(
    counts: pd.DataFrame,
    measured: pd.DataFrame | None,
    device_type: str,
    on_cpu: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Counts that hold on a type of device.

    A study counts for a GPU, and for a CPU at the images of its sensors. Each run is counted for
    its own device before it begins, so that there are counts at the measured sides, too.

    Args:
        counts: rows of `memory_methods.csv` of one method in one variant, at least one.
        measured: `memory_measured.csv`; None without it.
        device_type: `cpu` or `cuda`.
        on_cpu: `memory_cpu.csv`; None without it.

    Returns:
        Rows with the columns that `need_at` reads; `counts` where nothing holds there.
    """
    first = counts.iloc[0]
    if first["device_type"] == device_type:
        return counts
    listed = None
    if on_cpu is not None and device_type == "cpu":
        is_same = (on_cpu["method"] == first["method"]) & (on_cpu["variant"] == first["variant"])
        listed = on_cpu[is_same]
    ran = _counts_of_runs(measured, first, device_type)
    found = [one for one in (listed, ran) if one is not None and len(one)]
    if not found:
        return counts
    columns = ["resolution", *BY_SIZE, "device_type", "needed_bytes", "incomplete"]
    together = pd.concat([one[list(dict.fromkeys(columns))] for one in found])
    own: pd.DataFrame = together.drop_duplicates("resolution")
    return own


def _counts_of_runs(
    measured: pd.DataFrame | None, first: pd.Series, device_type: str
) -> pd.DataFrame | None:
    """What was counted before each run of a method in a variant on a type of device."""
    if measured is None:
        return None
    is_own = (
        (measured["role"] == "run")
        & (measured["device_type"] == device_type)
        & (measured["method"] == first["method"])
        & (measured["variant"] == first["variant"])
    )
    own = measured.loc[is_own & measured["counted_bytes"].notna()]
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


def need_at(
    counts: pd.DataFrame, asked: Resolution, context: Context, growth: ProcessGrowth | None = None
) -> Need:
    """Return the memory that is needed at an image.

    Between counts the pixels decide: the next image with fewer bounds it from below, the next with
    more from above, each by `SHAPE` less sharply where neither has room in the other. An elongated
    image is bounded only by such that hold it, or that it holds.

    Args:
        counts: rows of `memory_methods.csv` of one method in one variant, at least one.
        asked: the image of the sensor.
        context: to add.
        growth: of a process on a CPU; None: not measured.
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
        growth=growth,
        reserved=_reserved(rows if padded is None else known[padded].to_frame().T),
    )


def _reserved(rows: pd.DataFrame) -> float | None:
    """The largest ratio of what the allocator holds, with libraries, to the count."""
    if "reserved_bytes" not in rows:
        return None
    known = rows[rows["reserved_bytes"].notna()]
    if known.empty:
        return None
    held = known["reserved_bytes"] + known["library_bytes"].fillna(0)
    return float((held / known["needed_bytes"]).max())


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
    if need.counted_high is None:
        return "uncertain", f"not counted at this size: {need.basis}"
    if need.high is None:
        return "uncertain", f"counted {need.counted_high / GIB:.4g} of {size}: {NO_GROWTH}"
    if need.high <= memory_bytes:
        beyond = "" if need.growth is None else f": {need.growth.told}"
        return "fits", f"needs at most {need.high / GIB:.4g} of {size}{beyond}"
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


NO_GROWTH = "how many times the count its process takes was not measured on this machine"


def _unknown(need: Need) -> str:
    parts = []
    if need.context.basis == "assumed":
        what = "CUDA's context" if need.device_type == "cuda" else "the process without the method"
        system = " with the system's share" if need.context.with_system else ""
        parts.append(f"{what}{system} is assumed")
    if need.counted_low != need.counted_high:
        parts.append(need.basis)
    beyond = "the allocator's reserve is assumed"
    if need.reserved is not None and need.reserved > 1 + ALLOCATOR_RESERVE:
        beyond = f"the allocator is predicted to hold {need.reserved:.2f} times the count"
    beyond = beyond if need.growth is None else need.growth.told
    return "; ".join([*parts, beyond])


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
