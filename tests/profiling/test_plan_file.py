"""Jobs carry out the plan that was made, whatever has become of configuration and checkout."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from adscale.config import load_config
from adscale.errors import ConfigError
from adscale.plan import plan_runs
from adscale.plan_file import VARIABLE, Plan, folder_lists, pass_plan, passed_plan
from tests.conftest import CHECKOUT

STUDY = load_config({
    "device": {"name": "d", "type": "cpu", "threads": 1}, "resolutions": [256], "processes": 2,
    "variants": ["reference-fp32"],
    "methods": {"S": {"target": "efficientad", "size": "S"}},
    "sampling": {"warmup_images": 1, "measured_images": 2, "min_images": 2},
})  # fmt: skip


def plan() -> Plan:
    return Plan.of("embedded", plan_runs(STUDY, "embedded"), STUDY.devices)


def test_what_is_passed_is_read(tmp_path: Path) -> None:
    environment: dict[str, str] = {}
    pass_plan(plan(), tmp_path, environment)
    assert passed_plan(environment) == plan()


def test_folders_are_listed_in_files(tmp_path: Path) -> None:
    environment: dict[str, str] = {}
    pass_plan(plan(), tmp_path, environment)
    lists = {name: Path(argument.removeprefix("@")).read_text().splitlines()
             for name, argument in folder_lists(environment).items()}  # fmt: skip
    run = "results/d/S/reference-fp32/256"
    assert lists == {"PROCESS_FOLDERS": [run, f"{run}/process-2"], "RUN_FOLDERS": [run]}


def test_a_later_plan_leaves_an_earlier_one(tmp_path: Path) -> None:
    """Jobs that wait in the queue keep theirs."""
    earlier: dict[str, str] = {}
    later: dict[str, str] = {}
    pass_plan(plan(), tmp_path, earlier)
    pass_plan(plan()._replace(runs={}), tmp_path, later)
    assert passed_plan(earlier) == plan()
    assert passed_plan(later).runs == {}


@pytest.mark.parametrize("environment", [{}, {VARIABLE: "absent.json"}])
def test_a_plan_that_did_not_arrive(environment: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=VARIABLE):
        passed_plan(environment)


def run(checkout: Path, plan_file: Path, out: Path) -> subprocess.CompletedProcess[str]:
    request = next(iter(plan().runs.values())).request.as_json()
    command = [sys.executable, "-m", "profiling", "run", "--request", request]
    return subprocess.run(
        [*command, "--plan", str(plan_file), "--out", str(out)], cwd=checkout,
        capture_output=True, text=True,
    )  # fmt: skip


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    copy = tmp_path / "checkout"
    for name in ("adscale", "profiling", "workflow", "config"):
        shutil.copytree(CHECKOUT / name, copy / name)
    return copy


def test_a_checkout_that_changed_measures_nothing(checkout: Path, tmp_path: Path) -> None:
    environment: dict[str, str] = {}
    pass_plan(plan(), tmp_path / "plans", environment)
    file = checkout / "profiling/methods/efficientad/networks.py"
    file.write_text(file.read_text() + "EXTRA = 1\n")
    out = tmp_path / "out"
    done = run(checkout, Path(environment[VARIABLE]), out)
    assert done.returncode == 2
    assert done.stderr.startswith("error: checkout: the code that measures efficientad has changed")
    assert not out.exists()


def test_a_change_elsewhere_hinders_nothing(checkout: Path, tmp_path: Path) -> None:
    environment: dict[str, str] = {}
    pass_plan(plan(), tmp_path / "plans", environment)
    file = checkout / "profiling/methods/ddad/unet.py"
    file.write_text(file.read_text() + "EXTRA = 1\n")
    done = run(checkout, Path(environment[VARIABLE]), tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "out/run.json").read_text())["status"] == "ok"
