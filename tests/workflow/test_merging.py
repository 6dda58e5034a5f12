"""Runs that were measured elsewhere join a study by copying their folders."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from adscale.devices import usable_cpus
from profiling.fingerprint import cpu_model
from tests.workflow.conftest import planned, run_study, write_config

pytestmark = pytest.mark.study


def rename_device(folder: Path, device: str) -> None:
    """As if the runs had been measured under that name; their files keep their times."""
    for record in [*folder.rglob("run.json"), *folder.rglob("latency.json")]:
        times = record.stat()
        data = json.loads(record.read_text())
        data["request"]["device"] = device
        record.write_text(json.dumps(data))
        os.utime(record, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_copied_runs_are_in_the_tables_and_not_measured_again(
    finished_study: Path, tmp_path: Path, checkout_environment: dict[str, str]
) -> None:
    """Snakemake knows nothing of where they come from."""
    study = tmp_path / "study"
    shutil.copytree(finished_study, study, copy_function=shutil.copy2)
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(study / "results" / "test", elsewhere, copy_function=shutil.copy2)
    rename_device(elsewhere, "other")
    shutil.copytree(elsewhere, study / "results" / "other", copy_function=shutil.copy2)
    here = {"type": "cpu", "threads": usable_cpus(), "hardware": cpu_model()[:4]}
    devices = [{**here, "name": "test"}, {**here, "name": "other"}]
    write_config(study, {"device": {}, "devices": devices})
    jobs = planned(study)
    assert jobs["runtime_table"] == 1
    assert not {"profile", "latency", "attribute", "count_memory"} & jobs.keys()
    done = run_study(study, "results/tables/runtime.csv")
    assert done.returncode == 0, done.stdout + done.stderr
    table = pd.read_csv(study / "results/tables/runtime.csv")
    assert set(table["device"]) == {"test", "other"}
    command = [sys.executable, "-m", "analysis", "verify", str(study / "results")]
    found = subprocess.run(command, env=checkout_environment, capture_output=True, text=True)
    assert found.returncode == 1
    lines = found.stdout.splitlines()
    assert len(lines) == 3
    assert all("under another device's name" in line for line in lines[:2])
