"""Coverage: what the tables of a profile or run leave out, in numbers and in sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..attribution.attribute import Coverage
from ..nsys.ranges import MOST_OPEN
from ..nsys.records import Capture, Forgotten, Int64s
from ..numbers import percent
from .cross_thread import Scope
from .paths import SEPARATOR, path_names, path_texts
from .questions import Question
from .work import KINDS, NS_PER_MS, Kind, ProfileWork

_WORDS: dict[Kind, str] = {
    "kernels": "kernels",
    "copies": "memory copies",
    "memsets": "memory sets",
    "graphs": "whole CUDA graphs",
}


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


class Facts(NamedTuple):
    """What is known of a whole profile, whatever is asked of it.

    Attributes:
        capture: what the export says of the capture itself.
        migrations: copies that the driver made by itself.
        migration_ns: sum of their durations.
        cross_thread_ranges: ranges that another thread ended.
        forgotten_ranges: ranges left out because they were opened and never closed.
        forgotten: these by their names.
        open_ranges: ranges that were never closed, with those that are left out.
        nested_otherwise: paths that nsys' reports nest otherwise.
    """

    capture: Capture
    migrations: int
    migration_ns: int
    cross_thread_ranges: int
    forgotten_ranges: int
    forgotten: tuple[Forgotten, ...]
    open_ranges: int
    nested_otherwise: Sequence[NestedOtherwise]


def facts_of(work: ProfileWork) -> Facts:
    """What is known of the profile of some work."""
    profile = work.profile
    return Facts(
        profile.capture,
        profile.migrations,
        profile.migration_ns,
        profile.cross_thread_ranges,
        profile.forgotten_ranges,
        profile.forgotten,
        int(profile.ranges.is_open.sum()) + profile.forgotten_ranges,
        nested_otherwise(work),
    )


class Asked(NamedTuple):
    """What a question leaves, in numbers.

    Attributes:
        question: what was asked.
        left_out: operations of each kind that it leaves out of everything.
        partial: ranges of which a part lies outside of the window.
    """

    question: Question
    left_out: dict[str, int]
    partial: int


class ProfileCoverage:
    """Work that belongs to no range, ranges that are not in the table, and what was lost.

    Args:
        facts: of the profile.
        kinds: work of each kind that belongs to no range.
        depths: number of names above the last one of each path that has a row.
        asked: what a question leaves; None: nothing was asked.
        levels: how many levels of ranges the tables show; None for all.
    """

    def __init__(
        self,
        facts: Facts,
        kinds: dict[Kind, Coverage],
        depths: Int64s,
        asked: Asked | None,
        levels: int | None = None,
    ) -> None:
        self.kinds = kinds
        self.power_problem = ""
        self.inferred: Scope | None = None
        self.shared_kernels = 0
        self.asked = asked
        self.question = {} if asked is None else asked.question.as_dict()
        self.capture = facts.capture
        self.migrations, self.migration_ns = facts.migrations, facts.migration_ns
        self.cross_thread_ranges = facts.cross_thread_ranges
        self.forgotten_ranges, self.forgotten = facts.forgotten_ranges, facts.forgotten
        self.open_ranges = facts.open_ranges
        self.nested_otherwise = facts.nested_otherwise
        self.levels, self.deepest = levels, int(depths.max(initial=-1)) + 1
        self.deeper_paths = 0 if levels is None else int((depths >= levels).sum())

    @classmethod
    def of(cls, work: ProfileWork, levels: int | None = None) -> ProfileCoverage:
        """The coverage of some work.

        Args:
            work: of the profile.
            levels: how many levels of ranges the tables show; None for all.
        """
        selection = work.selection
        asked = selection and Asked(selection.question, selection.left_out, selection.partial)
        code = work.paths.code if selection is None else work.paths.code[selection.shown]
        has_row = np.bincount(code, minlength=len(work.paths.parent)) > 0
        kinds = {kind: work.coverage(kind) for kind in KINDS}
        return cls(facts_of(work), kinds, work.paths.depths()[has_row], asked, levels)

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
            "left_out_by_question": self.asked.left_out if self.asked else {},
            "partly_in_window": self.asked.partial if self.asked else 0,
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
        if self.asked is not None:
            notes += _question_notes(self.asked)
        if self.migrations:
            notes.append(
                f"{self.migrations} copies were migrations of unified memory "
                f"({self.migration_ns / NS_PER_MS:.3f} ms): no call launches them, and they are in "
                "no row."
            )
        if self.cross_thread_ranges:
            notes.append(
                f"{self.cross_thread_ranges} ranges were ended by another thread: they are in no "
                "path, and have rows of their own."
            )
        if self.inferred:
            notes.append(_inferred_note(self.inferred, self.shared_kernels))
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


def _inferred_note(scope: Scope, shared_kernels: int) -> str:
    what = "launched outside every range of its own thread" if scope == "launch" else "launched"
    shared = ""
    if shared_kernels:
        shared = f"; {shared_kernels} kernels are in ranges of several threads, and count in each"
    return (
        f"Inferred from times alone: work that another thread of the process {what} while the "
        f"range was open. It is in no other figure{shared}."
    )


def _named(forgotten: Sequence[Forgotten]) -> str:
    """The first names, and how many others there are."""
    named = ", ".join(f"{one.ranges} × {one.label or 'without a name'}" for one in forgotten[:3])
    return f"{named} and {len(forgotten) - 3} more names" if len(forgotten) > 3 else named


def _question_notes(asked: Asked) -> list[str]:
    notes = []
    left_out = [f"{asked.left_out[kind]} {_WORDS[kind]}" for kind in KINDS if asked.left_out[kind]]
    if left_out:
        where = "outside of the window or inside excluded ranges"
        notes.append(f"Left out, because launched {where}: {', '.join(left_out)}.")
    if asked.partial:
        notes.append(
            f"{asked.partial} ranges lie only partly in the window: their host time is cut to "
            "it, and they count as calls."
        )
    return notes


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
