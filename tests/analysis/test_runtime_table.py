"""`runtime.csv` of generated runs of one process."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from adscale.errors import ResultsError
from analysis.runtime_table import RUNTIME
from analysis.statistics.summary import summarize_series
from tests.analysis.runtime_tables import (
    RUN,
    attributed,
    measured,
    one,
    runtime_table,
)
from tests.gpu_profiles import (
    GAP_NS,
    ProfileWriter,
    write_gpu_run,
    write_run_json,
)


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
    assert (row["side_px"], row["pixels"]) == (256, 65536)
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
    assert runtime_table(folders)["side_px"].drop_duplicates().tolist() == [256, 512]


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
