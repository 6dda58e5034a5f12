"""The table of any profile: sums over calls, and what is left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.attribution.attribute import attribute
from analysis.nsys.reading import read_profile
from analysis.nsys.records import Profile
from analysis.profiles.coverage import ProfileCoverage
from analysis.profiles.range_table import PROFILE_COLUMNS, profile_table
from analysis.profiles.work import work_of
from tests.analysis.conftest import FIXTURES
from tests.gpu_profiles import OTHER_THREAD, ProfileWriter, times_of


def table_of(profile: Profile) -> tuple[pd.DataFrame, ProfileCoverage]:
    work = work_of(profile)
    return profile_table(work), ProfileCoverage(work)


@pytest.mark.fixtures
def test_exclusive_times_of_a_real_profile_add_up(real_profile: Path) -> None:
    """What belongs to a path alone, and to no range, is all the kernel time there is."""
    profile = read_profile(real_profile)
    table, coverage = table_of(profile)
    counts = coverage.coverage
    if not coverage.capture.knows_kernels:
        assert table["kernel_sum_ms"].isna().all()
        return
    lost_ns = counts.outside_ns + counts.without_launch_ns
    assert table["exclusive_ms"].sum() * 1e6 + lost_ns == pytest.approx(counts.kernel_ns)
    assert (table["exclusive_ms"] <= table["kernel_sum_ms"] + 1e-9).all()
    assert (table["busy_ms"] <= table["kernel_sum_ms"] + 1e-9).all()
    spans = table[table["span_ms"].notna()]
    assert (spans["busy_ms"] <= spans["span_ms"] + 1e-9).all()


@pytest.mark.fixtures
def test_calls_and_host_time_of_a_real_profile_add_up(real_profile: Path) -> None:
    profile = read_profile(real_profile)
    table, _ = table_of(profile)
    assert list(table.columns) == list(PROFILE_COLUMNS)
    assert not table["path"].duplicated().any()
    assert table["calls"].sum() == len(profile.ranges)
    host_ns = (profile.ranges.end_ns - profile.ranges.start_ns).sum()
    assert table["host_ms"].sum() * 1e6 == pytest.approx(int(host_ns))


@pytest.mark.fixtures
def test_children_take_no_longer_than_their_parent(real_profile: Path) -> None:
    profile = read_profile(real_profile)
    found = attribute(profile.ranges, profile.calls, profile.kernels)
    children_ns = np.zeros(len(profile.ranges), np.int64)
    inside = found.nesting.parent >= 0
    np.add.at(children_ns, found.nesting.parent[inside], found.exclusive.total_ns[inside])
    assert (found.exclusive.total_ns + children_ns <= found.inclusive.total_ns).all()


def test_calls_of_a_path_are_added_up(tmp_path: Path) -> None:
    writer = ProfileWriter()
    for work_ns in (4000, 8000):
        with writer.range("image"):
            writer.submodule("teacher", work_ns)
    writer.write(tmp_path / "p.sqlite")
    table, _ = table_of(read_profile(tmp_path / "p.sqlite"))
    rows = table.set_index("path")
    assert list(rows.index) == ["adscale:image", "adscale:image > adscale:teacher"]
    first, second = times_of(4000), times_of(8000)
    for row in (rows.iloc[0], rows.iloc[1]):
        assert (row["calls"], row["kernels"]) == (2, 8)
        assert row["busy_ms"] * 1e6 == pytest.approx(first.busy_ns + second.busy_ns)
        assert row["span_ms"] * 1e6 == pytest.approx(first.span_ns + second.span_ns)
    assert rows["exclusive_ms"].tolist() == pytest.approx([0, 0.015])


def test_one_name_at_two_places_is_two_rows(tmp_path: Path) -> None:
    writer = ProfileWriter()
    with writer.range("a"), writer.range("step"):
        pass
    with writer.range("b"), writer.range("step"):
        pass
    writer.write(tmp_path / "p.sqlite")
    table, _ = table_of(read_profile(tmp_path / "p.sqlite"))
    assert table["path"].str.endswith("step").sum() == 2


def test_work_of_other_threads_is_counted_and_named_in_the_note(tmp_path: Path) -> None:
    writer = ProfileWriter()
    with writer.range("image"):
        writer.kernel("mine", 10**7, 3_000_000)
        writer.kernel("theirs", 2 * 10**7, 1_000_000, thread=OTHER_THREAD)
        writer.kernel("nobodys", 3 * 10**7, 2_000_000, thread=None)
    writer.write(tmp_path / "p.sqlite")
    table, coverage = table_of(read_profile(tmp_path / "p.sqlite"))
    assert table["kernel_sum_ms"].tolist() == [3.0]
    (note,) = coverage.notes()
    assert note == (
        "1 of 3 kernels were launched inside ranges (50.0% of the kernel time); 1 outside every "
        "range of the launching thread (1.000 ms), 1 without a recorded launch (2.000 ms)."
    )
    assert coverage.as_dict()["share"] == pytest.approx(0.5)


def test_a_profile_without_anything(tmp_path: Path) -> None:
    ProfileWriter().write(tmp_path / "p.sqlite")
    table, coverage = table_of(read_profile(tmp_path / "p.sqlite"))
    assert table.empty
    assert list(map(str, table.dtypes)) == list(PROFILE_COLUMNS.values())
    assert coverage.notes() == ["The profile holds no kernels."]
    assert coverage.as_dict()["share"] is None


@pytest.mark.fixtures
@pytest.mark.parametrize(
    ("stem", "note"),
    [
        ("nsys/flameox_graphtrace_nonvtx_2025.5.2", "2 CUDA graph launches were traced as a whole"),
        ("corner/cross_thread_startend", "1 ranges ended on another thread"),
        ("nsys/trt_startend_no_kernels_2023.2.1", "GPU times are unknown, not zero"),
    ],
)
def test_what_the_table_cannot_show_is_said(stem: str, note: str) -> None:
    path = FIXTURES / f"{stem}.sqlite"
    if not FIXTURES.is_dir():  # a lost file is a fault
        pytest.skip("../shared/fixtures is absent")
    table, coverage = table_of(read_profile(path))
    assert any(note in said for said in coverage.notes())
    assert isinstance(table, pd.DataFrame)
