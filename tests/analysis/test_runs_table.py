"""`runs.csv` of generated runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from adscale.devices import DeviceType
from adscale.errors import ResultsError
from adscale.models import checked, jsonable
from adscale.run_record import RunRecord
from analysis.profiles.record import read_run
from analysis.profiles.study_runs import judge_process, read_study_runs
from analysis.profiles.times import image_energy, profiled_times
from analysis.runs_table import RUNS, runs_table
from tests.analysis.runtime_tables import RUN, measured, study
from tests.gpu_profiles import (
    FLAGS,
    JOULES,
    WINDOW_S,
    latency_document,
    machine_document,
    run_document,
    write_run_json,
)


def table_of(folders: Sequence[Path]) -> pd.DataFrame:
    return runs_table(read_study_runs(folders))


def row_of(folder: Path, **changes: Any) -> Any:
    """The row of the profiled pass of a run whose `run.json` is changed."""
    measured(folder)
    write_run_json(folder / "run.json", RUN, **changes)
    (folder / "latency.json").unlink()
    (row,) = (row for _, row in table_of([folder]).iterrows())
    return row


def test_a_row_per_process_and_pass(tmp_path: Path) -> None:
    folders = study(tmp_path, [1.0, 1.0], images=2)
    (folders[1] / "latency.json").unlink()
    table = table_of(folders)
    assert list(table.columns) == list(RUNS.schema)
    found = table[["pass", "process", "collector"]].to_numpy().tolist()
    assert found == [["profiled", 1, "nsys"], ["profiled", 2, "nsys"], ["latency", 1, "none"]]


def test_what_the_record_says_is_in_the_row(tmp_path: Path) -> None:
    hardware = run_document(RUN)["hardware"]
    hardware |= {"cpus": "0-3", "cpu_count": 4, "online_cpus": 8, "threads": 3}
    hardware["gpu"]["driver"] = "550.54"
    request = run_document(RUN)["request"]
    request["execution"] = {"cudnn_benchmark": True, "deterministic": False, "cache": "cold"}
    request |= {"lock_clocks": 1200, "seed": 7}
    request["sampling"] |= {"time_budget_s": 60, "target_precision": 0.01}
    flags = {**run_document(RUN)["flags"], "cudnn_benchmark": True}
    row = row_of(tmp_path, hardware=hardware, request=request, flags=flags)
    for column, value in {
        "status": "ok", "stop_reason": "image_count", "warmup_images": 2, "measured_images": 5,
        "asked_measured_images": 5, "asked_time_budget_s": 60, "asked_target_precision": 0.01,
        "cpus": "0-3", "cpu_count": 4, "online_cpus": 8, "threads": 3, "gpu_driver": "550.54",
        "asked_cudnn_benchmark": True, "asked_deterministic": False, "cache": "cold",
        "cudnn_benchmark": True, "tf32_cudnn": False, "asked_sm_clock_mhz": 1200, "seed": 7,
        "started_utc": "2000-01-01T00:00:00+00:00", "collector_version": "2023.4.4 (generated)",
    }.items():  # fmt: skip
        assert row[column] == value, column


def test_a_run_that_is_not_as_asked_is_altered_whatever_else_disturbed_it(tmp_path: Path) -> None:
    first = {"shape": [1, 3, 64, 64], "dtype": "float32", "resized_by": ["upsample_bilinear2d"]}
    changed = ["tf32_matmul was to be off and is on"]
    machine = machine_document(RUN)
    machine["samples"]["others_share"] = [0.5] * len(machine["samples"]["time_ms"])
    row = row_of(tmp_path, changed_switches=changed, first_convolution=first, machine=machine)
    assert row["verdict"] == "altered"
    assert changed[0] in row["evidence"]
    assert "given 64 x 64 px, not 256 x 256 px (behind upsample_bilinear2d)" in row["evidence"]
    assert "other processes used 50%" in row["remarks"]
    assert row["changed_switches"] == changed[0]
    assert row["first_convolution"] == "1 × 3 × 64 × 64 float32"


def test_images_that_could_not_be_read_are_counted_and_named(tmp_path: Path) -> None:
    names = [f"{number}.png" for number in range(5)]
    row = row_of(tmp_path, images={"source": "x", "count": 2, "unreadable": names})
    assert (row["images"], row["unreadable_images"]) == (2, 5)
    assert "images that could not be read: 0.png, 1.png, 2.png and 2 more" in row["remarks"]


def test_records_without_the_newer_fields_are_read(tmp_path: Path) -> None:
    document = run_document(RUN)
    flags = {name: document["flags"][name] for name in FLAGS}
    for name in ("changed_switches", "first_convolution", "inner_ranges", "empty_range_ns"):
        del document[name]
    read = checked(RunRecord, {**document, "flags": flags})
    assert (read.changed_switches, read.first_convolution, read.flags.autocast) == ((), None, None)
    assert (read.inner_ranges, read.empty_range_ns) == ((), None)


@pytest.mark.parametrize(("device_type", "verdict"), [("cpu", "throttled"), ("cuda", "steady")])
@pytest.mark.parametrize("quota", [2.5, 3.0, None])
def test_threads_beyond_a_quota_are_a_doubt(
    quota: float | None, device_type: DeviceType, verdict: str, tmp_path: Path
) -> None:
    measured(tmp_path)
    hardware = {**run_document(RUN)["hardware"], "threads": 3, "cpu_quota": quota}
    write_run_json(tmp_path / "run.json", RUN, hardware=hardware)
    record = read_run(tmp_path / "run.json")
    request = replace(record.record.request, device_type=device_type)
    read = replace(record, record=replace(record.record, request=request))
    found = judge_process(read, profiled_times(record), 1)
    said = [found.evidence, *found.remarks]
    assert any("3 threads with a quota of 2.5 CPUs" in one for one in said) == (quota == 2.5)
    if quota == 2.5:
        assert found.verdict == verdict


def test_the_machine_is_that_of_the_measured_images(tmp_path: Path) -> None:
    machine = machine_document(RUN)
    machine["measured_ms"] = [1000.0, 3000.0]  # samples 10 to 30
    machine["samples"]["sm_clock_mhz"][:10] = [300] * 10
    machine["samples"]["sm_clock_mhz"][20] = None
    machine["foreign_processes"] = [
        {"pid": 12, "name": "python", "used_bytes": 2**30, "seen": "throughout"},
        {"pid": 13, "name": None, "used_bytes": None, "seen": "after"},
    ]
    machine |= {"lock_problem": "not allowed", "locked_sm_clock_mhz": None}
    row = row_of(tmp_path, machine=machine)
    clocks = [1410 - 15 * (n % 2) for n in range(10, 31) if n != 20]
    assert row["machine_samples"] == 21
    found = row[[f"sm_clock_{name}_mhz" for name in ("min", "median", "max")]].tolist()
    assert found == [1395, np.median(clocks), 1410]
    assert row["temperature_max_c"] == 51
    assert row["power_mean_w"] == pytest.approx(
        np.mean([190 + 20 * (n % 2) for n in range(10, 31)])
    )
    assert row["others_share_mean"] == 0
    assert pd.isna(row["cpu_frequency_max_mhz"])
    assert row["idle_power_w"] == 55
    assert row["lock_problem"] == "not allowed"
    assert row["foreign_processes"] == "python 12, 1024 MiB, throughout; unknown 13, after"


def test_energy_per_image(tmp_path: Path) -> None:
    row = row_of(tmp_path)
    assert row["energy_per_image_j"] == pytest.approx(JOULES / 5)
    # two steps of 100 ms at the mean power of 200 W, over five images
    assert row["energy_per_image_error_j"] == pytest.approx(0.2 * JOULES / WINDOW_S / 5)
    assert row["energy_window_s"] == WINDOW_S


@pytest.mark.parametrize(("window_s", "images"), [(4.99, 100), (60.0, 0)])
def test_energy_of_too_short_a_window_is_not_told(window_s: float, images: int) -> None:
    assert image_energy(1000.0, window_s, images) is None


def test_the_error_of_a_counter_with_steps_is_not_larger_than_told() -> None:
    """A counter that steps every 100 ms, read at any two moments, under constant power."""
    random = np.random.default_rng(2)
    power_w, step_s, images = 250.0, 0.1, 100
    for window_s in random.uniform(5, 30, 500):
        begin_s = random.uniform(0, 1)
        reading = [power_w * step_s * np.floor(at / step_s) for at in (begin_s, begin_s + window_s)]
        found = image_energy(reading[1] - reading[0], window_s, images)
        assert found is not None
        assert abs(found.joules - power_w * window_s / images) <= found.error_joules


def test_a_machine_that_was_not_recorded(tmp_path: Path) -> None:
    row = row_of(tmp_path, machine=None)
    empty = ("machine_samples", "sm_clock_min_mhz", "energy_per_image_j", "foreign_processes")
    assert row[list(empty)].isna().all()
    assert row["verdict"] == "steady"
    assert "not recorded: the share of other processes, the SM clock" in row["remarks"]


def test_each_process_has_its_own_verdict(tmp_path: Path) -> None:
    folders = study(tmp_path, [1.0, 1.0])
    path = folders[1] / "run.json"
    document = json.loads(path.read_text())
    run = replace(RUN, measured_images=40, process=2)
    document["machine"] = machine_document(run, slowdown_reasons=[4] * 80)
    path.write_text(json.dumps(document))
    table = table_of(folders).set_index(["pass", "process"])
    assert table["verdict"].tolist() == ["steady", "throttled", "steady", "steady"]
    assert "power held the clocks down in 80 of 80 samples" in table.loc[
        ("profiled", 2), "evidence"
    ]  # fmt: skip


def test_a_run_that_does_not_fit_has_a_row_without_verdict(tmp_path: Path) -> None:
    lost = "out_of_memory"
    row = row_of(
        tmp_path, status=lost, machine=None,
        problem={"phase": "build", "message": "does not fit", "requested_bytes": None},
        sampling={"warmup_images": 0, "measured_images": 0, "stop_reason": lost},
    )  # fmt: skip
    assert (row["status"], row["stop_reason"], row["measured_images"]) == (lost, lost, 0)
    assert row[["verdict", "evidence", "kernel_time_coverage"]].isna().all()


def test_samples_that_contradict_each_other(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match=r"run.json: power_w has 1 samples, time_ms 80"):
        row_of(tmp_path, machine=machine_document(RUN, power_w=[1.0]))


def test_coverage_of_kernel_time(
    tmp_path: Path, analysis: Callable[..., tuple[int, str, str]]
) -> None:
    measured(tmp_path)
    files = [tmp_path / "profile.sqlite", "--run", tmp_path / "run.json"]
    assert analysis("attribute", *files, "-o", tmp_path / "ranges.parquet")[0] == 0
    table = table_of([tmp_path])
    assert table["kernel_time_coverage"].tolist() == [1.0, pd.NA]


def test_the_command_writes_both_formats(
    tmp_path: Path, analysis: Callable[..., tuple[int, str, str]]
) -> None:
    measured(tmp_path / "run")
    output = tmp_path / "tables"
    arguments = ["-o", output / "runtime.csv", "--runs", output / "runs.csv"]
    assert analysis("summarize", tmp_path / "run", *arguments)[0] == 0
    assert {path.name for path in output.iterdir()} == {
        "runtime.csv", "runtime.parquet", "runs.csv", "runs.parquet",
    }  # fmt: skip
    assert pd.read_csv(output / "runs.csv")["pass"].tolist() == ["profiled", "latency"]
    assert analysis("summarize", tmp_path / "run", *arguments, "--no-latency")[0] == 0
    assert pd.read_csv(output / "runs.csv")["pass"].tolist() == ["profiled"]


def test_the_generated_records_are_those_of_the_model() -> None:
    for document in (run_document(RUN), latency_document(RUN)):
        assert jsonable(checked(RunRecord, document)) == document
