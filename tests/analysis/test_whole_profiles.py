"""Random profiles from the file to the tables, against a quadratic reading of the rule."""

from __future__ import annotations

import statistics
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given

from analysis.nsys.bulk import READERS, Reader
from analysis.nsys.reading import read_profile
from analysis.profiles.coverage import ProfileCoverage
from analysis.profiles.kernel_table import kernel_table
from analysis.profiles.range_table import profile_table
from analysis.profiles.work import KINDS, ProfileWork, work_of
from tests.analysis.builders import frame
from tests.analysis.reference import Events, Operation, Reference, covered, events, span


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("random") / "p.sqlite"


def read(path: Path, drawn: Events, reader: Reader = "auto") -> tuple[ProfileWork, Reference]:
    work = work_of(read_profile(drawn.write(path), reader=reader, with_streams=True))
    return work, Reference(drawn)


def ranges_and_kinds_of_work(work: ProfileWork, expected: Reference) -> None:
    assert work.profile.ranges.labels() == [row.label for row in expected.ranges]
    for kind in KINDS:
        found = work.kinds[kind]
        for at in range(len(expected.ranges)):
            inside, own = expected.inside(at, kind), expected.own(at, kind)
            assert found.inclusive.intervals[at] == len(inside)
            assert found.inclusive.total_ns[at] == sum(op.duration for op in inside)
            assert found.inclusive.busy_ns[at] == covered(inside)
            assert found.inclusive.span_ns[at] == span(inside)
            assert found.exclusive.intervals[at] == len(own)
            assert found.exclusive.total_ns[at] == sum(op.duration for op in own)
            assert found.exclusive.busy_ns[at] == covered(own)
    projected = work.projected()
    for at in range(len(expected.ranges)):
        every = [op for kind in KINDS[:3] for op in expected.inside(at, kind)]
        assert projected.span_ns[at] == span(every)


def what_belongs_to_no_range(work: ProfileWork, expected: Reference) -> None:
    coverage = ProfileCoverage.of(work)
    for kind in KINDS:
        operations = [op for op in expected.operations if op.kind == kind]
        own = [op for at in range(len(expected.ranges)) for op in expected.own(at, kind)]
        unknown = [
            op
            for op, call in zip(expected.operations, expected.launches, strict=True)
            if op.kind == kind and call is None
        ]
        found = coverage.kinds[kind]
        assert found.kernels == len(operations)
        assert found.without_launch == len(unknown)
        assert found.without_launch_ns == sum(op.duration for op in unknown)
        assert found.outside == len(operations) - len(own) - len(unknown)
    assert coverage.cross_thread_ranges == sum(row.ends_elsewhere for row in expected.given.ranges)
    assert coverage.open_ranges == sum(
        row.end is None for row in expected.given.ranges if not row.ends_elsewhere
    )


def the_table_of_ranges(work: ProfileWork, expected: Reference) -> None:
    table = frame(profile_table(work))
    by_path: dict[str, list[int]] = defaultdict(list)
    for at, path in enumerate(expected.paths):
        by_path[path].append(at)
    assert sorted(table["path"]) == sorted(by_path)
    for row in table.to_dict(orient="records"):
        members = by_path[row["path"]]
        calls = [expected.inside(at, "kernels") for at in members]
        assert row["calls"] == len(members)
        assert row["kernels"] == sum(map(len, calls))
        assert row["kernels_per_call"] == pytest.approx(row["kernels"] / len(members))
        busy_ns = [covered(inside) for inside in calls]
        assert row["busy_ms"] * 1e6 == pytest.approx(sum(busy_ns))
        assert row["call_busy_median_ms"] * 1e6 == pytest.approx(statistics.median(busy_ns))
        assert row["call_busy_p95_ms"] * 1e6 == pytest.approx(np.quantile(busy_ns, 0.95))
        assert row["call_busy_max_ms"] * 1e6 == pytest.approx(max(busy_ns))
        shares = [1 - covered(inside) / span(inside) for inside in calls if span(inside)]
        assert_number(row["launch_bound_share"], statistics.mean(shares) if shares else None)
        spans = sum(map(span, calls)) if row["kernels"] else None
        assert_number(row["span_ms"], None if spans is None else spans / 1e6)
        for kind, column in (("copies", "copy"), ("memsets", "memset"), ("graphs", "graph")):
            inside = [op for at in members for op in expected.inside(at, kind)]
            assert row[kind] == len(inside)
            assert row[f"{column}_sum_ms"] * 1e6 == pytest.approx(sum(o.duration for o in inside))


def assert_number(found: float, expected: float | None) -> None:
    if expected is None:
        assert pd.isna(found)
    else:
        assert found == pytest.approx(expected)


def the_table_of_kernels(work: ProfileWork, expected: Reference) -> None:
    table = frame(kernel_table(work, None))
    groups: dict[tuple[str, str], list[Operation]] = defaultdict(list)
    for at, path in enumerate(expected.paths):
        for op in expected.inside(at, "kernels"):
            groups[path, op.name].append(op)
    assert {(row.path, row.kernel) for row in table.itertuples()} == set(groups)
    for row in table.itertuples():
        durations = [op.duration for op in groups[row.path, row.kernel]]
        assert row.kernels == len(durations)
        assert row.kernel_sum_ms * 1e6 == pytest.approx(sum(durations))
        assert row.mean_us * 1e3 == pytest.approx(statistics.mean(durations))
        assert row.median_us * 1e3 == pytest.approx(statistics.median(durations))
        assert (row.min_us * 1e3, row.max_us * 1e3) == pytest.approx(
            (min(durations), max(durations))
        )
    top = frame(kernel_table(work, 1))
    assert len(top) == table["path"].nunique()
    largest = table.groupby("path")["kernel_sum_ms"].max()
    assert top.set_index("path")["kernel_sum_ms"].to_dict() == largest.to_dict()


def rows_by_stream_and_device(work: ProfileWork, expected: Reference) -> None:
    for by in ("stream", "device"):
        groups: dict[tuple[str, str], list[list[Operation]]] = defaultdict(list)
        for at, path in enumerate(expected.paths):
            every = [op for kind in KINDS for op in expected.inside(at, kind)]
            places = [expected.place(op, by) for op in every]
            for label in set(places):
                on_it = [op for op, place in zip(every, places, strict=True) if place == label]
                groups[path, label].append(on_it)
        table = frame(profile_table(work, by))  # type: ignore[arg-type]
        assert {(row["path"], row[by]) for _, row in table.iterrows()} == set(groups)
        for _, row in table.iterrows():
            calls = groups[row["path"], row[by]]
            kernels = [[op for op in call if op.kind == "kernels"] for call in calls]
            assert row["calls"] == len(calls)
            assert row["kernels"] == sum(map(len, kernels))
            assert row["busy_ms"] * 1e6 == pytest.approx(sum(map(covered, kernels)))


def rows_by_thread_add_up_to_those_without(work: ProfileWork, expected: Reference) -> None:
    table = frame(profile_table(work, "thread"))
    pairs = {
        (path, f"{row.thread >> 24}/{row.thread & 0xFFFFFF}")
        for path, row in zip(expected.paths, expected.ranges, strict=True)
    }
    assert {(row["path"], row["thread"]) for _, row in table.iterrows()} == pairs
    columns = ["calls", "kernels", "copies", "memsets", "graphs"]
    whole = frame(profile_table(work)).set_index("path")[columns].sort_index()
    summed = table.groupby("path")[columns].sum().sort_index()
    assert (summed.to_numpy() == whole.to_numpy()).all()


CHECKS = (
    ranges_and_kinds_of_work,
    what_belongs_to_no_range,
    the_table_of_ranges,
    the_table_of_kernels,
    rows_by_stream_and_device,
    rows_by_thread_add_up_to_those_without,
)


@given(events())
def test_work_and_tables_are_those_of_the_reference(file: Path, drawn: Events) -> None:
    """All of it of each profile: most of the time goes into drawing, writing and reading it."""
    work, expected = read(file, drawn)
    for check in CHECKS:
        check(work, expected)


@given(events())
def test_both_readers_give_the_same(file: Path, drawn: Events) -> None:
    tables = []
    for reader in READERS:
        work, _ = read(file, drawn, reader)
        tables.append((frame(profile_table(work)), frame(kernel_table(work, None))))
    for first, second in zip(*tables, strict=True):
        pd.testing.assert_frame_equal(first, second)
