"""Several processes per run and the latency pass, as Snakemake carries them out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.workflow.conftest import planned, run_study, write_config

pytestmark = pytest.mark.study

SIDES_PX = (32, 64)
RUN = "results/test/Own/reference-fp32"
TARGET = "examples.small_autoencoder:SmallAutoencoder"
METHODS = {"Own": {"target": TARGET, "resolutions": list(SIDES_PX)}}
MEASURING = ("profile", "latency")
RECORDS = [
    f"{RUN}/{side_px}{process}/run.json" for process in ("", "/process-2") for side_px in SIDES_PX
]
"""Of all runs, process by process."""


def configure(folder: Path, **changes: Any) -> None:
    study = {"methods": METHODS, "extrapolate_to_px": 64, "processes": 2, "latency": False}
    write_config(folder, {**study, **changes})


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs that were measured in two processes each, without the latency pass."""
    folder = tmp_path_factory.mktemp("processes")
    configure(folder)
    # the last come first on the command line, so that their order is not that of Snakemake's rules
    done = run_study(folder, *reversed(RECORDS))
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture
def study(finished: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "study"
    shutil.copytree(finished, copy, copy_function=shutil.copy2)
    return copy


def measurements(folder: Path) -> dict[str, int]:
    return {rule: n for rule, n in planned(folder).items() if rule.startswith(MEASURING)}


def test_the_first_processes_of_all_runs_come_before_any_second_one(finished: Path) -> None:
    ended = {record: (finished / record).stat().st_mtime_ns for record in RECORDS}
    in_order = sorted(ended, key=lambda record: ended[record])
    assert set(in_order[:2]) == set(RECORDS[:2])


def test_each_record_says_its_process(finished: Path) -> None:
    for record in RECORDS:
        data = json.loads((finished / record).read_text())
        assert data["status"] == "ok"
        assert data["request"]["process"] == (2 if "process-2" in record else 1)


def test_each_process_is_attributed_and_the_tables_take_all_of_them(study: Path) -> None:
    jobs = planned(study)
    assert jobs["attribute"] == 4
    assert jobs["runtime_table"] == 1
    assert not any(rule.startswith(MEASURING) for rule in jobs)


def test_more_processes_measure_the_additional_ones_and_fewer_none(study: Path) -> None:
    configure(study, processes=4)
    assert measurements(study) == {"profile_3": 2, "profile_4": 2}
    configure(study, processes=1)
    jobs = planned(study)
    assert not any(rule.startswith(MEASURING) for rule in jobs)
    assert jobs["attribute"] == 2


def test_what_must_not_cause_a_measurement_does_not(study: Path) -> None:
    """And the latency pass is added process by process."""
    device = {"name": "test", "type": "cpu", "foreign_processes": "error"}
    configure(study, device=device, skip_predicted_out_of_memory=True, latency=True)
    assert measurements(study) == {"latency": 2, "latency_2": 2}


@pytest.mark.parametrize(
    "changes", [{"execution": {"cache": "cold"}}, {"sampling": {"measured_images": 5}}]
)
def test_what_changes_the_measurement_measures_again(study: Path, changes: dict[str, Any]) -> None:
    configure(study, **changes)
    assert measurements(study) == {"profile": 2, "profile_2": 2}
