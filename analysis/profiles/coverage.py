"""What the tables of a profile leave out, in numbers and in sentences."""

from __future__ import annotations

from typing import Any

from ..attribution.attribute import Coverage
from .profile_work import KINDS, Kind, ProfileWork
from .range_table import KERNEL_TABLE, NS_PER_MS

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
