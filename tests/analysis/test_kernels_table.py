"""`kernels.parquet` and `kernels.csv` of generated runs, against counts of their own."""

from __future__ import annotations

import csv
import io
import sqlite3
import subprocess
from collections import defaultdict
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from adscale.errors import ResultsError
from analysis.profiles.kernel_table import RUN_KERNEL_COLUMNS
from analysis.profiles.study_runs import read_study_runs
from analysis.runtime_table import KERNELS, kernels_table
from tests.gpu_profiles import (
    OTHER_THREAD,
    GpuRun,
    ProfileWriter,
    record_image,
    run_document,
    write_gpu_run,
    write_run_json,
)

Analysis = Callable[..., tuple[int, str, str]]
RUN = GpuRun("M", 256, ("teacher", "student"), lambda name, image: 40_000 * (len(name) + image % 3))


def attributed(analysis: Analysis, folder: Path) -> pd.DataFrame:
    """The kernels of a run's folder, written by the command."""
    files = [folder / "profile.sqlite", "--run", folder / "run.json"]
    outputs = ["-o", folder / "ranges.parquet", "--kernel-table", folder / "kernels.parquet"]
    assert analysis("attribute", *files, *outputs)[0] == 0
    return pd.read_parquet(folder / "kernels.parquet")


def counted(folder: Path, run: GpuRun) -> dict[tuple[str, str], list[int]]:
    """Durations by submodule and kernel, by a join in SQL: launches inside of ranges.

    Only measured images count, the first `run.measured_images` of them.
    """
    query = """
        SELECT names.value, kernel_names.value, kernel.end - kernel.start
        FROM CUPTI_ACTIVITY_KIND_KERNEL kernel
        JOIN StringIds kernel_names ON kernel_names.id = kernel.demangledName
        JOIN CUPTI_ACTIVITY_KIND_RUNTIME call ON call.correlationId = kernel.correlationId
        JOIN NVTX_EVENTS range ON range.globalTid = call.globalTid
            AND range.start <= call.start AND call.end <= range.end
        JOIN StringIds names ON names.id = range.textId
        JOIN NVTX_EVENTS image ON image.start <= range.start AND range.end <= image.end
        JOIN StringIds image_names ON image_names.id = image.textId AND image_names.value = 'image'
        JOIN NVTX_EVENTS phase ON phase.start <= image.start AND image.end <= phase.end
        JOIN StringIds phase_names
            ON phase_names.id = phase.textId AND phase_names.value = 'measure'
        WHERE names.value IN ({})
    """.format(", ".join("?" * len(run.submodules)))
    found: dict[tuple[str, str], list[int]] = defaultdict(list)
    with closing(sqlite3.connect(folder / "profile.sqlite")) as profile:
        for submodule, kernel, duration_ns in profile.execute(query, list(run.submodules)):
            found[submodule, kernel].append(duration_ns)
    return found


def test_kernels_of_a_run_are_those_of_an_independent_count(
    analysis: Analysis, tmp_path: Path
) -> None:
    write_gpu_run(tmp_path, RUN)
    table = attributed(analysis, tmp_path)
    assert list(table.columns) == list(RUN_KERNEL_COLUMNS)
    expected = counted(tmp_path, RUN)
    assert len(table) == len(expected) == 8
    for row in table.itertuples():
        durations_ns = expected[row.submodule, row.kernel]
        assert row.launches == len(durations_ns) == RUN.measured_images
        assert row.total_ms == pytest.approx(sum(durations_ns) / 1e6)
        assert row.mean_us == pytest.approx(sum(durations_ns) / len(durations_ns) / 1e3)
        assert row.max_us == pytest.approx(max(durations_ns) / 1e3)
    order = table[["submodule", "kernel"]].to_numpy().tolist()
    assert order[:4] == [
        ["teacher", f"teacher_{name}"] for name in ("gemm", "beside", "relu", "sum")
    ]
    assert [submodule for submodule, _ in order[4:]] == ["student"] * 4


def test_sums_are_those_of_the_ranges(analysis: Analysis, tmp_path: Path) -> None:
    write_gpu_run(tmp_path, RUN)
    kernels = attributed(analysis, tmp_path).groupby("submodule")["total_ms"].sum()
    ranges = pd.read_parquet(tmp_path / "ranges.parquet")
    measured = ranges[(ranges["phase"] == "measure") & (ranges["depth"] == 1)]
    sums = measured.groupby("name")["kernel_sum_ms"].sum()
    for submodule in RUN.submodules:
        assert kernels[submodule] == pytest.approx(sums[submodule])


@pytest.mark.nsys
def test_kernels_are_those_of_nsys(analysis: Analysis, tmp_path: Path, nsys: Path) -> None:
    """Without warm-up, `nvtx_kern_sum` of a submodule's range is that of the measured images."""
    run = replace(RUN, warmup_images=0)
    write_gpu_run(tmp_path, run)
    table = attributed(analysis, tmp_path)
    command = [nsys, "stats", "--report", "nvtx_kern_sum", "--format", "csv", "--quiet"]
    done = subprocess.run(
        [*command, tmp_path / "profile.sqlite"], capture_output=True, text=True, check=True
    )
    lines = done.stdout[done.stdout.index("NVTX Range") :]
    expected = {
        (row["NVTX Range"].rpartition(":")[2], row["Kernel Name"]): (
            int(row["Kern Inst"]), int(row["Total Time (ns)"]), int(row["Max (ns)"]),
        )
        for row in csv.DictReader(io.StringIO(lines))
        if row["NVTX Range"].rpartition(":")[2] in run.submodules
    }  # fmt: skip
    found = {
        (row.submodule, row.kernel): (
            row.launches, round(row.total_ms * 1e6), round(row.max_us * 1e3),
        )
        for row in table.itertuples()
    }  # fmt: skip
    assert found == expected


def test_only_complete_measured_images_and_the_launching_thread_count(
    analysis: Analysis, tmp_path: Path
) -> None:
    run = replace(RUN, warmup_images=1, measured_images=1)
    writer = ProfileWriter()
    with writer.range("warmup"):
        record_image(writer, run, 0)
    with writer.range("measure"):
        with writer.range("image"):
            with writer.range("teacher"):
                writer.kernel("step", writer.gpu_ns + 10_000, 1000)
                with writer.range("inner"):
                    writer.kernel("step", writer.gpu_ns + 20_000, 3000)
                writer.kernel("elsewhere", writer.gpu_ns + 30_000, 5000, thread=OTHER_THREAD)
            writer.kernel("between", writer.gpu_ns + 40_000, 10)
            with writer.range("student"):
                writer.kernel("step", writer.gpu_ns + 50_000, 7000)
        record_image(writer, run, 0)  # the image during which memory ran out
    writer.write(tmp_path / "profile.sqlite")
    lost = "out_of_memory"
    write_run_json(
        tmp_path / "run.json", run, status=lost,
        problem={"phase": "measure", "message": "does not fit", "requested_bytes": None},
        sampling={"warmup_images": 1, "measured_images": 1, "stop_reason": lost},
    )  # fmt: skip
    table = attributed(analysis, tmp_path)
    assert table.to_numpy().tolist() == [
        ["teacher", "step", 2, 0.004, 2.0, 3.0],
        ["student", "step", 1, 0.007, 7.0, 7.0],
    ]


def test_a_cpu_has_no_kernels(analysis: Analysis, tmp_path: Path) -> None:
    write_gpu_run(tmp_path, RUN)
    request = {**run_document(RUN)["request"], "device_type": "cpu"}
    write_run_json(tmp_path / "run.json", RUN, clock="host", request=request)
    table = attributed(analysis, tmp_path)
    assert list(table.columns) == list(RUN_KERNEL_COLUMNS)
    assert len(table) == 0
    found = kernels_table(read_study_runs([tmp_path], with_latency=False))
    assert list(found.columns) == list(KERNELS.schema)
    assert len(found) == 0


def test_the_table_of_a_study(analysis: Analysis, tmp_path: Path) -> None:
    folders = [tmp_path / "256", tmp_path / "256" / "process-2"]
    runs = [
        replace(RUN, measured_images=4),
        replace(RUN, measured_images=8, process=2, work_ns=lambda name, image: 800_000),
    ]
    for folder, run in zip(folders, runs, strict=True):
        write_gpu_run(folder, run)
        attributed(analysis, folder)
    for folder in folders:  # the sampling that both were asked for
        path = folder / "run.json"
        path.write_text(
            path.read_text().replace('"measured_images": 8, "min', '"measured_images": 4, "min')
        )
        (folder / "latency.json").unlink()
    output = tmp_path / "kernels.csv"
    arguments = ["-o", tmp_path / "runtime.csv", "--kernels", output]
    assert analysis("summarize", *folders, *arguments) == (0, "", "")
    table = pd.read_csv(output)
    assert list(table.columns) == list(KERNELS.schema)
    assert (tmp_path / "kernels.parquet").is_file()
    counts = [counted(folder, run) for folder, run in zip(folders, runs, strict=True)]
    for row in table.itertuples():
        each = [count[row.submodule, row.kernel] for count in counts]
        per_image = [sum(found) / n for found, n in zip(each, (4, 8), strict=True)]
        assert (row.processes, row.images, row.launches_per_image) == (2, 12, 1)
        assert row.ms_per_image == pytest.approx(sum(per_image) / 2 / 1e6)
        assert row.us_per_launch == pytest.approx(sum(map(sum, each)) / 12 / 1e3)
        assert row.max_us == pytest.approx(max(map(max, each)) / 1e3)
    assert table.groupby("submodule")["share"].sum().tolist() == pytest.approx([1, 1])
    assert table["submodule"].tolist() == ["teacher"] * 4 + ["student"] * 4
    falls = table.groupby("submodule")["ms_per_image"].apply(lambda ms: ms.is_monotonic_decreasing)
    assert falls.all()


def test_a_table_that_is_missing_is_told(analysis: Analysis, tmp_path: Path) -> None:
    write_gpu_run(tmp_path, RUN)
    attributed(analysis, tmp_path)
    (tmp_path / "kernels.parquet").unlink()
    with pytest.raises(ResultsError, match=r"kernels.parquet: cannot be read.*--kernel-table"):
        kernels_table(read_study_runs([tmp_path]))


def test_a_table_of_kernels_needs_a_run(analysis: Analysis, tmp_path: Path) -> None:
    code, _, err = analysis("attribute", "p.sqlite", "--kernel-table", tmp_path / "k.parquet")
    assert (code, err.count("\n")) == (2, 1)
    assert "add --run run.json" in err
