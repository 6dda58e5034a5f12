"""Where each range of a run stands: its phase, its image, its path below the phase."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from adscale.errors import ProfileError
from adscale.names import DOMAIN, IMAGE

from ..attribution.nesting import Nesting
from ..attribution.paths import range_paths
from ..nsys.records import Int64s, Ranges, Strings
from .record import Run

PHASES = ("warmup", "measure")
"""The ranges at the top, each at most once."""

_BEFORE_IMAGE = frozenset({"load", "prepare", "copy_to_device", "flush"})


@dataclass(frozen=True)
class Places:
    """One element per range.

    Attributes:
        phase: position of the phase's range, −1 for ranges outside the phases and for phases.
        image: the number of the image within its phase, from 0.
        path: names from below the phase down to the range, joined by `/`.
        depth: 0 directly under the phase, −1 where `phase` is.
        top: position of the range's ancestor directly under the phase, or of itself.
    """

    phase: Int64s
    image: Int64s
    path: Strings
    depth: Int64s
    top: Int64s


def own_ranges(ranges: Ranges) -> Ranges:
    """The ranges in our domain."""
    return ranges.select(np.flatnonzero(ranges.domain == DOMAIN))


def place_ranges(run: Run, ranges: Ranges, nesting: Nesting) -> Places:
    """Find the place of every range.

    Raises:
        ProfileError: a phase occurs twice, as when two runs share one profile.
    """
    phase, top = _ancestors(nesting, _phase_positions(run, ranges, nesting))
    path = np.empty(len(ranges), dtype=object)
    path[:] = [full.partition("/")[2] for full in range_paths(nesting, ranges.name.tolist(), "/")]
    return Places(
        phase=phase,
        image=_image_numbers(ranges, phase, top),
        path=path,
        depth=np.where(phase >= 0, nesting.depth - 1, -1),
        top=top,
    )


def _phase_positions(run: Run, ranges: Ranges, nesting: Nesting) -> list[int]:
    positions = []
    for phase in PHASES:
        found = np.flatnonzero((ranges.name == phase) & (nesting.depth == 0)).tolist()
        if len(found) > 1:
            what = f"the profile holds the range {phase} {len(found)} times instead of once"
            raise ProfileError(run.path.parent, what, run.remeasure)
        positions.extend(found)
    return positions


def _ancestors(nesting: Nesting, phases: list[int]) -> tuple[Int64s, Int64s]:
    """Each range's phase and its ancestor directly under the phase."""
    phase = np.full(len(nesting.parent), -1, np.int64)
    top = np.full(len(nesting.parent), -1, np.int64)
    is_phase = set(phases)
    for position in nesting.order.tolist():  # outer before inner
        parent = int(nesting.parent[position])
        if parent in is_phase:
            phase[position], top[position] = parent, position
        elif parent >= 0:
            phase[position], top[position] = phase[parent], top[parent]
    return phase, top


def _image_numbers(ranges: Ranges, phase: Int64s, top: Int64s) -> Int64s:
    """Number of the image to which each range belongs.

    What comes before an `image` range belongs to the next one, everything else to the last one.
    """
    number = np.full(len(ranges), -1, np.int64)
    for at in np.unique(phase[phase >= 0]):
        inside = np.flatnonzero(phase == at)
        tops = inside[top[inside] == inside]
        starts_ns = np.sort(ranges.start_ns[tops[ranges.name[tops] == IMAGE]])
        started = np.searchsorted(starts_ns, ranges.start_ns[top[inside]], side="right")
        before = np.isin(ranges.name[top[inside]].astype(str), list(_BEFORE_IMAGE))
        number[inside] = np.where(before, started, started - 1)
    return number
