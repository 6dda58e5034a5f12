"""Coverage of a run: how much of its measured images the submodules account for."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from adscale.names import IMAGE

from ..attribution.attribute import Coverage, coverage_of
from ..nsys.records import Bools, Int64s, Profile
from ..numbers import percent

if TYPE_CHECKING:  # importing pandas or the models of a record takes as long as a small profile
    import pandas as pd

    from .run_work import RunWork

ENOUGH = 0.99
"""Share of the time of the images below which a run is warned about."""


class RunCoverage(NamedTuple):
    """Kernels of the measured images, and which of them belong to no submodule.

    Attributes:
        coverage: kernels launched during a measured image by any thread, and kernels without a
            launch that ran during one; outside are those in no submodule of an image.
        stray_names: of those in none, the longest total time first.
    """

    coverage: Coverage
    stray_names: tuple[str, ...]

    @property
    def share(self) -> float | None:
        """Share of the kernel time that submodules account for; None where no kernel ran."""
        return self.coverage.share

    def warning(self) -> str | None:
        """Warn of too low a share, in one line; None where it is enough."""
        if self.share is None or self.share >= ENOUGH:
            return None
        named = ", ".join(self.stray_names[:3])
        more = f" and {len(self.stray_names) - 3} more" if len(self.stray_names) > 3 else ""
        return (
            f"the submodules account for {percent(self.share, 1)} of the kernel time of the "
            f"measured images; outside them ran {named}{more}"
        )

    def as_metadata(self) -> dict[str, str]:
        """Texts for the metadata of `ranges.parquet`."""
        return {
            "kernel_time_coverage": "" if self.share is None else repr(self.share),
            "measured_kernel_ns": str(self.coverage.kernel_ns),
            "stray_kernel_ns": str(self.coverage.stray_ns),
            "stray_kernels": json.dumps(self.stray_names),
        }


def run_coverage(of_run: RunWork) -> RunCoverage:
    """Find the kernels of the measured images that no submodule accounts for."""
    kernels, found = of_run.work.profile.kernels, of_run.work.kinds["kernels"]
    during = np.flatnonzero(_during_images(of_run))
    accounted = np.append(_in_submodules(of_run), [False])[found.kernel_range[during]]
    return RunCoverage(
        coverage_of(kernels.select(during), found.launch[during], accounted),
        _names(of_run.work.profile, during[~accounted]),
    )


def _in_submodules(of_run: RunWork) -> Bools:
    """Which ranges are submodules of an image, or inside of one."""
    begins = tuple(f"{path}/" for path in of_run.run.submodule_paths)
    paths, code = np.unique(of_run.path.astype(str), return_inverse=True)
    inside = np.array([f"{path}/".startswith(begins) for path in paths.tolist()], np.bool_)
    return inside[code] & np.isin(of_run.top, of_run.images)


def _during_images(of_run: RunWork) -> Bools:
    """Kernels launched, or where the launch is unknown started, while an image was worked on."""
    profile, images = of_run.work.profile, of_run.images
    launch, inclusive = of_run.work.kinds["kernels"].launch, of_run.work.kinds["kernels"].inclusive
    if not len(images):
        return np.zeros(len(profile.kernels), np.bool_)
    moment_ns = profile.kernels.start_ns.copy()
    moment_ns[launch >= 0] = profile.calls.start_ns[launch[launch >= 0]]
    starts_ns, ends_ns = of_run.ranges.start_ns[images], of_run.ranges.end_ns[images]
    last_ns = np.where(inclusive.intervals[images] > 0, inclusive.last_ns[images], ends_ns)
    worked_until_ns = np.maximum(ends_ns, last_ns)
    order = np.argsort(starts_ns)
    started = np.searchsorted(starts_ns[order], moment_ns, side="right") - 1
    image = order[started]
    return (started >= 0) & (
        moment_ns <= np.where(launch >= 0, ends_ns[image], worked_until_ns[image])
    )


def _names(profile: Profile, at: Int64s) -> tuple[str, ...]:
    """Names of kernels, the longest total time first."""
    kernels = profile.kernels
    name_ids, group = np.unique(kernels.name_id[at], return_inverse=True)
    totals_ns = np.zeros(len(name_ids), np.int64)
    np.add.at(totals_ns, group, kernels.end_ns[at] - kernels.start_ns[at])
    longest_first = name_ids[np.argsort(-totals_ns, kind="stable")]
    return tuple(profile.kernel_names[int(name_id)] for name_id in longest_first)


def uncovered_share(table: pd.DataFrame, paths: Collection[str]) -> float | None:
    """Share of an image's host time outside of its submodules, the median of the measured images.

    A class of the user's may open a range in an image that is none of its submodules.

    Args:
        table: rows of `RANGE_COLUMNS` of one run.
        paths: of the submodules.

    Returns:
        None where no image was measured.
    """
    measured = table[table["phase"] == "measure"]
    whole = measured[measured["path"] == IMAGE].set_index("image_index")["host_ms"]
    inner = measured[measured["path"].isin(paths)]
    if whole.empty:
        return None
    covered = inner.groupby("image_index")["host_ms"].sum().reindex(whole.index, fill_value=0.0)
    return float((1 - covered / whole).median())


def uncovered_warning(share: float | None) -> str | None:
    """Warn of too large a share outside, in one line; None where it is small enough."""
    if share is None or share <= 1 - ENOUGH:
        return None
    return (
        f"{percent(share, 1)} of the measured images' host time is outside of all submodules: what "
        "happens there belongs to none of them"
    )
