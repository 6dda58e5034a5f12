"""A tiny study on the CPU: what runs, what runs again, and what a fault looks like."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis.figures.draw import FIGURES
from tests.analysis.recomputed import disagreements
from tests.analysis.report_study import unpacked
from tests.no_locks import NEEDS_COMPILER, without_locks
from tests.workflow.conftest import CHECKOUT, SNAKEMAKE, TINY, planned, run_study, write_config

pytestmark = pytest.mark.study
RUNS = [f"results/test/Small/reference-fp32/{side_px}" for side_px in (256, 288)]


@pytest.fixture
def study(finished_study: Path, tmp_path: Path) -> Path:
    """A copy of the finished study, times of files included."""
    copy = tmp_path / "study"
    shutil.copytree(finished_study, copy, copy_function=shutil.copy2)
    return copy


def test_runtimes_carry_device_clock_sample_size_and_uncertainty(finished_study: Path) -> None:
    table = pd.read_csv(finished_study / "results/tables/runtime.csv")
    submodules = table[table["role"] == "submodule"]
    assert set(submodules["submodule"]) == {"teacher", "student", "autoencoder", "anomaly_map"}
    assert set(table["side_px"]) == {256, 288}
    assert set(table["clock"]) == {"host", "latency"}
    assert set(table["device"]) == {"test"}
    assert set(table["images"]) == {2}
    assert (table["ci95_low_ms"] <= table["mean_ms"]).all()
    assert (table["mean_ms"] <= table["ci95_high_ms"]).all()
    image = table[(table["role"] == "image") & (table["clock"] == "host")]
    image = image.set_index("side_px")["mean_ms"]
    covered = submodules.groupby("side_px")["mean_ms"].sum() / image
    assert covered.between(0.99, 1).all()


def test_all_tables_agree_with_a_second_program(finished_study: Path) -> None:
    """It reads the raw files and imports nothing of ours."""
    assert list(disagreements(finished_study / "results")) == []


def test_memory_is_counted_beyond_what_was_measured(finished_study: Path) -> None:
    table = pd.read_csv(finished_study / "results/tables/memory.csv")
    studied = {256, 384, 512, 640, 768, 896, 1024}
    assert set(table["side_px"]) == {288, *studied, 1536, 2048, 2560}
    assert set(table["basis"]) == {"counted"}
    student = table.set_index(["submodule", "side_px"]).loc[("student", 1024)]
    assert student["activations_bytes"] / 2**20 == pytest.approx(1001.7, abs=0.05)
    assert student["parameters_bytes"] == 4_267_392 * 4


def test_whole_methods_rates_and_the_extrapolation_have_tables(finished_study: Path) -> None:
    tables = finished_study / "results/tables"
    methods = pd.read_csv(tables / "memory_methods.csv").set_index("side_px")
    assert methods.loc[1024, "peak_submodule"] == "student"
    assert (methods["needed_bytes"] > methods["peak_bytes"]).all()
    rates = pd.read_csv(tables / "flops.csv")
    assert set(rates["clock"]) == {"host"}
    assert (rates.loc[rates["submodule"] == "student", "gflop_per_s"] > 0).all()
    judged = pd.read_csv(tables / "memory_extrapolation.csv")
    assert set(judged["at_px"]) == {2048}
    assert set(judged.loc[judged["submodule"] == "student", "verdict"]) == {
        "quadratic: error below 1 %"
    }


def test_two_resolutions_are_too_few_for_a_fit_and_it_says_so(finished_study: Path) -> None:
    table = pd.read_csv(finished_study / "results/tables/fits.csv")
    assert table["predicted"].isna().all()
    assert table["fit_refused"].str.contains("2 resolutions").all()


def test_every_figure_has_its_data_and_both_formats(finished_study: Path) -> None:
    folder = finished_study / "results/figures"
    names = {path.stem for path in folder.iterdir()}
    of = {"device": "test", "method": "Small", "variant": "reference-fp32"}
    kinds = [
        kind
        for kind in FIGURES
        if kind.when not in ("gpu", "compared") and "precision" not in kind.labels
    ]
    assert names == {kind.name(of) for kind in kinds}
    for name in names:
        assert (folder / f"{name}.pdf").read_bytes().startswith(b"%PDF")
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert len(pd.read_csv(folder / f"{name}.csv"))


def test_the_report_is_there(finished_study: Path) -> None:
    page = (finished_study / "results/report.html").read_text(encoding="utf-8")
    assert "results/tables/runtime.csv" in unpacked(page, "study")
    assert len(page) < 3e6, "what a browser opens at once, and a mail takes"


def test_every_job_has_left_a_log(finished_study: Path) -> None:
    logs = {path.relative_to(finished_study / "results/logs").parts[0].removesuffix(".log")
            for path in (finished_study / "results/logs").rglob("*.log")}  # fmt: skip
    assert logs == {
        "profile", "latency", "attribute", "count_memory", "runtime_table", "memory_table",
        "fits_table", "implementations_table", "flops_table", "extrapolation_table",
        "measured_memory_table", "feasibility_table", "figures", "report", "summary",
        "memory_cpu_table", "tiles_table",
    }  # fmt: skip


def test_nothing_is_done_twice(study: Path) -> None:
    assert planned(study) == {}


def test_what_figures_look_like_draws_again_and_measures_nothing(study: Path) -> None:
    write_config(study, {"figures": {"width_mm": 89}})
    assert planned(study) == {"figures": 1, "all": 1}


def test_other_gpus_are_judged_again_and_measure_nothing(study: Path) -> None:
    write_config(study, {"gpus": [{"name": "mine", "memory_gib": 11}]})
    judged = ("tiles_table", "feasibility_table", "figures", "report", "summary", "all")
    assert planned(study) == dict.fromkeys(judged, 1)


def test_without_sensors_nothing_is_measured_again(study: Path) -> None:
    """What was counted for a CPU at the sensors is not wanted any more."""
    write_config(study, {"sensors": []})
    jobs = planned(study)
    assert jobs["feasibility_table"] == 1
    assert not {"profile", "latency", "attribute"} & jobs.keys()


def test_another_sensor_is_counted_and_measures_nothing(study: Path) -> None:
    write_config(study, {"sensors": [{"name": "mine", "megapixels": 2}]})
    jobs = planned(study)
    assert (jobs["count_memory"], jobs["feasibility_table"]) == (1, 1)
    assert not {"profile", "latency", "attribute"} & jobs.keys()


def test_feasibility_is_told_of_every_gpu_and_of_the_device_that_was_measured(
    finished_study: Path,
) -> None:
    tables = finished_study / "results/tables"
    rows = pd.read_csv(tables / "feasibility.csv").set_index("gpu")
    assert set(rows["resolution"].astype(str)) == {"1024"}
    cpu = rows.loc["test (CPU)"]
    # counted for the CPU at the sensor, too, and judged by what its process took at two sizes
    assert re.fullmatch(r"needs at most .* the most of n = 2 at 256 to 288 px", cpu["reason"])
    assert cpu["latency_problem"].startswith("extrapolation refused: 2 resolutions")
    assert set(rows.drop("test (CPU)")["verdict"]) == {"fits"}
    limits = pd.read_csv(tables / "feasibility_limits.csv").set_index("limit")
    assert limits.loc["smallest GPU", "gpu"] == "RTX 4060"


def test_a_new_label_is_measured_and_the_old_one_is_not(study: Path) -> None:
    methods = {**TINY["methods"], "Padded": {"target": "efficientad", "size": "S", "padding": True}}
    write_config(study, {"methods": methods})
    jobs = planned(study)
    assert (jobs["profile"], jobs["latency"], jobs["count_memory"], jobs["attribute"]) == (
        2,
        2,
        1,
        2,
    )


def test_a_changed_setting_measures_its_label_again(study: Path) -> None:
    write_config(study, {"methods": {"Small": {"target": "efficientad", "size": "M"}}})
    jobs = planned(study)
    assert (jobs["profile"], jobs["latency"], jobs["count_memory"]) == (2, 2, 1)


def test_a_new_resolution_is_the_only_new_measurement(study: Path) -> None:
    write_config(study, {"resolutions": [256, 288, 320]})
    jobs = planned(study)
    assert (jobs["profile"], jobs["latency"]) == (1, 1)


@pytest.fixture
def other_checkout(tmp_path: Path) -> Path:
    """A copy of the code, to edit."""
    copy = tmp_path / "checkout"
    hidden = shutil.ignore_patterns(".*", "results", "tests", "__pycache__")
    shutil.copytree(CHECKOUT, copy, ignore=hidden)
    return copy


def test_changed_code_measures_again(study: Path, other_checkout: Path) -> None:
    _append(other_checkout / "profiling/methods/efficientad/networks.py", "EXTRA = 1\n")
    jobs = planned(study, "--snakefile", str(other_checkout / "Snakefile"))
    assert (jobs["profile"], jobs["latency"], jobs["count_memory"]) == (2, 2, 1)


def test_a_comment_and_changed_analysis_measure_nothing(study: Path, other_checkout: Path) -> None:
    _append(other_checkout / "profiling/methods/efficientad/networks.py", "# a comment\n")
    _append(other_checkout / "analysis/fits/quadratic.py", "EXTRA = 1\n")
    jobs = planned(study, "--snakefile", str(other_checkout / "Snakefile"))
    assert not {"profile", "latency", "count_memory", "attribute"} & jobs.keys()
    assert jobs["fits_table"] == 1


def _append(file: Path, text: str) -> None:
    file.write_text(file.read_text() + text)


def test_measurements_do_not_overlap_whatever_the_cores(finished_study: Path) -> None:
    """Also with the profile's limit overridden on the command line: the lock is in the program."""
    spans = sorted(_absolute_span(finished_study / run / "profile.sqlite") for run in RUNS)
    for (_, end), (start, _) in itertools.pairwise(spans):
        assert end <= start


def _absolute_span(sqlite: Path) -> tuple[int, int]:
    """From the first to the last range of a profile, in ns since 1970."""
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(sqlite)) as connection:
        (session,) = connection.execute(
            "SELECT utcEpochNs FROM TARGET_INFO_SESSION_START_TIME"
        ).fetchone()
        first, last = connection.execute(
            "SELECT min(start), max(end) FROM NVTX_EVENTS WHERE eventType = 59"
        ).fetchone()
    return session + first, session + last


def test_a_study_killed_while_it_measures_goes_on_and_keeps_what_was_finished(
    study: Path,
) -> None:
    slow = {"warmup_images": 1, "measured_images": 400, "min_images": 1, "time_budget_s": 60}
    first, second = (study / run / "run.json" for run in RUNS)
    shutil.rmtree(second.parent)
    log = study / "results/logs/profile/test/Small/reference-fp32/288.log"
    log.unlink()
    finished = (first.read_bytes(), first.stat().st_mtime_ns)
    # the other run, slow enough to be killed in its middle
    methods = {"Small": {**TINY["methods"]["Small"], "resolutions": [288]}}
    write_config(study, {"sampling": slow, "methods": methods, "latency": False})
    command = ["sh", str(CHECKOUT / "workflow/study.sh"), *SNAKEMAKE]
    process = subprocess.Popen(
        command, cwd=study, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    _wait_for_line(log, ": measure, ")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not second.exists()
    write_config(study, {})
    command.append(str(second.relative_to(study)))
    done = subprocess.run(command, cwd=study, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert second.exists()
    assert (first.read_bytes(), first.stat().st_mtime_ns) == finished


def _wait_for_line(path: Path, word: str) -> None:
    deadline = time.monotonic() + 600
    while not (path.exists() and word in path.read_text()):
        assert time.monotonic() < deadline, f"{path} never said {word!r}"
        time.sleep(0.2)


def test_a_second_study_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".snakemake").mkdir()
    holder = subprocess.Popen(
        ["flock", ".snakemake/study.lock", "sh", "-c", "touch held; sleep 60"], cwd=tmp_path
    )
    try:
        while not (tmp_path / "held").exists():
            time.sleep(0.05)
        done = subprocess.run(
            ["sh", str(CHECKOUT / "workflow/study.sh"), sys.executable, "-c", "0"],
            cwd=tmp_path, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 1
        assert "another study" in done.stderr
    finally:
        holder.kill()
        holder.wait()


@NEEDS_COMPILER
def test_a_folder_without_locks_is_not_taken_for_one_in_which_a_study_runs(tmp_path: Path) -> None:
    (tmp_path / ".snakemake" / "locks").mkdir(parents=True)
    (tmp_path / ".snakemake" / "locks" / "0.input.lock").touch()
    done = subprocess.run(
        ["sh", str(CHECKOUT / "workflow/study.sh"), "echo", "snakemake"], cwd=tmp_path,
        env={**os.environ, **without_locks(tmp_path)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0
    assert "has no locks; start no second study in it" in done.stderr
    assert done.stdout == "snakemake\n", "nobody knows whose lock it would take away"


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"presets": "quick"}, ["presets: unknown key", "did you mean preset?"]),
        ({"collector": "nsys", "nsys": "/no/such/nsys"}, ["/no/such/nsys"]),
    ],
)
def test_a_fault_in_the_configuration_stops_before_any_job(
    tmp_path: Path, changes: dict[str, Any], parts: list[str]
) -> None:
    write_config(tmp_path, changes)
    done = run_study(tmp_path)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    for part in parts:
        assert part in done.stderr
    assert not (tmp_path / "results").exists()


def test_out_of_memory_at_one_resolution_is_a_row_and_the_rest_goes_on(study: Path) -> None:
    """The record of a real run, turned into one that ran out, through the rest of the study."""
    record = study / RUNS[1] / "run.json"
    data = json.loads(record.read_text())
    data["status"] = data["sampling"]["stop_reason"] = "out_of_memory"
    data["problem"] = {"phase": "warmup", "message": "no room", "requested_bytes": 1}
    record.write_text(json.dumps(data))
    # how figures show it is in tests/analysis; here, that every table comes about
    made = [f"results/tables/{name}.csv" for name in ("feasibility", "flops", "implementations")]
    done = run_study(study, *made)
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(study / "results/tables/runtime.csv")
    lost = table[table["status"] == "out_of_memory"]
    assert set(lost["side_px"]) == {288}
    assert lost["mean_ms"].isna().all()
    assert (lost["images"] == 0).all()
    assert table[table["side_px"] == 256]["mean_ms"].notna().all()


@pytest.mark.nsys
def test_the_smoke_study_under_real_nsys(tmp_path: Path) -> None:
    methods = {"Own": {"target": "examples.small_autoencoder:SmallAutoencoder"}}
    write_config(tmp_path, {"collector": "nsys", "resolutions": [32], "methods": methods})
    runtime = "results/tables/runtime.csv"
    done = run_study(tmp_path, runtime)
    assert done.returncode == 0, done.stdout + done.stderr
    folder = tmp_path / "results/test/Own/reference-fp32/32"
    assert {path.name for path in folder.iterdir()} == {
        "run.json", "profile.nsys-rep", "profile.sqlite", "ranges.parquet", "kernels.parquet",
        "latency.json",
    }  # fmt: skip
    table = pd.read_csv(tmp_path / runtime)
    # the latency of whole images is taken without a profiler, in a pass of its own
    assert set(table[table["clock"] == "latency"]["collector"]) == {"none"}
    assert set(table[table["clock"] != "latency"]["collector"]) == {"nsys"}
    assert set(table[table["role"] == "submodule"]["images"]) == {2}
    assert planned(tmp_path, runtime) == {}
