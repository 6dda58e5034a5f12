"""`ranges.parquet` of generated runs, whose times are known, and runs that must be refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from adscale.errors import ProfileError, ResultsError
from analysis.nsys.reading import read_profile
from analysis.profiles.range_table import RANGE_COLUMNS, RunRanges, run_ranges
from analysis.profiles.record import read_run
from analysis.profiles.times import profiled_times
from analysis.tables import write_parquet
from tests.gpu_profiles import (
    OTHER_THREAD,
    GpuRun,
    ProfileWriter,
    record,
    record_image,
    run_document,
    times_of,
    write_gpu_run,
    write_run_json,
)

RUN = GpuRun("M", 256, ("teacher", "student"), lambda name, image: 4000 * (len(name) + image))


def ranges_of(folder: Path) -> RunRanges:
    return run_ranges(read_run(folder / "run.json"), read_profile(folder / "profile.sqlite"))


def store(folder: Path, writer: ProfileWriter, run: GpuRun = RUN, **changes: object) -> Path:
    writer.write(folder / "profile.sqlite")
    write_run_json(folder / "run.json", run, **changes)
    return folder


def out_of_memory(warmup: int, measured: int) -> dict[str, object]:
    return {
        "status": "out_of_memory",
        "problem": {"phase": "measure", "message": "does not fit", "requested_bytes": 7},
        "sampling": {
            "warmup_images": warmup,
            "measured_images": measured,
            "stop_reason": "out_of_memory",
        },
    }


def test_times_are_those_that_were_generated(tmp_path: Path) -> None:
    truth = write_gpu_run(tmp_path, RUN)
    table = ranges_of(tmp_path).table.set_index(["phase", "path", "image_index"])
    for (submodule, image), times in truth.items():
        row = table.loc[("measure", f"image/{submodule}", image)]
        assert row["kernels"] == times.kernels
        assert row["kernel_sum_ms"] == pytest.approx(times.kernel_sum_ns / 1e6, rel=1e-12)
        assert row["busy_ms"] == pytest.approx(times.busy_ns / 1e6, rel=1e-12)
        assert row["span_ms"] == pytest.approx(times.span_ns / 1e6, rel=1e-12)


def test_an_image_is_its_submodules(tmp_path: Path) -> None:
    write_gpu_run(tmp_path, RUN)
    table = ranges_of(tmp_path).table
    images = table[table["path"] == "image"].reset_index(drop=True)
    inside = table[table["depth"] == 1].groupby(["phase", "image_index"], as_index=False)
    sums = inside[["kernels", "kernel_sum_ms", "busy_ms"]].sum()
    merged = images.merge(sums, on=["phase", "image_index"], suffixes=("", "_inside"))
    assert len(merged) == RUN.warmup_images + RUN.measured_images
    for column in ("kernels", "kernel_sum_ms", "busy_ms"):
        difference = (merged[column] - merged[f"{column}_inside"]).abs().max()
        assert difference < 1e-9


def test_rows_phases_and_numbers(tmp_path: Path) -> None:
    write_gpu_run(tmp_path, RUN)
    table = ranges_of(tmp_path).table
    assert dict(zip(table.columns, map(str, table.dtypes), strict=True)) == dict(RANGE_COLUMNS)
    first = table[(table["phase"] == "measure") & (table["image_index"] == 0)]
    assert first["path"].tolist() == [
        "load",
        "prepare",
        "copy_to_device",
        "image",
        "image/teacher",
        "image/student",
        "synchronize",
        "copy_to_host",
    ]
    assert first["depth"].tolist() == [0, 0, 0, 0, 1, 1, 0, 0]
    assert first["name"].tolist()[4] == "teacher"
    for phase, images in (("warmup", 2), ("measure", 5)):
        numbers = table[table["phase"] == phase].groupby("path")["image_index"].apply(list)
        assert all(found == list(range(images)) for found in numbers)
    assert table["start_ns"].is_monotonic_increasing


def test_no_kernel_is_zero_and_has_no_span(tmp_path: Path) -> None:
    write_gpu_run(tmp_path, RUN)
    table = ranges_of(tmp_path).table
    loads = table[table["path"] == "load"]
    assert (loads[["kernels", "kernel_sum_ms", "busy_ms"]] == 0).all(axis=None)
    assert loads["span_ms"].isna().all()


def test_a_submodule_called_twice_in_an_image(tmp_path: Path) -> None:
    writer = ProfileWriter()
    run = replace(RUN, submodules=("unet",), warmup_images=0, measured_images=1)
    with writer.range("measure"), writer.range("image"):
        for _ in range(3):
            writer.submodule("unet", 4000)
    table = ranges_of(store(tmp_path, writer, run)).table
    assert table[table["path"] == "image/unet"]["call"].tolist() == [0, 1, 2]


def test_a_submodule_is_no_range_inside_of_another_whatever_their_names(tmp_path: Path) -> None:
    """A submodule `a/b`, and a range `b` that is opened in the submodule `a`."""
    writer = ProfileWriter()
    run = replace(RUN, submodules=("a", "a/b", "a\\"), warmup_images=0, measured_images=1)
    with writer.range("measure"), writer.range("image"):
        with writer.range("a"):
            writer.submodule("b", 4000)
        writer.submodule("a/b", 8000)
        writer.submodule("a\\", 16_000)
    store(tmp_path, writer, run, inner_ranges=[["a", "b"]])
    found = ranges_of(tmp_path)
    busy = dict(zip(found.table["path"], found.table["busy_ms"], strict=True))
    expected = {
        "image": 0.028, "image/a": 0.004, "image/a/b": 0.004,
        r"image/a\/b": 0.008, r"image/a\\": 0.016,
    }  # fmt: skip
    assert busy == pytest.approx(expected)
    kernels = found.kernels.groupby("submodule")["total_ms"].sum()  # they overlap
    assert kernels.to_dict() == pytest.approx({"a": 0.005, "a/b": 0.01, "a\\": 0.02})
    write_parquet(found.table, tmp_path / "ranges.parquet")
    parts = profiled_times(read_run(tmp_path / "run.json")).parts
    times = {(part.submodule, part.role): part.times_ms for part in parts if part.clock == "busy"}
    assert times == {
        ("a", "submodule"): [0.004], ("b", "inner"): [0.004], ("a/b", "submodule"): [0.008],
        ("a\\", "submodule"): [0.016], ("image", "image"): [0.028],
    }  # fmt: skip


def test_inner_steps_keep_their_path(tmp_path: Path) -> None:
    writer = ProfileWriter()
    run = replace(RUN, submodules=("unet",), warmup_images=0, measured_images=1)
    with writer.range("measure"), writer.range("image"), writer.range("unet"):
        writer.submodule("step", 8000)
    table = ranges_of(store(tmp_path, writer, run)).table.set_index("path")
    assert table.loc["image/unet/step", "depth"] == 2
    assert table.loc["image/unet", "busy_ms"] == pytest.approx(times_of(8000).busy_ns / 1e6)


def test_ranges_of_other_domains_are_not_ours(tmp_path: Path) -> None:
    writer = record(RUN)
    writer.add("NVTX_EVENTS", start=0, end=10**12, eventType=59, text="cub", globalTid=1 << 24)
    writer.add("NVTX_EVENTS", start=0, eventType=75, text="CCCL", globalTid=1 << 24, domainId=9)
    assert "cub" not in set(ranges_of(store(tmp_path, writer)).table["name"])


def test_a_cpu_run_has_no_gpu_times(tmp_path: Path) -> None:
    document = run_document(RUN, clock="host")
    document["request"]["device_type"] = "cpu"
    document["hardware"]["gpu"] = None
    record(RUN).write(tmp_path / "profile.sqlite")
    (tmp_path / "run.json").write_text(json.dumps(document))
    run = read_run(tmp_path / "run.json")
    found = ranges_of(tmp_path)
    assert run.hardware == "generated CPU"
    assert found.table[["kernels", "kernel_sum_ms", "busy_ms", "span_ms"]].isna().all(axis=None)
    assert (found.table["host_ms"] > 0).all()
    assert dict(zip(found.table.columns, map(str, found.table.dtypes), strict=True)) == dict(
        RANGE_COLUMNS
    )
    assert found.coverage is None


def test_ranges_that_vanished_are_explained(tmp_path: Path) -> None:
    """Under nsys 2023.4.4, nvtx 0.2.12 and later record no range; its strings say so."""
    writer = ProfileWriter()
    writer.string_id("Number of NVTX events collected: 0")
    with pytest.raises(ProfileError) as caught:
        ranges_of(store(tmp_path, writer))
    message = str(caught.value)
    assert "0 of 10 submodule ranges and 0 of 5 images" in message
    assert "nvtx==0.2.11" in message
    assert "Number of NVTX events collected: 0" in message
    assert f"move {tmp_path / 'run.json'} elsewhere" in message


def test_one_submodule_range_too_few(tmp_path: Path) -> None:
    writer = record(RUN)
    student = writer.string_id("student")
    rows = writer.rows["NVTX_EVENTS"]
    rows.remove([row for row in rows if row["textId"] == student][-1])
    with pytest.raises(ProfileError, match="9 of 10 submodule ranges and 5 of 5 images") as told:
        ranges_of(store(tmp_path, writer))
    assert "or the method runs image/student in 4 of 5 images only" in str(told.value)
    assert "; name submodules that run in each image" in str(told.value)


def test_a_submodule_that_ran_while_warming_up_only(tmp_path: Path) -> None:
    writer = record(RUN)
    student = writer.string_id("student")
    rows = writer.rows["NVTX_EVENTS"]
    measured = [row for row in rows if row["textId"] == student][RUN.warmup_images :]
    rows[:] = [row for row in rows if row not in measured]
    with pytest.raises(ProfileError) as told:
        ranges_of(store(tmp_path, writer))
    assert "or the method runs image/student in 0 of 5 images only; name submo" in str(told.value)


def test_where_no_image_warmed_up_the_first_has_nothing_between_submodules(tmp_path: Path) -> None:
    run = replace(RUN, submodules=("teacher", "between submodules"), warmup_images=0)
    writer = record(run)
    between = writer.string_id("between submodules")
    rows = writer.rows["NVTX_EVENTS"]
    rows.remove(next(row for row in rows if row["textId"] == between))
    with pytest.raises(ProfileError, match="have one warm-up image at least, which shows what"):
        ranges_of(store(tmp_path, writer, run))


def test_more_images_than_run_json_says(tmp_path: Path) -> None:
    writer = record(RUN)
    with pytest.raises(ProfileError, match=r"5 of 4 images.*do not belong together"):
        ranges_of(store(tmp_path, writer, replace(RUN, measured_images=4)))


def test_an_image_without_submodules(tmp_path: Path) -> None:
    writer = ProfileWriter()
    run = replace(RUN, submodules=("teacher",), warmup_images=0, measured_images=1)
    with writer.range("measure"):
        with writer.range("image"):
            writer.submodule("teacher", 4000)
        with writer.range("image"):
            pass
    with pytest.raises(ProfileError, match="1 of 1 submodule ranges and 2 of 1 images"):
        ranges_of(store(tmp_path, writer, run))


def test_two_runs_in_one_profile(tmp_path: Path) -> None:
    writer = record(RUN)
    with writer.range("measure"):
        record_image(writer, RUN, 0)
    with pytest.raises(ProfileError, match="measure 2 times"):
        ranges_of(store(tmp_path, writer))


def test_a_gpu_run_without_kernels(tmp_path: Path) -> None:
    writer = record(RUN)
    del writer.rows["CUPTI_ACTIVITY_KIND_KERNEL"]
    with pytest.raises(ProfileError, match=r"no measured image launched a kernel.*-t cuda,nvtx"):
        ranges_of(store(tmp_path, writer))


def test_cuda_graphs_traced_as_a_whole_are_refused(tmp_path: Path) -> None:
    store(tmp_path, record(RUN))
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(tmp_path / "profile.sqlite")) as connection, connection:
        table = "CUPTI_ACTIVITY_KIND_GRAPH_TRACE"
        columns = "start INTEGER, end INTEGER, globalPid INTEGER, correlationId INTEGER"
        connection.execute(f"CREATE TABLE {table} ({columns})")
        connection.execute(f"INSERT INTO {table} VALUES (1, 2, 3, 4)")
    with pytest.raises(ProfileError, match=r"1 CUDA graphs .*cuda-graph-trace=node"):
        ranges_of(tmp_path)


def test_out_of_memory_keeps_the_complete_images(tmp_path: Path) -> None:
    writer = ProfileWriter()
    with writer.range("warmup"):
        record_image(writer, RUN, 0)
    with writer.range("measure"):
        for image in range(2):
            record_image(writer, RUN, image)
        with writer.range("load"):
            pass
        with writer.range("image"):
            writer.submodule("teacher", 4000)  # where memory ran out
    table = ranges_of(store(tmp_path, writer, **out_of_memory(warmup=1, measured=2))).table
    assert sorted(set(table[table["phase"] == "measure"]["image_index"])) == [0, 1]
    assert len(table) == 3 * 8


@pytest.mark.parametrize("writer", [ProfileWriter(), record(RUN)])
def test_out_of_memory_before_the_first_image(tmp_path: Path, writer: ProfileWriter) -> None:
    table = ranges_of(store(tmp_path, writer, **out_of_memory(warmup=0, measured=0))).table
    assert table.empty
    assert dict(zip(table.columns, map(str, table.dtypes), strict=True)) == dict(RANGE_COLUMNS)


def test_a_run_that_was_left_out_has_no_ranges(tmp_path: Path) -> None:
    lost = out_of_memory(warmup=0, measured=0)
    lost["status"] = "predicted_out_of_memory"
    assert ranges_of(store(tmp_path, ProfileWriter(), **lost)).table.empty


def test_the_image_whose_memory_is_measured_has_no_times(tmp_path: Path) -> None:
    writer = record(RUN)
    with writer.range("memory"):
        record_image(writer, RUN, 0)
    found = ranges_of(store(tmp_path, writer))
    assert set(found.table["phase"]) == {"warmup", "measure"}
    assert len(found.table) == (RUN.warmup_images + RUN.measured_images) * 8
    assert found.coverage is not None
    assert found.coverage.share == 1.0
    kernel_ns = round(
        found.table.query("phase == 'measure' and depth == 1").kernel_sum_ms.sum() * 1e6
    )
    assert found.coverage.coverage.kernel_ns == kernel_ns


def stray_in_image(writer: ProfileWriter) -> None:
    writer.kernel("stray", writer.gpu_ns, 1_000_000)


def stray_of_another_thread(writer: ProfileWriter) -> None:
    writer.kernel("stray", writer.gpu_ns, 1_000_000, thread=OTHER_THREAD)


def stray_without_launch(writer: ProfileWriter) -> None:
    writer.kernel("stray", writer.gpu_ns - 10, 1_000_000, thread=None)


@pytest.mark.parametrize("stray", [stray_in_image, stray_of_another_thread, stray_without_launch])
def test_stray_kernels_are_named(tmp_path: Path, stray: Callable[[ProfileWriter], None]) -> None:
    writer = ProfileWriter()
    run = replace(RUN, submodules=("teacher",), warmup_images=0, measured_images=1)
    with writer.range("measure"), writer.range("image"):
        writer.submodule("teacher", 3_200_000)  # kernel sum: 4 ms
        stray(writer)
    coverage = ranges_of(store(tmp_path, writer, run)).coverage
    assert coverage is not None
    assert (coverage.coverage.kernel_ns, coverage.coverage.stray_ns) == (5_000_000, 1_000_000)
    assert coverage.share == pytest.approx(0.8)
    assert coverage.warning() == (
        "the submodules account for 80.0% of the kernel time of the measured images; "
        "outside them ran stray"
    )


def test_kernels_outside_the_images_are_no_strays(tmp_path: Path) -> None:
    writer = ProfileWriter()
    run = replace(RUN, submodules=("teacher",), warmup_images=0, measured_images=1)
    writer.kernel("weights", 10, 5_000_000)
    with writer.range("measure"):
        with writer.range("prepare"):
            writer.kernel("resize", writer.gpu_ns, 5_000_000)
        with writer.range("image"):
            writer.submodule("teacher", 4000)
    coverage = ranges_of(store(tmp_path, writer, run)).coverage
    assert coverage is not None
    assert coverage.share == 1.0
    assert coverage.warning() is None


def test_run_json_must_satisfy_its_schema(tmp_path: Path) -> None:
    store(tmp_path, record(RUN), clock="sundial")
    with pytest.raises(ResultsError, match=r"clock violates run.schema.json.*measure the run"):
        read_run(tmp_path / "run.json")


def test_run_json_that_is_absent_or_no_json(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="cannot be opened"):
        read_run(tmp_path / "run.json")
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(ResultsError, match="is no JSON"):
        read_run(tmp_path / "run.json")


def test_the_table_survives_parquet(tmp_path: Path) -> None:
    from analysis.tables import read_parquet, write_parquet

    write_gpu_run(tmp_path, RUN)
    table = ranges_of(tmp_path).table
    write_parquet(table, tmp_path / "ranges.parquet", {"kernel_time_coverage": "1.0"})
    again, metadata = read_parquet(tmp_path / "ranges.parquet", RANGE_COLUMNS, "")
    pd.testing.assert_frame_equal(again, table)
    assert metadata["kernel_time_coverage"] == "1.0"


def test_emptying_the_cache_belongs_to_the_image_behind_it(tmp_path: Path) -> None:
    run = GpuRun("M", 256, ("teacher",), lambda name, image: 4000, "d", "reference-fp32", 0, 2)
    writer = ProfileWriter()
    with writer.range("measure"):
        for _ in range(2):
            with writer.range("flush"):
                writer.kernel("fill", writer.gpu_ns, 9000)
            with writer.range("image"):
                writer.submodule("teacher", 4000)
    found = ranges_of(store(tmp_path, writer, run))
    flushes = found.table[found.table["path"] == "flush"]
    assert flushes["image_index"].tolist() == [0, 1]
    assert found.coverage is not None
    assert found.coverage.share == 1.0
    assert set(found.kernels["submodule"]) == {"teacher"}
