"""Phase, image and path of each range of a run, and whether all that was measured is there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from adscale.errors import ProfileError
from adscale.names import DOMAIN, IMAGE

from ..attribution.nesting import Nesting
from ..attribution.range_tree import range_paths
from ..nsys.records import Int64s, Profile, Ranges, Strings
from ..runs.record import Run

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


_CAUSE = (
    "the package nvtx may be newer than this nsys understands "
    "(nvtx 0.2.12 and later record nothing under nsys 2023.4.4)"
)
_MEND_NVTX = "pin nvtx==0.2.11 or install a newer nsys-cli, then"


def check_ranges(run: Run, profile: Profile, ranges: Ranges, places: Places) -> None:
    """Refuse a profile that does not hold the measured images × submodules of its run.

    Args:
        run: what was measured.
        profile: the whole profile, for what nsys says about it.
        ranges: its ranges in our domain.
        places: where they stand.

    Raises:
        ProfileError: an `ok` run whose ranges are not those that were measured.
    """
    if run.status != "ok":
        return
    measured = _phase_mask(ranges, places, "measure")
    images = np.count_nonzero(measured & (places.depth == 0) & (ranges.name == IMAGE))
    paths = [f"{IMAGE}/{submodule}" for submodule in run.submodules]
    is_submodule = measured & np.isin(places.path.astype(str), paths)
    pairs = set(
        zip(places.image[is_submodule].tolist(), places.path[is_submodule].tolist(), strict=True)
    )
    expected = run.measured_images * len(run.submodules)
    if len(pairs) == expected and images == run.measured_images:
        return
    what = (
        f"the profile holds {len(pairs)} of {expected} submodule ranges and {images} of "
        f"{run.measured_images} images that run.json says were measured; "
        f"{_likely_cause(profile, len(ranges))}"
    )
    raise ProfileError(profile.path, what, f"{_mend(len(ranges))}{run.remeasure}")


def check_kernels(run: Run, profile: Profile, measured_kernels: int) -> None:
    """Refuse a GPU run whose kernel times would be too small, or zero, without a word.

    Args:
        run: what was measured.
        profile: its profile.
        measured_kernels: kernels launched in the measured images.

    Raises:
        ProfileError: no kernel was recorded, or CUDA graphs were traced as a whole.
    """
    if run.clock != "gpu" or run.status != "ok":
        return
    if profile.whole_graphs:
        what = f"{profile.whole_graphs} CUDA graphs were traced as a whole, without their kernels"
        remedy = f"record with --cuda-graph-trace=node: {run.remeasure}"
        raise ProfileError(profile.path, what, remedy)
    if not measured_kernels:
        what = f"no measured image launched a kernel ({len(profile.kernels)} in the whole profile)"
        remedy = f"trace CUDA as well (nsys profile -t cuda,nvtx): {run.remeasure}"
        raise ProfileError(profile.path, what, remedy)


def _phase_mask(ranges: Ranges, places: Places, phase: str) -> np.typing.NDArray[np.bool_]:
    names = np.append(ranges.name, "")  # the last one is for ranges outside the phases
    return np.asarray(names[places.phase] == phase, dtype=np.bool_)


def _likely_cause(profile: Profile, own_ranges: int) -> str:
    said = "; ".join(f'"{message}"' for message in profile.messages)
    said = f"; nsys says: {said}" if said else ""
    if own_ranges:
        return f"profile and run.json do not belong together, or recording was cut short{said}"
    return f"{_CAUSE}{said}"


def _mend(own_ranges: int) -> str:
    return "" if own_ranges else f"{_MEND_NVTX} "
