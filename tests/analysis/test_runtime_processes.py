"""`runtime.csv` of several processes, which are the sample."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from adscale.errors import ResultsError
from tests.analysis.runtime_tables import (
    RUN,
    measured,
    one,
    runtime_table,
    study,
    whole_images,
)
from tests.gpu_profiles import (
    machine_document,
    write_run_json,
)


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


def test_no_time_is_below_zero(tmp_path: Path) -> None:
    """Of two processes, one of which took twenty times as long."""
    row = one(runtime_table(study(tmp_path, [1.0, 20.0])), submodule="image", clock="busy")
    assert row["mean_ms"] < 12.7 * row["standard_error_ms"], "Student's interval reaches below"
    assert (row["ci95_low_ms"], row["median_low_ms"]) == (0, 0)


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


def test_two_processes_of_the_same_number(tmp_path: Path) -> None:
    folders = study(tmp_path, [1.0, 1.0], images=2)
    folders.append(measured(tmp_path / "again", replace(RUN, process=2)))
    with pytest.raises(ResultsError, match=r"process 2 of .* is in .* too; name one"):
        runtime_table(folders)
