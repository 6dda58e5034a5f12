"""Runs that cannot fit are left out where the user wants it, and nothing is measured twice for it.

The limit is real: the studies here may use nine gigabytes of addresses, less than any of them has.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.workflow.conftest import SNAKEMAKE, planned, write_config

pytestmark = pytest.mark.study

ADDRESS_SPACE_BYTES = 9 * 10**9
SIDES_PX = (256, 6000)
RUN = "results/test/Small/reference-fp32"
SKIP = {"skip_predicted_out_of_memory": True}


def configure(folder: Path, **changes: Any) -> None:
    write_config(folder, {"resolutions": list(SIDES_PX), **changes})


def run_limited(folder: Path, *arguments: str) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES))

    done = subprocess.run(
        [*SNAKEMAKE, *arguments], env=os.environ, capture_output=True, text=True, timeout=900,
        cwd=folder, preexec_fn=limit,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def record(folder: Path, side_px: int) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((folder / RUN / str(side_px) / "run.json").read_text())
    return data


@pytest.fixture(scope="module")
def finished(finished_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of a resolution that fits and was measured, and one that does not and is left out."""
    folder = tmp_path_factory.mktemp("left_out") / "study"
    shutil.copytree(finished_study, folder, copy_function=shutil.copy2)
    for made in ("tables", "figures"):
        shutil.rmtree(folder / "results" / made)
    configure(folder, **SKIP)
    run_limited(folder, "results/tables/runtime.csv", "results/tables/memory_measured.csv")
    return folder


@pytest.fixture
def study(finished: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "study"
    shutil.copytree(finished, copy, copy_function=shutil.copy2)
    return copy


def test_it_is_a_row_that_says_so_and_the_rest_goes_on(finished: Path) -> None:
    table = pd.read_csv(finished / "results/tables/runtime.csv")
    small, large = (table[table["side_px"] == side_px] for side_px in SIDES_PX)
    assert set(small["status"]) == {"ok"}
    assert small["mean_ms"].notna().all()
    assert set(large["status"]) == {"predicted_out_of_memory"}
    assert large["mean_ms"].isna().all()
    assert (large["predicted_needed_bytes"] > 1.1 * ADDRESS_SPACE_BYTES).all()
    assert (small["predicted_needed_bytes"] < ADDRESS_SPACE_BYTES).all()
    memory = pd.read_csv(finished / "results/tables/memory_measured.csv")
    runs = memory[memory["role"] == "run"].set_index("side_px")
    assert runs.loc[256, "measured_to_counted"] > 1
    assert pd.isna(runs.loc[6000, "measured_bytes"])


def test_the_log_says_why(finished: Path) -> None:
    log = finished / "results/logs/profile/test/Small/reference-fp32/6000.log"
    assert "not run: it needs at least" in log.read_text()


def measurements(folder: Path) -> dict[str, int]:
    jobs = planned(folder)
    return {rule: jobs[rule] for rule in ("profile", "latency") if rule in jobs}


def test_it_is_not_tried_again_unless_it_would_not_be_left_out_any_more(study: Path) -> None:
    configure(study, **SKIP, memory_margin=0.2)
    assert measurements(study) == {}, "by another margin it is left out, too"
    configure(study, **SKIP, memory_margin=100)
    assert measurements(study) == {"profile": 1, "latency": 1}
    configure(study)
    assert measurements(study)["profile"] == 1


@pytest.mark.slow
def test_what_has_been_measured_stays_whatever_the_option_is(study: Path) -> None:
    small = record(study, 256)
    configure(study)
    run_limited(study, f"{RUN}/6000/run.json")
    assert record(study, 6000)["status"] == "out_of_memory"
    assert record(study, 256) == small
    assert "profile" not in planned(study)
    configure(study, **SKIP)
    assert "profile" not in planned(study)


def test_switching_it_on_measures_nothing_again(finished_study: Path, tmp_path: Path) -> None:
    copy = tmp_path / "study"
    shutil.copytree(finished_study, copy, copy_function=shutil.copy2)
    write_config(copy, {**SKIP, "memory_margin": 0})
    assert planned(copy) == {}


def test_counting_that_has_changed_decides_anew_and_measures_nothing_else(study: Path) -> None:
    """The record of a run that older code has left out."""
    file = study / RUN / "6000" / "run.json"
    data = record(study, 6000)
    data["prediction"]["counted_by"] = "0" * 16
    times_ns = file.stat()
    file.write_text(json.dumps(data))
    os.utime(file, ns=(times_ns.st_atime_ns, times_ns.st_mtime_ns))
    assert planned(study)["profile"] == 1
