"""The ranges of any profile, added up by their path: what `attribute` shows.

Columns, in this order: `path` (names from the outermost range, joined by ` > `), `calls` (ranges at
that path), `host_ms` (sum of their durations on the CPU thread), and of the kernels launched
inside: `kernels` (number), `kernel_sum_ms` (sum of durations), `exclusive_ms` (the same for
kernels of which it is the innermost range), `busy_ms` and `span_ms` (union, and last end minus
first start, of each call; added up). GPU times are null where the profile holds no kernels' table,
spans where no kernel was launched.
"""

from __future__ import annotations

import json

import numpy as np
import pandas as pd

from analysis.attribution.attribute import Attribution, Coverage, attribute
from analysis.attribution.paths import range_paths
from analysis.nsys.records import Profile
from analysis.tables import Schema

PROFILE_COLUMNS: Schema = {
    "path": "string",
    "calls": "Int64",
    "host_ms": "Float64",
    "kernels": "Int64",
    "kernel_sum_ms": "Float64",
    "exclusive_ms": "Float64",
    "busy_ms": "Float64",
    "span_ms": "Float64",
}
"""Columns of the table."""

_SEPARATOR = " > "
_NS_PER_MS = 1e6
_KERNEL_TABLE = "CUPTI_ACTIVITY_KIND_KERNEL"


class ProfileCoverage:
    """What the table leaves out.

    Args:
        coverage: kernels that belong to no range.
        profile: for what nsys' export does not tell.
    """

    def __init__(self, coverage: Coverage, profile: Profile) -> None:
        self.coverage = coverage
        self.has_kernels = _KERNEL_TABLE in profile.tables
        self.whole_graphs = profile.whole_graphs
        self.cross_thread_ranges = profile.cross_thread_ranges

    def as_json(self) -> str:
        """All counts as a JSON object."""
        share = self.coverage.share
        extra = {
            "share": share,
            "kernel_table": self.has_kernels,
            "whole_graphs": self.whole_graphs,
            "cross_thread_ranges": self.cross_thread_ranges,
        }
        return json.dumps({**self.coverage._asdict(), **extra})

    def notes(self) -> list[str]:
        """What a reader of the table has to know, a sentence each."""
        if not self.has_kernels:
            notes = ["The profile holds no table of kernels: GPU times are unknown, not zero."]
        else:
            notes = [_kernel_note(self.coverage)]
        if self.whole_graphs:
            notes.append(
                f"{self.whole_graphs} CUDA graph launches were traced as a whole and are not in "
                "the table; record with --cuda-graph-trace=node to see their kernels."
            )
        if self.cross_thread_ranges:
            notes.append(f"{self.cross_thread_ranges} ranges ended on another thread: left out.")
        return notes


def profile_table(profile: Profile) -> tuple[pd.DataFrame, ProfileCoverage]:
    """Add up the ranges of a profile by their path.

    Returns:
        Rows of `PROFILE_COLUMNS` in the order in which the paths first occur, and what they
        leave out.
    """
    attribution = attribute(profile.ranges, profile.calls, profile.kernels)
    coverage = ProfileCoverage(attribution.coverage, profile)
    table = _added_up(profile, attribution)
    if not coverage.has_kernels:
        table[list(PROFILE_COLUMNS)[3:]] = pd.NA
    return table.astype(dict(PROFILE_COLUMNS)), coverage


def _added_up(profile: Profile, attribution: Attribution) -> pd.DataFrame:
    ranges, gpu = profile.ranges, attribution.inclusive
    each = pd.DataFrame(
        {
            "path": range_paths(attribution.nesting, ranges.labels(), _SEPARATOR),
            "calls": np.ones(len(ranges), np.int64),
            "host_ms": (ranges.end_ns - ranges.start_ns) / _NS_PER_MS,
            "kernels": gpu.intervals,
            "kernel_sum_ms": gpu.total_ns / _NS_PER_MS,
            "exclusive_ms": attribution.exclusive.total_ns / _NS_PER_MS,
            "busy_ms": gpu.busy_ns / _NS_PER_MS,
            "span_ms": gpu.span_ns / _NS_PER_MS,
        }
    ).iloc[attribution.nesting.order]
    table = each.groupby("path", sort=False, as_index=False).sum()
    table = table.astype(dict(PROFILE_COLUMNS))
    table.loc[table["kernels"] == 0, "span_ms"] = pd.NA
    return table


def _kernel_note(coverage: Coverage) -> str:
    if not coverage.kernels:
        return "The profile holds no kernels."
    share = "" if coverage.share is None else f" ({coverage.share:.1%} of the kernel time)"
    inside = coverage.kernels - coverage.outside - coverage.without_launch
    return (
        f"{inside} of {coverage.kernels} kernels were launched inside ranges{share}; "
        f"{coverage.outside} outside every range of the launching thread "
        f"({coverage.outside_ns / _NS_PER_MS:.3f} ms), {coverage.without_launch} without a "
        f"recorded launch ({coverage.without_launch_ns / _NS_PER_MS:.3f} ms)."
    )
