"""Plans of tiles: which sizes fit a memory, how many tiles there are, and how long they take.

Memory of a cut image follows from the count of one tile: in place of the tile the whole image lies
on the device, and beside it the joined map; a bank of patches grows with the tiles. That is what a
count of the cut image says, too. Time is that of an inference of tiles, measured or predicted at
their size, times their number, and what is done once with the whole image.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pandas as pd

from adscale.errors import ConfigError
from adscale.memory_record import MemoryCount, MemoryRecord
from adscale.methods.registry import get_spec
from adscale.methods.spec import MethodSpec
from adscale.resolution import Resolution
from adscale.tiles import KEY, TilePlan, Tiles, exact_overlap_px, plan_tiles
from adscale.variant import Variant

from ..fits.models import NOTHING_KNOWN
from ..statistics.summary import Estimate
from .devices import Target
from .fitting import Need, fits
from .process import in_unified_memory, measured_context
from .rows import Latencies

FLOAT_BYTES = 4

USELESS_SHARE = 0.5
"""An overlap of more than half a tile's side is of no use: most of it would be computed twice."""

ONCE = ("prepare", "copy_to_device", "copy_to_host")
"""Parts of the latency of an image that are done once with the whole of it."""


class Exactness(NamedTuple):
    """How tiles overlap.

    Attributes:
        name: `exact` or `auto`, and `whole` of an image that is not cut.
        overlap_px: that neighbours share at least; None: what the method's rule says.
    """

    name: str
    overlap_px: int | None


@dataclass(frozen=True)
class Candidate:
    """A way to inspect an image.

    Attributes:
        plan: how it is cut.
        exactness: `exact`, `auto` or `whole`.
        counted_bytes: what the device must hold.
        verdict: `fits`, `does_not_fit` or `uncertain`.
        reason: of the verdict, in words.
        inferences: of tiles, in an image.
        time: of an image in ms; None: not known.
        basis: of that time: `measured`, `interpolated` or `extrapolated`.
        problem: why there is no time.
    """

    plan: TilePlan
    exactness: str
    counted_bytes: int
    verdict: str
    reason: str
    inferences: int
    time: Estimate | None
    basis: str | None
    problem: str | None


class Planner:
    """Plans for a method in a variant on a target.

    Args:
        record: its counts.
        target: where it shall run.
        runtime: rows of `runtime.csv` of the device of the target, of this method and variant;
            None: nothing was measured there.
        measured: `memory_measured.csv`; None: contexts are assumed.
    """

    def __init__(
        self,
        record: MemoryRecord,
        target: Target,
        runtime: pd.DataFrame | None,
        measured: pd.DataFrame | None,
    ) -> None:
        self.record, self.target = record, target
        self._spec: MethodSpec = get_spec(record.target)
        self._variant = Variant.of(str(record.variant))
        context = measured_context(measured, target.hardware, record.method, str(record.variant))
        self._context = in_unified_memory(context) if target.unified_memory else context
        self._tile = self._once = None
        if runtime is not None:
            self._tile = Latencies(runtime, NOTHING_KNOWN, "image")
            self._once = [Latencies(runtime, NOTHING_KNOWN, part) for part in ONCE]

    def candidates(self, image: Resolution) -> list[Candidate]:
        """All ways to inspect an image with tiles that were counted, in order of their pixels."""
        found: dict[tuple[Any, ...], Candidate] = {}
        for count in self.record.resolutions:
            tile = count.resolution
            if tile != image and not (tile.is_square and image.holds(tile)):
                continue
            for way in self._ways(tile, image):
                plan = self._plan(image, tile, way.overlap_px)
                if plan is not None:
                    key = (plan.tile, plan.across.offsets, plan.down.offsets)
                    found.setdefault(key, self._candidate(plan, count, way.name))
        return list(found.values())

    def exact_is_useless(self, image: Resolution) -> str | None:
        """Why exact tiles are of no use, in words; None where they are of use."""
        exact_px = self._exact_px
        if exact_px is None:
            return "no part of it is known to be local"
        sizes = [one.resolution for one in self.record.resolutions if image.holds(one.resolution)]
        largest = max((min(one.width_px, one.height_px) for one in sizes), default=0)
        if exact_px > USELESS_SHARE * largest:
            return f"{exact_px} px would have to be shared, and tiles have up to {largest} px"
        return None

    @property
    def _exact_px(self) -> int | None:
        return exact_overlap_px(self._spec.tiling(self.record.settings))

    def _ways(self, tile: Resolution, image: Resolution) -> Iterator[Exactness]:
        if tile == image:
            yield Exactness("whole", 0)
            return
        exact_px = self._exact_px
        if exact_px is not None and exact_px <= USELESS_SHARE * min(tile.shape):
            yield Exactness("exact", exact_px)
        yield Exactness("auto", None)

    def _plan(self, image: Resolution, tile: Resolution, overlap_px: int | None) -> TilePlan | None:
        """The plan that a run of these tiles has; None where nothing of a tile is left."""
        overlap: Any = "auto" if overlap_px is None else overlap_px
        tiles = Tiles(size=tile, overlap=overlap, batch=self._variant.batch)
        settings = self.record.settings
        try:
            return plan_tiles(
                image,
                tiles,
                self._spec.tiling(settings),
                lambda one: self._spec.resolution_problem(settings, one) is None,
            )
        except ConfigError:
            return None

    def _candidate(self, plan: TilePlan, count: MemoryCount, exactness: str) -> Candidate:
        counted_bytes = cut_bytes(self.record, self._spec, count, plan)
        need = Need(
            plan.image, counted_bytes, counted_bytes, self._context, "counted",
            self.record.device_type, count.incomplete,
        )  # fmt: skip
        verdict, reason = fits(need, self.target.memory_bytes, self.target.device_type)
        inferences = math.ceil(plan.number / plan.batch)
        time, basis, problem = self._time(plan, count.resolution, inferences)
        return Candidate(
            plan, exactness, counted_bytes, verdict, reason, inferences, time, basis, problem
        )

    def _time(
        self, plan: TilePlan, tile: Resolution, inferences: int
    ) -> tuple[Estimate | None, str | None, str | None]:
        """Time of an image, its basis, and why there is none."""
        if self._tile is None or self._once is None:
            return None, None, "not measured there, and never taken from another GPU"
        of_tile = self._tile.at(tile)
        if isinstance(of_tile, str):
            return None, None, of_tile
        parts = [(of_tile.mean, inferences)]
        for latencies in self._once:
            once = latencies.at(plan.image)
            if not isinstance(once, str):
                parts.append((once.mean, 1))
        return _summed(parts), of_tile.basis, None


def _summed(parts: Sequence[tuple[Estimate, int]]) -> Estimate:
    """A sum of times; their ends are added, as if all erred to the same side."""

    def end(name: str) -> float | None:
        ends = [getattr(part, name) for part, _ in parts]
        if any(one is None for one in ends):
            return None
        return float(sum(one * times for one, (_, times) in zip(ends, parts, strict=True)))

    value = sum(part.value * times for part, times in parts)
    return Estimate(value, end("low"), end("high"))


def cut_bytes(record: MemoryRecord, spec: MethodSpec, count: MemoryCount, plan: TilePlan) -> int:
    """What a device must hold to inspect a cut image, as a count of it says.

    Args:
        record: of the count.
        spec: of the method.
        count: of one inference of tiles.
        plan: how the image is cut.
    """
    if plan.number == 1:
        return count.needed_bytes
    pixels = plan.image.pixels
    is_on_host = record.variant.implementation in spec.maps_on_host and record.device_type != "cpu"
    joined_bytes = 0 if is_on_host else FLOAT_BYTES * pixels
    score_bytes = FLOAT_BYTES
    banks_bytes = sum(
        bank(record.settings, count.resolution, plan.number)
        - bank(record.settings, count.resolution, 1)
        for bank in spec.growing_banks.values()
    )
    image_bytes = 3 * FLOAT_BYTES * pixels
    return count.needed_bytes + image_bytes + joined_bytes + score_bytes + banks_bytes


_RANK = {"fits": 0, "uncertain": 1, "does_not_fit": 2}


def best_of(candidates: Sequence[Candidate]) -> Candidate | None:
    """The plan to take: of those that fit for certain the fastest; None where none may fit.

    Where no time is known, that with the fewest pixels to compute, and of equal ones the larger
    tiles. What may fit comes behind what does.
    """
    fitting = [one for one in candidates if one.verdict != "does_not_fit"]
    if not fitting:
        return None

    def order(one: Candidate) -> tuple[float, ...]:
        pixels = one.plan.number * one.plan.tile.pixels
        time = math.inf if one.time is None else one.time.value
        return (_RANK[one.verdict], time, pixels, one.plan.number)

    return min(fitting, key=order)


def planners(
    records: Sequence[MemoryRecord],
    targets: Sequence[Target],
    runtime: pd.DataFrame | None,
    measured: pd.DataFrame | None,
) -> Iterator[Planner]:
    """A planner for each method in a variant on each target; those that cut already are left out.

    Args:
        records: of the counts.
        targets: where they shall run.
        runtime: `runtime.csv`; None: nothing was measured.
        measured: `memory_measured.csv`; None: contexts are assumed.
    """
    for record in records:
        if KEY in record.settings or not record.resolutions:
            continue
        for target in targets:
            own: pd.DataFrame | None = None
            if runtime is not None and target.device is not None:
                wanted: Mapping[str, str] = {
                    "device": target.device, "method": record.method,
                    "variant": str(record.variant),
                }  # fmt: skip
                own = runtime[(runtime[list(wanted)] == list(wanted.values())).all(axis=1)]
            yield Planner(record, target, own, measured)
