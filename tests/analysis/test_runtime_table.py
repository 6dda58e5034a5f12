"""`runtime.csv` of generated runs."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from adscale.errors import ResultsError
from analysis.nsys.reading import read_profile
from analysis.profiles.range_table import run_ranges
from analysis.profiles.record import read_run
from analysis.profiles.study_runs import read_study_runs
from analysis.profiles.times import PassTimes, profiled_times
from analysis.runtime_table import RUNTIME
from analysis.runtime_table import runtime_table as table_of
from analysis.statistics.summary import summarize_series
from analysis.tables import write_parquet
from tests.gpu_profiles import (
    GAP_NS,
    GpuRun,
    ProfileWriter,
    latency_times,
    machine_document,
    run_document,
    write_gpu_run,
    write_latency_json,
    write_run_json,
)

RUN = GpuRun("M", 256, ("teacher", "student"), lambda name, image: 400_000 * (len(name) + image))
Row = Callable[[str, str], Any]


def measured(folder: Path, run: GpuRun = RUN) -> Path:
    write_gpu_run(folder, run)
    return attributed(folder)


def attributed(folder: Path) -> Path:
    profile = read_profile(folder / "profile.sqlite")
    write_parquet(
        run_ranges(read_run(folder / "run.json"), profile).table, folder / "ranges.parquet"
    )
    return folder


def runtime_table(folders: Sequence[Path], with_latency: bool = False) -> pd.DataFrame:
    return table_of(read_study_runs(folders, with_latency))


def one(table: pd.DataFrame, **where: object) -> Any:
    for column, value in where.items():
        table = table[table[column] == value]
    assert len(table) == 1
    return table.iloc[0]


@pytest.mark.parametrize(
    ("clock", "factor", "extra_ns"),
    [("busy", 1, 0), ("kernel_sum", 1.25, 0), ("span", 1, 2 * GAP_NS)],
)
def test_mean_and_interval_of_known_times(
    tmp_path: Path, clock: str, factor: float, extra_ns: int
) -> None:
    table = runtime_table([measured(tmp_path)])
    row = one(table, submodule="teacher", clock=clock)
    values = np.array([0.4 * (7 + image) * factor + extra_ns / 1e6 for image in range(5)])
    expected = summarize_series([values])
    assert row["images"] == 5
    assert row["mean_ms"] == pytest.approx(values.mean())
    assert row["median_ms"] == pytest.approx(np.median(values))
    assert row["std_ms"] == pytest.approx(values.std(ddof=1))
    assert (row["min_ms"], row["max_ms"]) == pytest.approx((values.min(), values.max()))
    assert (row["ci95_low_ms"], row["ci95_high_ms"]) == pytest.approx(expected.mean[1:])
    assert row[["p90_ms", "p95_ms", "p99_ms"]].isna().all()  # of 5 images it is the largest
    assert row["unseen_ms"] == pytest.approx(3 / 5 * 9 * np.median(values))
    assert row["effective_images"] == pytest.approx(expected.effective_images)
    assert (row["processes"], row["steadiness"]) == (1, "too_short")
    assert row[["median_low_ms", "p99_high_ms", "process_std_ms"]].isna().all()


def test_warm_up_does_not_count(tmp_path: Path) -> None:
    slow_start = replace(RUN, work_ns=lambda name, image: 4_000_000 if image == 0 else 400_000)
    row = one(runtime_table([measured(tmp_path, slow_start)]), submodule="teacher", clock="busy")
    assert row["mean_ms"] == pytest.approx((4.0 + 4 * 0.4) / 5)


def test_launch_bound_share_and_kernels(tmp_path: Path) -> None:
    table = runtime_table([measured(tmp_path)])
    busy_ns = np.array([400_000 * (7 + image) for image in range(5)])
    expected = np.mean(1 - busy_ns / (busy_ns + 2 * GAP_NS))
    row = one(table, submodule="teacher", clock="busy")
    assert row["launch_bound_share"] == pytest.approx(expected)
    assert row["kernels_per_image"] == 4
    others = table[table["clock"] != "busy"]
    assert others["launch_bound_share"].isna().all()


def test_the_whole_image_and_what_surrounds_it(tmp_path: Path) -> None:
    table = runtime_table([measured(tmp_path)])
    assert list(table.columns) == list(RUNTIME.schema)
    busy = table[table["clock"] == "busy"].set_index("submodule")
    assert list(busy.index) == ["teacher", "student", "image"]
    parts = busy.loc[["teacher", "student"], "mean_ms"].sum()
    assert busy.loc["image", "mean_ms"] == pytest.approx(parts)
    host = table[table["clock"] == "host"]
    assert dict(zip(host["submodule"], host["role"], strict=True)) == {
        "teacher": "submodule",
        "student": "submodule",
        "image": "image",
        "load": "outside",
        "prepare": "outside",
        "copy_to_device": "outside",
        "copy_to_host": "outside",
    }
    assert one(table, submodule="load")["mean_ms"] == pytest.approx(0.0501)


def test_what_was_measured_on_what(tmp_path: Path) -> None:
    row = runtime_table([measured(tmp_path)]).iloc[0]
    assert (row["device"], row["device_type"], row["hardware"]) == (
        "generated",
        "cuda",
        "generated GPU",
    )
    assert (row["resolution_px"], row["pixels"]) == (256, 65536)
    assert (row["collector"], row["collector_version"]) == ("nsys", "2023.4.4 (generated)")


def test_calls_of_an_image_are_added_up(tmp_path: Path) -> None:
    run = replace(RUN, submodules=("unet",), warmup_images=0, measured_images=2)
    writer = ProfileWriter()
    with writer.range("measure"):
        for _ in range(2):
            with writer.range("image"):
                writer.submodule("unet", 400_000)
                writer.submodule("unet", 800_000)
    writer.write(tmp_path / "profile.sqlite")
    write_run_json(tmp_path / "run.json", run)
    row = one(runtime_table([attributed(tmp_path)]), submodule="unet", clock="busy")
    assert (row["images"], row["kernels_per_image"]) == (2, 8)
    assert row["mean_ms"] == pytest.approx(1.2)


def test_a_submodule_without_kernels_has_no_span(tmp_path: Path) -> None:
    run = replace(RUN, submodules=("teacher", "threshold"), warmup_images=0, measured_images=3)
    writer = ProfileWriter()
    with writer.range("measure"):
        for _ in range(3):
            with writer.range("image"):
                writer.submodule("teacher", 400_000)
                with writer.range("threshold"):
                    pass
    writer.write(tmp_path / "profile.sqlite")
    write_run_json(tmp_path / "run.json", run)
    table = runtime_table([attributed(tmp_path)])
    assert one(table, submodule="threshold", clock="busy")["mean_ms"] == 0
    assert one(table, submodule="threshold", clock="busy")["launch_bound_share"] is pd.NA
    span = one(table, submodule="threshold", clock="span")
    assert span["images"] == 0
    assert span["mean_ms"] is pd.NA


def test_a_run_out_of_memory_is_a_row_without_times(tmp_path: Path) -> None:
    write_run_json(
        tmp_path / "run.json",
        RUN,
        status="out_of_memory",
        problem={"phase": "build", "message": "does not fit", "requested_bytes": None},
        sampling={"warmup_images": 0, "measured_images": 0, "stop_reason": "out_of_memory"},
    )
    table = runtime_table([tmp_path])
    assert table["submodule"].tolist() == ["teacher", "student", "image"]
    assert set(table["status"]) == {"out_of_memory"}
    assert set(table["clock"]) == {"busy"}
    assert (table["images"] == 0).all()
    assert table[["mean_ms", "ci95_low_ms", "median_ms", "kernels_per_image"]].isna().all(axis=None)


PREDICTION = {
    "needed_bytes": 50 * 2**30,
    "device_memory_bytes": 24 * 2**30,
    "available_bytes": 20 * 2**30,
    "incomplete": None,
    "counted_by": "0" * 16,
}


def test_a_run_that_was_left_out_is_a_row_with_its_prediction(tmp_path: Path) -> None:
    lost = "predicted_out_of_memory"
    write_run_json(
        tmp_path / "run.json",
        RUN,
        status=lost,
        problem={"phase": "prediction", "message": "not run", "requested_bytes": None},
        sampling={"warmup_images": 0, "measured_images": 0, "stop_reason": lost},
        prediction=PREDICTION,
        prediction_problem=None,
    )
    table = runtime_table([tmp_path])
    assert table["submodule"].tolist() == ["teacher", "student", "image"]
    assert set(table["status"]) == {"predicted_out_of_memory"}
    assert (table["images"] == 0).all()
    assert table[["mean_ms", "ci95_low_ms", "median_ms"]].isna().all(axis=None)
    assert (table["predicted_needed_bytes"] == 50 * 2**30).all()
    assert (table["device_memory_bytes"] == 24 * 2**30).all()


def test_the_prediction_stands_beside_the_times(tmp_path: Path) -> None:
    folder = measured(tmp_path)
    assert runtime_table([folder])["predicted_needed_bytes"].isna().all()
    write_run_json(tmp_path / "run.json", RUN, prediction=PREDICTION, prediction_problem=None)
    table = runtime_table([folder])
    assert (table["predicted_needed_bytes"] == 50 * 2**30).all()
    assert table["mean_ms"].notna().any()


def test_runs_are_sorted_whatever_their_order(tmp_path: Path) -> None:
    folders = [
        measured(tmp_path / str(side), replace(RUN, resolution_px=side)) for side in (512, 256)
    ]
    assert runtime_table(folders)["resolution_px"].drop_duplicates().tolist() == [256, 512]


def test_the_same_run_twice(tmp_path: Path) -> None:
    folders = [measured(tmp_path / name) for name in ("a", "b")]
    with pytest.raises(
        ResultsError, match=r"process 1 of .*M reference-fp32 256 px is in .*a/run.json too"
    ):
        runtime_table(folders)


def test_ranges_that_do_not_belong_to_the_run(tmp_path: Path) -> None:
    measured(tmp_path)
    write_run_json(tmp_path / "run.json", replace(RUN, submodules=("teacher", "denoiser")))
    with pytest.raises(ResultsError, match="holds no measured range image/denoiser"):
        runtime_table([tmp_path])


def test_ranges_that_are_missing(tmp_path: Path) -> None:
    write_gpu_run(tmp_path, RUN)
    with pytest.raises(ResultsError, match=r"ranges.parquet: cannot be read"):
        runtime_table([tmp_path])


def study(folder: Path, factors: Sequence[float], images: int = 40, **more: Any) -> list[Path]:
    """Processes of one run, each by a factor slower than the first, with noise of 1 %."""
    folders = []
    for number, factor in enumerate(factors, start=1):
        noise = 1 + 0.01 * np.random.default_rng(number).standard_normal(images)

        def work_ns(name: str, image: int, level: Any = factor * noise) -> int:
            return 4 * round(100_000 * len(name) * float(level[image % images]))

        run = replace(RUN, work_ns=work_ns, measured_images=images, process=number, **more)
        folders.append(measured(folder / (f"process-{number}" if number > 1 else ""), run))
    return folders


def whole_images(folder: Path) -> PassTimes:
    return profiled_times(read_run(folder / "run.json"))


def test_several_processes_are_the_sample(tmp_path: Path) -> None:
    folders = study(tmp_path, [1.0, 1.02, 0.98])
    row = one(runtime_table(folders), submodule="image", clock="busy")
    series = [whole_images(folder).image_ms for folder in folders]
    means = np.array([values.mean() for values in series])
    half_width = 4.302652730 * means.std(ddof=1) / np.sqrt(3)  # t(0.975, 2)
    assert (row["processes"], row["images"]) == (3, 120)
    assert row["mean_ms"] == pytest.approx(means.mean())
    assert row["ci95_low_ms"] == pytest.approx(means.mean() - half_width)
    assert row["ci95_high_ms"] == pytest.approx(means.mean() + half_width)
    assert row["process_std_ms"] == pytest.approx(means.std(ddof=1))
    assert row["min_ms"] == pytest.approx(min(values.min() for values in series))
    assert row["median_ms"] == pytest.approx(np.mean([np.median(v) for v in series]), rel=1e-4)
    assert row["kernels_per_image"] == 8
    assert (row["steadiness"], row["verdict"]) == ("steady", "steady")
    assert row["effective_images"] is pd.NA
    assert runtime_table(folders[::-1]).equals(runtime_table(folders))


@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        (
            ("request", "settings"),
            {"size": "M"},
            "request.settings is {'size': 'M'}, in .* it is {}",
        ),
        (("request", "threads"), 2, "request.threads is 2"),
        (("request", "execution", "cudnn_benchmark"), True, "request.execution is"),
        (("hardware", "gpu", "name"), "another GPU", "hardware.gpu.name is 'another GPU'"),
        (("hardware", "cpu_model"), "another CPU", "hardware.cpu_model is 'another CPU'"),
        (("collector", "version"), "2025.1", "collector.version is '2025.1'"),
        (("software", "torch"), "3.0", "software.torch is '3.0', in .* it is None"),
        (("flags", "tf32_cudnn"), True, "flags.tf32_cudnn is True"),
        (("submodules",), ["student", "teacher"], "submodules is"),
    ],
)
def test_processes_that_do_not_measure_the_same(
    tmp_path: Path, place: tuple[str, ...], value: object, told: str
) -> None:
    folders = study(tmp_path, [1.0, 1.0], images=2)
    path = folders[1] / "run.json"
    document = json.loads(path.read_text())
    inner = document
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    path.write_text(json.dumps(document))
    with pytest.raises(ResultsError, match=rf"process-2/run.json: {told}.*measure the older"):
        runtime_table(folders)


def test_what_does_not_decide_what_is_measured_may_differ(tmp_path: Path) -> None:
    folders = study(tmp_path, [1.0, 1.0], images=2)
    for name in ("run.json", "latency.json"):
        path = folders[1] / name
        document = json.loads(path.read_text())
        document["request"] |= {"foreign_processes": "error", "skip_margin": 0.1}
        path.write_text(json.dumps(document))
    assert one(runtime_table(folders), submodule="image", clock="busy")["processes"] == 2


def test_one_process_out_of_memory_is_the_run_out_of_memory(tmp_path: Path) -> None:
    folders = study(tmp_path, [1.0, 1.0], images=2)
    lost = "out_of_memory"
    write_run_json(
        folders[1] / "run.json", replace(RUN, process=2, measured_images=2), status=lost,
        submodules=[],
        problem={"phase": "build", "message": "does not fit", "requested_bytes": None},
        sampling={"warmup_images": 0, "measured_images": 0, "stop_reason": lost},
    )  # fmt: skip
    (folders[1] / "latency.json").unlink()
    table = runtime_table(folders, with_latency=True)
    profiled = table[table["clock"] == "busy"]
    assert profiled["submodule"].tolist() == ["teacher", "student", "image"]
    assert set(profiled["status"]) == {"out_of_memory"}
    assert profiled[["mean_ms", "verdict", "steadiness"]].isna().all(axis=None)
    assert (profiled[["processes", "images"]] == 0).all(axis=None)
    latency = table[table["clock"] == "latency"]  # that of the first process did fit
    assert set(latency["status"]) == {"ok"}
    assert latency["profiled_over_latency"].isna().all()


def test_latency_has_rows_of_its_own(tmp_path: Path) -> None:
    folder = measured(tmp_path)
    table = runtime_table([folder], with_latency=True)
    latency = table[table["clock"] == "latency"]
    assert dict(zip(latency["submodule"], latency["role"], strict=True)) == {
        "image": "image",
        "load": "outside",
        "prepare": "outside",
        "copy_to_device": "outside",
        "copy_to_host": "outside",
        "end_to_end": "end_to_end",
    }
    for name, times_ms in latency_times(RUN).items():
        row = one(latency, submodule=name.removesuffix("_ms"))
        assert row["mean_ms"] == pytest.approx(np.mean(times_ms))
        assert row["max_ms"] == pytest.approx(np.max(times_ms))
    assert set(latency["collector"]) == {"none"}
    assert latency[["kernels_per_image", "launch_bound_share"]].isna().all(axis=None)
    without = runtime_table([folder], with_latency=False)
    pd.testing.assert_frame_equal(without, table[table["clock"] != "latency"])


def profiled_image_ms(folder: Path) -> float:
    """Mean time from the begin of an image to the end of waiting for it, without what lies between.

    Straight from the profile: the generator opens `synchronize` 0.1 µs after it closes `image`.
    """
    with closing(sqlite3.connect(folder / "profile.sqlite")) as profile:
        rows = profile.execute(
            "SELECT s.value, e.start, e.end FROM NVTX_EVENTS e JOIN StringIds s ON s.id = e.textId"
            " WHERE s.value IN ('image', 'synchronize', 'measure') ORDER BY e.start"
        ).fetchall()
    begin = next(start for name, start, _ in rows if name == "measure")
    inside = [end - start for name, start, end in rows if start > begin]
    return sum(inside) / 1e6 / RUN.measured_images


def test_megapixels_per_second_are_those_of_the_latency_clock(tmp_path: Path) -> None:
    table = runtime_table([measured(tmp_path)], with_latency=True)
    is_latency = table["clock"] == "latency"
    assert table.loc[~is_latency, "megapixels_per_s"].isna().all()
    for row in table[is_latency].to_dict("records"):
        expected = RUN.resolution_px**2 / 1e6 / (row["mean_ms"] / 1e3)
        assert row["megapixels_per_s"] == pytest.approx(expected)


def test_profiled_over_latency(tmp_path: Path) -> None:
    table = runtime_table([measured(tmp_path)], with_latency=True)
    expected = profiled_image_ms(tmp_path) / np.mean(latency_times(RUN)["image_ms"])
    given = table[table["profiled_over_latency"].notna()]
    assert given[["submodule", "clock"]].to_numpy().tolist() == [["image", "latency"]]
    assert given["profiled_over_latency"].item() == pytest.approx(expected)


@pytest.mark.parametrize(("factor", "warned"), [(1.0, False), (0.5, True)])
def test_a_profiler_that_slows_down_is_warned_about(
    tmp_path: Path, analysis: Callable[..., tuple[int, str, str]], factor: float, warned: bool
) -> None:
    times = {name: [factor * ms for ms in values] for name, values in latency_times(RUN).items()}
    write_latency_json(measured(tmp_path) / "latency.json", RUN, latency=times)
    code, _, err = analysis("summarize", tmp_path, "-o", tmp_path / "runtime.csv")
    assert code == 0
    said = "warning: generated: M reference-fp32 at 256 px: an image takes 1.99 times"
    assert (err.startswith(said) and err.count("\n") == 1) == warned
    assert bool(err) == warned
    assert "not steady" not in err
    machine = machine_document(RUN, others_share=[0.5] * 80)
    write_run_json(tmp_path / "run.json", RUN, machine=machine)
    _, _, err = analysis("summarize", tmp_path, "-o", tmp_path / "runtime.csv")
    assert ("it may not be the profiler, the run was not steady (shared)" in err) == warned


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"latency": None}, "latency is null"),
        ({"collector": {"name": "nsys", "version": "1"}}, "not without a profiler"),
        ({"clock": "host"}, "clock is 'host'"),
        (
            {"sampling": {"warmup_images": 2, "measured_images": 4, "stop_reason": "image_count"}},
            "image_ms has 5 times for 4 images",
        ),
        (
            {"request": {**run_document(replace(RUN, resolution_px=512))["request"]}},
            "request.resolution_px is 512",
        ),
        (
            {"request": {**run_document(replace(RUN, process=2))["request"]}},
            "is of process 2",
        ),
    ],
)
def test_a_latency_pass_that_cannot_be_used(
    tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    write_latency_json(measured(tmp_path) / "latency.json", RUN, **changes)
    with pytest.raises(ResultsError, match=rf"latency.json: .*{told}"):
        runtime_table([tmp_path], with_latency=True)
    assert len(runtime_table([tmp_path], with_latency=False))


def test_the_verdict_is_that_of_the_worst_process_and_of_its_own_pass(tmp_path: Path) -> None:
    folders = study(tmp_path, [1.0, 1.0])
    run = replace(RUN, measured_images=40, process=2)
    path = folders[1] / "run.json"
    document = json.loads(path.read_text())
    document["machine"] = machine_document(run, others_share=[0.5] * 80)
    path.write_text(json.dumps(document))
    table = runtime_table(folders, with_latency=True)
    by_pass = table["clock"] == "latency"
    assert set(table.loc[~by_pass, "verdict"]) == {"shared"}
    assert set(table.loc[by_pass, "verdict"]) == {"steady"}


def test_a_drift_of_whole_images_is_the_verdict(tmp_path: Path) -> None:
    noise = 0.001 * np.random.default_rng(5).standard_normal(60)
    run = replace(
        RUN,
        work_ns=lambda name, image: 4 * round(1e5 * (1 + 0.001 * image + float(noise[image]))),
        measured_images=60,
    )
    folder = measured(tmp_path, run)
    table = runtime_table([folder])
    assert set(table["verdict"]) == {"drifting"}
    assert one(table, submodule="teacher", clock="busy")["steadiness"] == "drifting"
    assert one(table, submodule="load", clock="host")["steadiness"] == "steady"


def test_a_machine_that_was_not_recorded(tmp_path: Path) -> None:
    folder = measured(tmp_path)
    write_run_json(folder / "run.json", RUN, machine=None)
    assert set(runtime_table([folder])["verdict"]) == {"steady"}


def test_two_processes_of_the_same_number(tmp_path: Path) -> None:
    folders = study(tmp_path, [1.0, 1.0], images=2)
    folders.append(measured(tmp_path / "again", replace(RUN, process=2)))
    with pytest.raises(ResultsError, match=r"process 2 of .* is in .* too; name one"):
        runtime_table(folders)
