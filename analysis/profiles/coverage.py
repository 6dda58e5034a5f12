"""What the tables of a profile leave out, in numbers and in sentences."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from adscale.names import IMAGE

from ..attribution.attribute import Attribution, Coverage
from ..nsys.records import Bools, Int64s, Profile, Ranges
from .layout import Places
from .work import KERNEL_TABLE, KINDS, NS_PER_MS, Kind, ProfileWork

_WORDS: dict[Kind, str] = {
    "kernels": "kernels",
    "copies": "memory copies",
    "memsets": "memory sets",
    "graphs": "whole CUDA graphs",
}


class ProfileCoverage:
    """Work that belongs to no range, and ranges that are not in the table.

    Args:
        work: of the profile.
    """

    def __init__(self, work: ProfileWork) -> None:
        self.kinds = {kind: work.kinds[kind].coverage for kind in KINDS}
        self.has_kernels = KERNEL_TABLE in work.profile.tables
        self.cross_thread_ranges = work.profile.cross_thread_ranges
        self.open_ranges = int(work.profile.ranges.is_open.sum())

    @property
    def coverage(self) -> Coverage:
        """That of the kernels."""
        return self.kinds["kernels"]

    def as_dict(self) -> dict[str, Any]:
        """All counts, for JSON."""
        others: dict[str, Any] = {
            kind: {
                "count": found.kernels,
                "sum_ns": found.kernel_ns,
                "without_launch": found.without_launch,
                "outside": found.outside,
            }
            for kind, found in self.kinds.items()
            if kind != "kernels"
        }
        return {
            **self.coverage._asdict(),
            "share": self.coverage.share,
            "kernel_table": self.has_kernels,
            "whole_graphs": self.kinds["graphs"].kernels,
            "cross_thread_ranges": self.cross_thread_ranges,
            "open_ranges": self.open_ranges,
            **others,
        }

    def notes(self) -> list[str]:
        """What a reader of the tables has to know, a sentence each."""
        if not self.has_kernels:
            notes = ["The profile holds no table of kernels: GPU times are unknown, not zero."]
        elif not self.coverage.kernels:
            notes = ["The profile holds no kernels."]
        else:
            notes = [_note("kernels", self.coverage)]
        notes += [
            _note(_WORDS[kind], found)
            for kind, found in self.kinds.items()
            if kind != "kernels" and found.without_launch + found.outside
        ]
        graphs = self.kinds["graphs"]
        if graphs.kernels:
            notes.append(
                f"{graphs.kernels} CUDA graph launches were traced as a whole "
                f"({graphs.kernel_ns / NS_PER_MS:.3f} ms); their kernels are unknown and not in "
                "the kernel times; record with --cuda-graph-trace=node to see them."
            )
        if self.cross_thread_ranges:
            notes.append(f"{self.cross_thread_ranges} ranges ended on another thread: left out.")
        if self.open_ranges:
            notes.append(
                f"{self.open_ranges} ranges were never closed: they count up to the last timestamp "
                "of all ranges."
            )
        return notes


def _note(kind: str, found: Coverage) -> str:
    whose = "the kernel" if kind == "kernels" else "their"
    share = "" if found.share is None else f" ({found.share:.1%} of {whose} time)"
    inside = found.kernels - found.outside - found.without_launch
    return (
        f"{inside} of {found.kernels} {kind} were launched inside ranges{share}; "
        f"{found.outside} outside every range of the launching thread "
        f"({found.outside_ns / NS_PER_MS:.3f} ms), {found.without_launch} without a "
        f"recorded launch ({found.without_launch_ns / NS_PER_MS:.3f} ms)."
    )


ENOUGH = 0.99
"""Share of the time of the images below which a run is warned about."""


class RunCoverage(NamedTuple):
    """Kernel time of the measured images.

    Attributes:
        kernel_ns: kernels launched during a measured image by any thread, and kernels without a
            launch that ran during one.
        stray_ns: those among them that belong to no submodule of the image.
        stray_names: their names, the longest total time first.
    """

    kernel_ns: int
    stray_ns: int
    stray_names: tuple[str, ...]

    @property
    def share(self) -> float | None:
        """Share that the submodules account for; None where no kernel ran."""
        return 1.0 - self.stray_ns / self.kernel_ns if self.kernel_ns else None

    def warning(self) -> str | None:
        """What is wrong with too low a share, in one line; None where it is enough."""
        if self.share is None or self.share >= ENOUGH:
            return None
        named = ", ".join(self.stray_names[:3])
        more = f" and {len(self.stray_names) - 3} more" if len(self.stray_names) > 3 else ""
        return (
            f"the submodules account for {self.share:.1%} of the kernel time of the measured "
            f"images; outside them ran {named}{more}"
        )

    def as_metadata(self) -> dict[str, str]:
        """Texts for the metadata of `ranges.parquet`."""
        return {
            "kernel_time_coverage": "" if self.share is None else repr(self.share),
            "measured_kernel_ns": str(self.kernel_ns),
            "stray_kernel_ns": str(self.stray_ns),
            "stray_kernels": json.dumps(self.stray_names),
        }


def run_coverage(
    profile: Profile, ranges: Ranges, places: Places, attribution: Attribution
) -> RunCoverage:
    """Find the kernels of the measured images that no submodule accounts for.

    Args:
        profile: the profile.
        ranges: its ranges in our domain.
        places: where they stand.
        attribution: of the profile's kernels to these ranges.
    """
    images = _measured_images(ranges, places)
    during = _during_images(profile, ranges, attribution, images)
    innermost = attribution.kernel_range
    depth = np.append(places.depth, -1)[innermost]
    top = np.append(places.top, -1)[innermost]
    accounted = (depth >= 1) & np.isin(top, images)
    stray = during & ~accounted
    duration_ns = profile.kernels.end_ns - profile.kernels.start_ns
    return RunCoverage(
        kernel_ns=int(duration_ns[during].sum()),
        stray_ns=int(duration_ns[stray].sum()),
        stray_names=_names(profile, stray, duration_ns),
    )


def _measured_images(ranges: Ranges, places: Places) -> Int64s:
    phase = np.append(ranges.name, "")[places.phase]
    found = (phase == "measure") & (places.depth == 0) & (ranges.name == IMAGE)
    return np.flatnonzero(found)


def _during_images(
    profile: Profile, ranges: Ranges, attribution: Attribution, images: Int64s
) -> Bools:
    """Kernels launched, or where the launch is unknown started, while an image was worked on."""
    launch, kernels = attribution.launch, profile.kernels
    moment_ns = kernels.start_ns.copy()
    moment_ns[launch >= 0] = profile.calls.start_ns[launch[launch >= 0]]
    starts_ns = ranges.start_ns[images]
    inclusive = attribution.inclusive
    last_ns = np.where(
        inclusive.intervals[images] > 0, inclusive.last_ns[images], ranges.end_ns[images]
    )
    worked_until_ns = np.maximum(ranges.end_ns[images], last_ns)
    order = np.argsort(starts_ns)
    place = np.searchsorted(starts_ns[order], moment_ns, side="right") - 1
    if not len(images):
        return np.zeros(len(kernels), np.bool_)
    image = order[place]
    end_ns = np.where(launch >= 0, ranges.end_ns[images][image], worked_until_ns[image])
    return (place >= 0) & (moment_ns <= end_ns)


def _names(profile: Profile, stray: Bools, duration_ns: Int64s) -> tuple[str, ...]:
    name_ids, group = np.unique(profile.kernels.name_id[np.flatnonzero(stray)], return_inverse=True)
    totals_ns = np.zeros(len(name_ids), np.int64)
    np.add.at(totals_ns, group, duration_ns[stray])
    longest_first = name_ids[np.argsort(-totals_ns, kind="stable")]
    return tuple(profile.kernel_names[int(name_id)] for name_id in longest_first)


def uncovered_share(table: pd.DataFrame) -> float | None:
    """Share of an image's host time outside of its submodules, the median of the measured images.

    Args:
        table: rows of `RANGE_COLUMNS` of one run.

    Returns:
        None where no image was measured.
    """
    measured = table[table["phase"] == "measure"]
    whole = measured[measured["path"] == IMAGE].set_index("image_index")["host_ms"]
    inner = measured[(measured["depth"] == 1) & measured["path"].str.startswith(f"{IMAGE}/")]
    if whole.empty:
        return None
    covered = inner.groupby("image_index")["host_ms"].sum().reindex(whole.index, fill_value=0.0)
    return float((1 - covered / whole).median())


def uncovered_warning(share: float | None) -> str | None:
    """What is wrong with too large a share outside, in one line; None where it is small enough."""
    if share is None or share <= 1 - ENOUGH:
        return None
    return (
        f"{share:.1%} of the measured images' host time is outside of all submodules: what happens "
        "there belongs to none of them"
    )
