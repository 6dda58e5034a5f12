"""Coverage: what the tables of a profile or run leave out, in numbers and in sentences."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from adscale.names import IMAGE

from ..attribution.attribute import Coverage, coverage_of
from ..nsys.ranges import MOST_OPEN
from ..nsys.records import Bools, Forgotten, Int64s, Profile
from ..numbers import percent
from .paths import SEPARATOR, path_names, path_texts
from .questions import Selection
from .work import KINDS, NS_PER_MS, Kind, ProfileWork

if TYPE_CHECKING:  # importing pandas or the models of a record takes as long as a small profile
    import pandas as pd

    from .run_work import RunWork

_WORDS: dict[Kind, str] = {
    "kernels": "kernels",
    "copies": "memory copies",
    "memsets": "memory sets",
    "graphs": "whole CUDA graphs",
}

ENOUGH = 0.99
"""Share of the time of the images below which a run is warned about."""


class ProfileCoverage:
    """Work that belongs to no range, ranges that are not in the table, and what was lost.

    Args:
        work: of the profile.
        levels: how many levels of ranges the tables show; None for all.
    """

    def __init__(self, work: ProfileWork, levels: int | None = None) -> None:
        profile = work.profile
        self.kinds = {kind: work.coverage(kind) for kind in KINDS}
        self.power_problem = ""
        self.selection = work.selection
        self.question = {} if work.selection is None else work.selection.question.as_dict()
        self.capture = profile.capture
        self.migrations, self.migration_ns = profile.migrations, profile.migration_ns
        self.cross_thread_ranges = profile.cross_thread_ranges
        self.forgotten_ranges, self.forgotten = profile.forgotten_ranges, profile.forgotten
        self.open_ranges = int(profile.ranges.is_open.sum()) + profile.forgotten_ranges
        self.nested_otherwise = nested_otherwise(work)
        depths = work.paths.depths()[np.unique(work.paths.code[work.shown])]
        self.levels, self.deepest = levels, int(depths.max(initial=-1)) + 1
        self.deeper_paths = 0 if levels is None else int((depths >= levels).sum())

    @property
    def coverage(self) -> Coverage:
        """The coverage of the kernels."""
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
            "cuda": self.capture.cuda,
            "lost_launches": self.capture.lost_launches,
            "missing_kernels": self.capture.missing_kernels,
            "whole_graphs": self.kinds["graphs"].kernels,
            "cross_thread_ranges": self.cross_thread_ranges,
            "open_ranges": self.open_ranges,
            "open_ranges_left_out": self.forgotten_ranges,
            "left_open": [
                {"range": one.label, "thread": one.thread, "ranges": one.ranges}
                for one in self.forgotten
            ],
            "deeper_paths": self.deeper_paths,
            "lost_events": list(self.capture.lost),
            **others,
            "migrations": {"count": self.migrations, "sum_ns": self.migration_ns},
            "nested_otherwise_by_nsys": [one._asdict() for one in self.nested_otherwise],
            "left_out_by_question": self.selection.left_out if self.selection else {},
            "partly_in_window": self.selection.partial if self.selection else 0,
            "warnings": self.warnings(),
        }

    def warnings(self) -> list[str]:
        """What was not recorded as it happened, a sentence each: it belongs to every output."""
        found = []
        if self.capture.cuda == "lost":
            found.append(
                f"{self.capture.lost_launches} launches of kernels were recorded, but no kernel: "
                "GPU times are unknown, not zero."
            )
        if self.capture.missing_kernels:
            found.append(
                f"At least {self.capture.missing_kernels} kernels are missing: their launches were "
                "recorded, and kernels that were launched after them in every stream. Kernel times "
                "are lower bounds."
            )
        if self.capture.lost:
            found.append(
                f"Events were lost: nsys says that not all {' and '.join(self.capture.lost)} "
                "events might have been collected, as where a process was killed; what is missing "
                "is in no row."
            )
        if kept := self.open_ranges - self.forgotten_ranges:
            found.append(
                f"{kept} ranges were never closed: they count up to the last timestamp of all "
                "ranges, which is not their own."
            )
        if self.forgotten_ranges:
            found.append(
                f"{self.forgotten_ranges} ranges were never closed and are left out "
                f"({_named(self.forgotten)}), since their thread left several of one name open, or "
                f"more than {MOST_OPEN}: each would enclose all later ones. Work in no other range "
                "counts as outside."
            )
        return found

    def notes(self) -> list[str]:
        """Return notes to a reader of the tables, a sentence each; the warnings among them."""
        notes = [_note("kernels", self.coverage) if self.coverage.kernels else self._no_kernels()]
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
        if self.selection is not None:
            notes += _question_notes(self.selection)
        if self.migrations:
            notes.append(
                f"{self.migrations} copies were migrations of unified memory "
                f"({self.migration_ns / NS_PER_MS:.3f} ms): no call launches them, and they are in "
                "no row."
            )
        if self.cross_thread_ranges:
            notes.append(f"{self.cross_thread_ranges} ranges ended on another thread: left out.")
        if self.deeper_paths:
            notes.append(
                f"{self.deeper_paths} paths are not shown: those of more than {self.levels} ranges "
                f"inside each other, up to {self.deepest}; --depth 0 shows all."
            )
        if self.power_problem:
            notes.append(f"The energy of ranges is unknown: {self.power_problem}.")
        if self.nested_otherwise:
            notes.append(_nested_note(self.nested_otherwise))
        return [note for note in notes if note] + self.warnings()

    def _no_kernels(self) -> str:
        return {
            "recorded": "The profile holds no kernels.",
            "no kernels": "CUDA was traced, and no kernel was launched.",
            "no calls": "CUDA was traced, but none of its calls was recorded: the program did not "
            "use it, or tracing failed. GPU times are unknown, not zero.",
            "lost": "",
            "not traced": "CUDA was not traced: GPU times are unknown, not zero.",
            "unknown": "The profile holds no table of kernels: GPU times are unknown, not zero.",
        }[self.capture.cuda]


def _named(forgotten: Sequence[Forgotten]) -> str:
    """The first names, and how many others there are."""
    named = ", ".join(f"{one.ranges} × {one.label or 'without a name'}" for one in forgotten[:3])
    return f"{named} and {len(forgotten) - 3} more names" if len(forgotten) > 3 else named


def _question_notes(selection: Selection) -> list[str]:
    notes = []
    left_out = [
        f"{selection.left_out[kind]} {_WORDS[kind]}" for kind in KINDS if selection.left_out[kind]
    ]
    if left_out:
        where = "outside of the window or inside excluded ranges"
        notes.append(f"Left out, because launched {where}: {', '.join(left_out)}.")
    if selection.partial:
        notes.append(
            f"{selection.partial} ranges lie only partly in the window: their host time is cut to "
            "it, and they count as calls."
        )
    return notes


class NestedOtherwise(NamedTuple):
    """Calls of a path that lie in two ranges which overlap each other.

    Attributes:
        path: names from the outermost range down.
        nsys_parent: path of the range that nsys' reports have them in.
        calls: their number.
    """

    path: list[str]
    nsys_parent: list[str]
    calls: int


def nested_otherwise(work: ProfileWork) -> list[NestedOtherwise]:
    """The paths that nsys' reports nest otherwise, those with the most calls first."""
    nesting, code = work.nesting, work.paths.code
    place, shortest = nesting.nested_otherwise()
    if not len(place):
        return []
    pairs, calls = np.unique(
        np.stack([code[nesting.order[place]], code[nesting.order[shortest]]]),
        axis=1,
        return_counts=True,
    )
    texts = path_texts(work.paths)
    found = [
        NestedOtherwise(path_names(texts[path]), path_names(texts[parent]), int(count))
        for (path, parent), count in zip(pairs.T.tolist(), calls.tolist(), strict=True)
    ]
    return sorted(found, key=lambda one: (-one.calls, one.path, one.nsys_parent))


def _nested_note(found: Sequence[NestedOtherwise]) -> str:
    calls = sum(one.calls for one in found)
    first = found[0]
    return (
        f"{calls} calls lie in two ranges that overlap, and are in the one that starts last; nsys' "
        f"reports have them in the shorter one: {SEPARATOR.join(first.path)} in "
        f"{SEPARATOR.join(first.nsys_parent)}{', and others' if len(found) > 1 else ''}."
    )


def _note(kind: str, found: Coverage) -> str:
    whose = "the kernel" if kind == "kernels" else "their"
    share = "" if found.share is None else f" ({percent(found.share, 1)} of {whose} time)"
    inside = found.kernels - found.outside - found.without_launch
    return (
        f"{inside} of {found.kernels} {kind} were launched inside ranges{share}; "
        f"{found.outside} outside every range of the launching thread "
        f"({found.outside_ns / NS_PER_MS:.3f} ms), {found.without_launch} without a "
        f"recorded launch ({found.without_launch_ns / NS_PER_MS:.3f} ms)."
    )


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
