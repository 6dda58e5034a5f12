"""The work of one of our runs by its ranges: phase, image and path of each.

Ranges can vanish from a profile without a word, so that they are counted.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from adscale.errors import ProfileError
from adscale.methods.foreign import is_foreign
from adscale.names import DOMAIN, IMAGE

from ..attribution.nesting import Nesting
from ..attribution.range_tree import levels_of
from ..nsys.records import Bools, Int64s, Profile, Ranges, Strings
from .paths import paths_in_run
from .work import ProfileWork, work_of

if TYPE_CHECKING:
    from .record import Run

PHASES = ("warmup", "measure")
"""The ranges at the top, each at most once."""

_BEFORE_IMAGE = frozenset({"load", "prepare", "copy_to_device", "flush"})


_CUT_SHORT = "profile and run.json do not belong together, or recording was cut short"
_NVTX_IS_NEWER = (
    "the package nvtx may be newer than this nsys understands "
    "(nvtx 0.2.12 and later record nothing under nsys 2023.4.4)"
)
_MEND_SOMETIMES = "name submodules that run in each image (docs/own-methods.md, `submodules`), or "
_MEND_COLD = "have one warm-up image at least, which shows what runs between submodules, or "
_MEND_ENDING = "have the method not end its process (os._exit, a signal), then "
_MEND_NVTX = "pin nvtx==0.2.11 or install a newer nsys-cli, then "


@dataclass(frozen=True)
class RunWork:
    """The kernels of a run by its own ranges; the arrays have one element per range.

    Attributes:
        run: what was measured.
        work: of the profile without the ranges of others; of kernels only.
        phase: name of the phase, `""` for ranges outside the phases and for phases.
        image: the number of the image within its phase, from 0.
        path: names from below the phase down to the range, see `path_in_run`.
        depth: 0 directly under the phase, −1 outside the phases.
        top: position of the range's ancestor directly under the phase, or of itself.
    """

    run: Run
    work: ProfileWork
    phase: Strings
    image: Int64s
    path: Strings
    depth: Int64s
    top: Int64s

    @property
    def ranges(self) -> Ranges:
        """Those in our domain."""
        return self.work.profile.ranges

    @property
    def measured(self) -> Bools:
        """Whether each range belongs to the measured phase."""
        return np.asarray(self.phase == "measure", np.bool_)

    @property
    def images(self) -> Int64s:
        """Positions of the ranges of measured images."""
        return np.flatnonzero(self.measured & (self.path == IMAGE))


def own_ranges(ranges: Ranges) -> Ranges:
    """The ranges in our domain."""
    return ranges.select(np.flatnonzero(ranges.domain == DOMAIN))


def work_of_run(run: Run, profile: Profile) -> RunWork:
    """Attribute the kernels of a run to its ranges, and find phase, image and path of each.

    Raises:
        ProfileError: a phase occurs twice, as when two runs share one profile.
    """
    own = replace(profile, ranges=own_ranges(profile.ranges))
    work = work_of(own, ("kernels",), own.ranges.name.tolist())
    phase, top = _ancestors(work.nesting, _phase_positions(run, work))
    return RunWork(
        run=run,
        work=work,
        phase=np.append(own.ranges.name, "")[phase],
        image=_image_numbers(own.ranges, phase, top),
        path=paths_in_run(work.paths)[work.paths.code],
        depth=np.where(phase >= 0, work.nesting.depth - 1, -1),
        top=top,
    )


def _phase_positions(run: Run, work: ProfileWork) -> list[int]:
    positions = []
    for phase in PHASES:
        is_phase = (work.profile.ranges.name == phase) & (work.nesting.depth == 0)
        found = np.flatnonzero(is_phase).tolist()
        if len(found) > 1:
            what = f"the profile holds the range {phase} {len(found)} times instead of once"
            raise ProfileError(run.path.parent, what, run.remeasure)
        positions.extend(found)
    return positions


def _ancestors(nesting: Nesting, phases: list[int]) -> tuple[Int64s, Int64s]:
    """Each range's phase and its ancestor directly under the phase, −1 for none."""
    phase = np.full(len(nesting.parent), -1, np.int64)
    top = np.full(len(nesting.parent), -1, np.int64)
    for level in levels_of(nesting.depth)[1:]:  # outer before inner
        parent = nesting.parent[level]
        below = np.isin(parent, phases)
        phase[level] = np.where(below, parent, phase[parent])
        top[level] = np.where(below, level, top[parent])
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


def check_ranges(of_run: RunWork) -> None:
    """Refuse a profile that does not hold the measured images × submodules of its run.

    Raises:
        ProfileError: an `ok` run whose ranges are not those that were measured.
    """
    run, profile = of_run.run, of_run.work.profile
    if run.status != "ok":
        return
    _check_none_lost(of_run)
    named = [(name,) for name in run.submodules]
    paths = [run.path_of(*names) for names in (*named, *run.inner_ranges)]
    at = np.flatnonzero(of_run.measured & np.isin(of_run.path.astype(str), paths))
    in_images = set(zip(of_run.image[at].tolist(), of_run.path[at].tolist(), strict=True))
    found = len(in_images)
    expected, images = run.measured_images * len(paths), len(of_run.images)
    if found == expected and images == run.measured_images:
        return
    said = "; ".join(f'"{message}"' for message in profile.capture.messages)
    said = f"; nsys says: {said}" if said else ""
    cause, mend = (_CUT_SHORT, "") if len(of_run.ranges) else (_NVTX_IS_NEWER, _MEND_NVTX)
    counts = Counter(path for _, path in in_images)
    if images == run.measured_images:
        fewest = min(paths, key=counts.__getitem__)
        cause += f", or the method runs {fewest} in {counts[fewest]} of {images} images only"
        mend = f"{'' if run.warmup_images else _MEND_COLD}{_MEND_SOMETIMES}"
    what = (
        f"the profile holds {found} of {expected} submodule ranges and {images} of "
        f"{run.measured_images} images that run.json says were measured; {cause}{said}"
    )
    raise ProfileError(profile.path, what, f"{mend}{run.remeasure}")


def _check_none_lost(of_run: RunWork) -> None:
    run, profile = of_run.run, of_run.work.profile
    lost = [kind for kind in profile.capture.lost if kind in ("NVTX", "CUDA")]
    if lost:
        what = f"not all {' and '.join(lost)} events of this run were recorded (nsys says so)"
        mend = _MEND_ENDING if is_foreign(run.record.request.target) else ""
        raise ProfileError(profile.path, what, f"{mend}{run.remeasure}")
    still_open = of_run.ranges.name[of_run.ranges.is_open].tolist()
    if still_open:
        what = f"{len(still_open)} ranges of this run were never closed, such as {still_open[0]}"
        raise ProfileError(profile.path, f"{what}; {_CUT_SHORT}", run.remeasure)


def check_kernels(of_run: RunWork, measured_kernels: int) -> None:
    """Refuse a GPU run whose kernel times would be too small, or zero, without a word.

    Args:
        of_run: the run.
        measured_kernels: kernels launched in the measured images.

    Raises:
        ProfileError: no kernel was recorded, or CUDA graphs were traced as a whole.
    """
    run, profile = of_run.run, of_run.work.profile
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
