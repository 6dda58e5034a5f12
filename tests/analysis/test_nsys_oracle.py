"""Real profiles of nsys 2022 to 2026: our reading against the answers of nsys' own reports."""

from __future__ import annotations

import csv
import sqlite3
from collections import defaultdict
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.attribution.attribute import attribute, attribute_kinds, projection
from analysis.attribution.kernel_names import kernel_statistics
from analysis.attribution.nesting import nest
from analysis.attribution.range_tree import PathTree
from analysis.nsys.reading import read_profile
from analysis.nsys.records import THREAD_BITS, Profile
from analysis.profiles.coverage import ProfileCoverage
from analysis.profiles.kernel_table import kernel_table
from analysis.profiles.range_table import profile_table
from analysis.profiles.work import without_forgotten, work_of
from tests.analysis.builders import frame
from tests.analysis.conftest import ANSWERS, FIXTURES, answered

pytestmark = pytest.mark.fixtures

COUNTED_ONCE = {"dup_runtime": 2, "pipit_saxpy_mpi_dup_corr_2022.2.1": 2}
"""Two API rows per kernel: nsys' `nvtx_kern_sum` counts the kernel's time as often, we once."""

EQUAL_RANGES = {"identical_ranges"}
"""nsys makes equal ranges each other's parents, and then has neither parents nor levels for them;
we take the smaller rowid for the outer one, see the test of it."""


def report(path: Path, name: str) -> list[dict[str, str]]:
    """Rows of an answer of nsys."""
    with path.with_name(f"{path.stem}.{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@answered("nvtx_gpu_proj_trace")
def test_projection_of_every_range_is_that_of_nsys(real_profile: Path) -> None:
    profile = read_profile(real_profile)
    kinds = [profile.kernels, profile.copies, profile.memsets]
    projected = projection(attribute_kinds(nest(profile.ranges), profile.calls, kinds))
    labels = profile.ranges.labels()
    found = {
        int(profile.ranges.row_id[at]): (
            labels[at],
            int(projected.first_ns[at]),
            int(projected.span_ns[at]),
            int(profile.ranges.start_ns[at]),
            int(profile.ranges.end_ns[at] - profile.ranges.start_ns[at]),
            "PushPop" if profile.ranges.is_push_pop[at] else "StartEnd",
        )
        for at in np.flatnonzero(projected.intervals)
    }
    expected = {
        int(row["RangeId"]): (
            row["Name"],
            int(row["Projected Start (ns)"]),
            int(row["Projected Duration (ns)"]),
            int(row["Orig Start (ns)"]),
            int(row["Orig Duration (ns)"]),
            row["Style"],
        )
        for row in report(real_profile, "nvtx_gpu_proj_trace")
        if row["RangeId"]
    }
    assert found == expected


@answered("nvtx_gpu_proj_trace")
def test_parents_and_levels_are_those_of_nsys(real_profile: Path) -> None:
    rows = [row for row in report(real_profile, "nvtx_gpu_proj_trace") if row["RangeId"]]
    if real_profile.stem in EQUAL_RANGES:
        assert {(row["ParentId"], row["Lvl"]) for row in rows} == {("", "")}
        return
    profile = read_profile(real_profile)
    nesting = attribute(profile.ranges, profile.calls, profile.kernels).nesting
    row_ids = [*profile.ranges.row_id.tolist(), ""]
    at = {row_id: position for position, row_id in enumerate(row_ids)}
    for row in rows:
        position = at[int(row["RangeId"])]
        assert str(row_ids[nesting.parent[position]]) == row["ParentId"]
        assert str(nesting.depth[position]) == row["Lvl"]


@answered("nvtx_kern_sum")
def test_kernel_sums_and_counts_are_those_of_nsys(real_profile: Path) -> None:
    """Sums per (range, style, process, thread, kernel), for every enclosing range."""
    rows = report(real_profile, "nvtx_kern_sum")
    times = COUNTED_ONCE.get(real_profile.stem, 1)
    found = kernel_sums(read_profile(real_profile))
    expected = {}
    for row in rows:
        if row["Style"]:  # rows without a range: see the test of coverage
            who = (row["NVTX Range"], row["Style"], row["PID"], row["TID"], row["Kernel Name"])
            counts = int(row["NVTX Inst"]), int(row["Kern Inst"])
            expected[who] = (*counts, int(row["Total Time (ns)"]) // times)
    assert found == expected


@answered("nvtx_kern_sum")
def test_kernels_without_a_range_are_counted_as_nsys_lists_them(real_profile: Path) -> None:
    rows = [row for row in report(real_profile, "nvtx_kern_sum") if not row["Style"]]
    profile = read_profile(real_profile)
    coverage = attribute(profile.ranges, profile.calls, profile.kernels).coverage
    outside = [row for row in rows if row["PID"]]
    unknown = [row for row in rows if not row["PID"]]
    assert coverage.outside == sum(int(row["Kern Inst"]) for row in outside)
    assert coverage.outside_ns == sum(int(row["Total Time (ns)"]) for row in outside)
    assert coverage.without_launch == sum(int(row["Kern Inst"]) for row in unknown)
    assert coverage.without_launch_ns == sum(int(row["Total Time (ns)"]) for row in unknown)


def kernel_sums(profile: Profile) -> dict[tuple[str, ...], tuple[int, int, int]]:
    """Range instances, kernels and their time, walking up from each kernel's innermost range."""
    found = attribute(profile.ranges, profile.calls, profile.kernels)
    ranges, labels = profile.ranges, profile.ranges.labels()
    calls, kernels = profile.calls, profile.kernels
    instances: dict[tuple[str, ...], set[int]] = defaultdict(set)
    totals: dict[tuple[str, ...], list[int]] = defaultdict(lambda: [0, 0])
    for kernel, launch in enumerate(found.launch.tolist()):
        if launch < 0:
            continue
        enclosing = np.flatnonzero(
            (ranges.thread == calls.thread[launch])
            & (ranges.start_ns <= calls.start_ns[launch])
            & (ranges.end_ns >= calls.end_ns[launch])
        )
        for at in enclosing.tolist():
            thread = int(ranges.thread[at])
            key = (
                labels[at],
                "PushPop" if ranges.is_push_pop[at] else "StartEnd",
                str(thread >> THREAD_BITS & 0xFFFFFF),
                str(thread & 0xFFFFFF),
                profile.kernel_names[int(kernels.name_id[kernel])],
            )
            instances[key].add(at)
            totals[key][0] += 1
            totals[key][1] += int(kernels.end_ns[kernel] - kernels.start_ns[kernel])
    return {key: (len(instances[key]), count, total) for key, (count, total) in totals.items()}


@answered("nvtx_kern_sum")
def test_inclusive_sums_add_up_to_those_of_nsys(real_profile: Path) -> None:
    """The same totals from `attribute` itself, per range name."""
    rows = [row for row in report(real_profile, "nvtx_kern_sum") if row["Style"]]
    profile = read_profile(real_profile)
    inclusive = attribute(profile.ranges, profile.calls, profile.kernels).inclusive
    found: dict[str, int] = defaultdict(int)
    for label, total_ns in zip(profile.ranges.labels(), inclusive.total_ns.tolist(), strict=True):
        if total_ns:
            found[label] += total_ns
    expected: dict[str, int] = defaultdict(int)
    for row in rows:
        expected[row["NVTX Range"]] += int(row["Total Time (ns)"])
    times = COUNTED_ONCE.get(real_profile.stem, 1)
    assert found == {name: total // times for name, total in expected.items()}


def test_two_rows_for_one_domain_are_read_where_nsys_fails() -> None:
    path = FIXTURES / "corner" / "dup_domain.sqlite"
    profile = read_profile(path)
    found = attribute(profile.ranges, profile.calls, profile.kernels)
    assert profile.ranges.labels() == ["DOM:a"]
    assert found.inclusive.total_ns.tolist() == [100]


def test_of_equal_ranges_the_one_with_the_smaller_rowid_is_outer() -> None:
    path = FIXTURES / "corner" / "identical_ranges.sqlite"
    profile = read_profile(path)
    found = attribute(profile.ranges, profile.calls, profile.kernels)
    assert found.nesting.parent.tolist() == [-1, 0]
    assert found.exclusive.intervals.tolist() == [0, 1]


@answered("nvtx_gpu_proj_sum")
def test_sums_of_projections_are_those_of_nsys(real_profile: Path) -> None:
    """`nvtx_gpu_proj_sum`: projections of the instances of each range name and style."""
    rows = report(real_profile, "nvtx_gpu_proj_sum")
    profile = read_profile(real_profile)
    kinds = [profile.kernels, profile.copies, profile.memsets]
    nesting = nest(profile.ranges)
    projected = projection(attribute_kinds(nesting, profile.calls, kinds))
    labels = profile.ranges.labels()
    instances: dict[tuple[str, str], list[int]] = defaultdict(list)
    for at in np.flatnonzero(projected.intervals).tolist():
        style = "PushPop" if profile.ranges.is_push_pop[at] else "StartEnd"
        instances[labels[at], style].append(at)
    host_ns = profile.ranges.end_ns - profile.ranges.start_ns
    differs = real_profile.stem in EQUAL_RANGES
    found = {
        key: (
            len(at),
            int(projected.span_ns[at].sum()),
            int(host_ns[at].sum()),
            round(float(np.median(projected.span_ns[at])), 1),
            int(projected.span_ns[at].min()),
            int(projected.span_ns[at].max()),
            None if differs else round(float(nesting.depth[at].mean()), 1),
        )
        for key, at in instances.items()
    }
    assert found == {
        (row["Range"], row["Style"]): (
            int(row["Range Instances"]),
            int(row["Total Proj Time (ns)"]),
            int(row["Total Range Time (ns)"]),
            float(row["Proj Med (ns)"]),
            int(row["Proj Min (ns)"]),
            int(row["Proj Max (ns)"]),
            None if differs else float(row["Avg Range Lvl"]),
        )
        for row in rows
    }


@answered("nvtx_kern_sum", but=COUNTED_ONCE)
def test_kernels_by_name_are_those_of_nsys(real_profile: Path) -> None:
    """`nvtx_kern_sum` again, medians and extremes too, from what `--kernels` shows."""
    rows = [row for row in report(real_profile, "nvtx_kern_sum") if row["Style"]]
    profile = read_profile(real_profile)
    ranges = profile.ranges
    styles = np.where(ranges.is_push_pop, "PushPop", "StartEnd").tolist()
    who = list(zip(ranges.labels(), styles, ranges.thread.tolist(), strict=True))
    numbers = {key: number for number, key in enumerate(dict.fromkeys(who))}
    code = np.array([numbers[key] for key in who], np.int64)
    flat = PathTree(code, np.full(len(numbers), -1), np.arange(len(numbers)))
    attribution = attribute(ranges, profile.calls, profile.kernels)
    statistics = kernel_statistics(attribution, profile.calls, profile.kernels, flat)
    names = [profile.kernel_names[i] for i in profile.kernels.name_id.distinct.tolist()]
    keys = list(numbers)
    found = {}
    for path, name, *values in zip(*(c.tolist() for c in statistics), strict=True):
        label, style, thread = keys[path]
        key = (label, style, str(thread >> THREAD_BITS & 0xFFFFFF), str(thread & 0xFFFFFF))
        found[(*key, names[name])] = tuple(values)
    assert found == {
        (row["NVTX Range"], row["Style"], row["PID"], row["TID"], row["Kernel Name"]): (
            int(row["Kern Inst"]),
            int(row["Total Time (ns)"]),
            int(row["Min (ns)"]),
            float(row["Med (ns)"]),
            int(row["Max (ns)"]),
        )
        for row in rows
    }


@answered("cuda_gpu_kern_sum")
def test_all_kernels_are_those_of_nsys(real_profile: Path) -> None:
    """`cuda_gpu_kern_sum`: number and time by name, whether in a range or not."""
    rows = report(real_profile, "cuda_gpu_kern_sum")
    kernels = (profile := read_profile(real_profile)).kernels
    duration_ns = kernels.end_ns - kernels.start_ns
    found: dict[str, tuple[int, int]] = {}
    for code, name_id in enumerate(kernels.name_id.distinct.tolist()):
        own = duration_ns[kernels.name_id.code == code]
        found[profile.kernel_names[name_id]] = (len(own), int(own.sum()))
    assert found == {
        row["Name"]: (int(row["Instances"]), int(row["Total Time (ns)"])) for row in rows
    }


def tables(path: Path) -> tuple[dict[str, Any], list[pd.DataFrame]]:
    """What is found in a profile; who nests in whom is left open where ranges are equal."""
    profile = without_forgotten(read_profile(path))
    work = work_of(profile)
    ranges, kernels = frame(profile_table(work)), frame(kernel_table(work, None))
    extents = zip(
        profile.ranges.thread.tolist(), profile.ranges.start_ns, profile.ranges.end_ns, strict=True
    )
    if len(set(extents)) < len(profile.ranges):
        ranges = ranges.assign(path=ranges["path"].str.count(" > "))
        ranges = ranges.groupby("path")[["calls", "host_ms", "kernels"]].sum().reset_index()
        kernels = kernels.groupby("kernel")[["kernels"]].sum().reset_index()
    return ProfileCoverage.of(work).as_dict(), [ranges, kernels]


def test_rows_in_another_order_give_the_same(real_profile: Path, tmp_path: Path) -> None:
    """Exports of 2025.6 and later have their rows in any order."""
    copy = tmp_path / "shuffled.sqlite"
    with closing(sqlite3.connect(copy)) as connection, connection:
        connection.execute("ATTACH ? AS given", (str(real_profile),))
        rows = connection.execute("SELECT name, sql FROM given.sqlite_master WHERE type = 'table'")
        for name, statement in rows.fetchall():
            connection.execute(statement)
            order = "" if name == "StringIds" else "ORDER BY random()"
            connection.execute(f'INSERT INTO main."{name}" SELECT * FROM given."{name}" {order}')
    coverage, found = tables(copy)
    expected_coverage, expected = tables(real_profile)
    assert coverage == expected_coverage
    for one, other in zip(found, expected, strict=True):
        pd.testing.assert_frame_equal(one, other, rtol=1e-12)


def test_no_profile_and_no_answer_of_nsys_is_lost() -> None:
    """So that none is compared with nothing without anyone noticing."""
    listed = {f"{stem}.sqlite" for stem in ANSWERS}
    listed |= {f"{stem}.{name}.csv" for stem, names in ANSWERS.items() for name in names}
    assert listed - {path.relative_to(FIXTURES).as_posix() for path in FIXTURES.rglob("*")} == set()
