"""Does the profile hold what `run.json` says was measured? Ranges can vanish without a word."""

from __future__ import annotations

import numpy as np

from adscale.errors import ProfileError
from adscale.names import IMAGE

from ..nsys.records import Profile, Ranges
from .placing import Places
from .record import Run

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
