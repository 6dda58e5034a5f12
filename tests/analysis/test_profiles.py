"""The table of any profile: sums over calls, and what is left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.attribution.attribute import attribute
from analysis.nsys.reading import read_profile
from analysis.nsys.records import Profile
from analysis.profiles.coverage import ProfileCoverage
from analysis.profiles.kernel_table import kernel_table
from analysis.profiles.path_sums import quantiles, summed
from analysis.profiles.range_table import PROFILE_COLUMNS, profile_table
from analysis.profiles.work import work_of
from tests.analysis.builders import frame
from tests.analysis.conftest import FIXTURES
from tests.bench.big_profiles import LAUNCH_NS
from tests.bench.range_profiles import (
    BLOCKS,
    INNER,
    KERNELS_PER_STEP,
    LEAVES_PER_STEP,
    MODULES,
    OPERATORS,
    write_crossing,
    write_heavy,
)
from tests.gpu_profiles import OTHER_THREAD, ProfileWriter, times_of


def table_of(profile: Profile) -> tuple[pd.DataFrame, ProfileCoverage]:
    work = work_of(profile)
    return frame(profile_table(work)), ProfileCoverage.of(work)


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
        ("corner/cross_thread_startend", "1 ranges were ended by another thread"),
        ("nsys/trt_startend_no_kernels_2023.2.1", "GPU times are unknown, not zero"),
    ],
)
def test_what_the_table_cannot_show_is_said(stem: str, note: str) -> None:
    path = FIXTURES / f"{stem}.sqlite"
    table, coverage = table_of(read_profile(path))
    assert any(note in said for said in coverage.notes())
    assert isinstance(table, pd.DataFrame)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(-3, 20)), max_size=30),
    st.lists(st.integers(1, 4), min_size=4, max_size=4),
)
def test_quantiles_are_those_of_all_calls(
    given_ns: list[tuple[int, int]], others: list[int]
) -> None:
    """Calls without kernels count as 0, though they are only counted."""
    group = np.array([of for of, _ in given_ns], np.int64)
    busy_ns = np.array([value for _, value in given_ns], np.int64)
    calls = np.bincount(group, minlength=4) + others
    found = quantiles(group, busy_ns, calls)
    for of in range(4):
        every = np.r_[busy_ns[group == of], np.zeros(others[of], np.int64)]
        assert found["call_busy_median_ns"][of] == np.median(every)
        assert found["call_busy_max_ns"][of] == every.max()
        assert found["call_busy_p95_ns"][of] == pytest.approx(np.quantile(every, 0.95), rel=1e-12)


def test_sums_are_exact_where_floating_point_numbers_are_not() -> None:
    group = np.array([0, 1, 0, 1, 0])
    values = np.array([2**62, 2**53 + 1, -(2**61), 2, 1])
    assert summed(group, values, 3).tolist() == [2**61 + 1, 2**53 + 3, 0]


@pytest.mark.parametrize("by_end", [False, True])
def test_the_range_heavy_mix_has_the_sums_that_follow_from_its_shape(
    tmp_path: Path, by_end: bool
) -> None:
    steps = 2
    write_heavy(tmp_path / "p.sqlite", steps, leaf_names=2, by_end=by_end)
    table, coverage = table_of(read_profile(tmp_path / "p.sqlite"))
    kernels = steps * KERNELS_PER_STEP
    blocks = MODULES * BLOCKS
    # each leaf has another name in the second step
    inner = OPERATORS * (1 + INNER)
    assert len(table) == 1 + MODULES + blocks * (1 + inner) + LEAVES_PER_STEP * steps
    depth = table["path"].str.count(" > ")
    by_depth = table.groupby(depth)["calls"].sum().tolist()
    assert by_depth == [2, 2 * MODULES, 2 * blocks, kernels, 2 * kernels, 4 * kernels]
    # each kernel is in one range of each level, and those follow each other on one stream
    assert table.groupby(depth)["kernels"].sum().tolist() == [kernels] * 6
    total_ms = coverage.coverage.kernel_ns / 1e6
    for column in ("kernel_sum_ms", "busy_ms"):
        assert table.groupby(depth)[column].sum().to_numpy() == pytest.approx(total_ms)
    assert table["exclusive_ms"][depth == 5].sum() == pytest.approx(total_ms)
    assert coverage.coverage.share == 1.0
    assert coverage.capture.missing_kernels == 0


def test_ranges_that_cross_each_have_their_launches(tmp_path: Path) -> None:
    requests, launches = 40, 400
    write_crossing(tmp_path / "p.sqlite", requests, launches)
    work = work_of(read_profile(tmp_path / "p.sqlite"))
    table, names = frame(profile_table(work)), frame(kernel_table(work, None))
    assert (table["calls"] == 1).all()
    assert not table["path"].str.contains(" > ").any()
    # half of them are open at any launch
    assert table["kernels"].sum() == names["kernels"].sum() == launches * requests // 2
    assert table["exclusive_ms"].sum() == pytest.approx(launches * LAUNCH_NS / 1e6)
    by_path = names.groupby("path")["kernel_sum_ms"].sum()
    whole = table.set_index("path")["kernel_sum_ms"]
    assert by_path.to_numpy() == pytest.approx(whole[by_path.index].to_numpy())
    assert ProfileCoverage.of(work).nested_otherwise == []
