"""docs/tutorials: each command is run as written, on what its page says that one has."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pandas as pd
import pytest

from tests.documents import split_fences
from tests.gpu_profiles import GpuRun, write_gpu_run
from tests.workflow.conftest import CHECKOUT
from tests.workflow.test_readme import LEFT_OUT, commands, run

TUTORIALS = CHECKOUT / "docs" / "tutorials"
NOT_RUN = ("make study",)
"""Minutes; test_study runs a smaller one."""

FAILS = {"adscale diff before.sqlite after.sqlite --fail-if": 3}
"""Exit codes that a page promises, by how the command begins behind `python -m`."""


def page(name: str) -> str:
    return (TUTORIALS / f"{name}.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tutorial") / "adscale"
    shutil.copytree(CHECKOUT, folder, ignore=LEFT_OUT, symlinks=True)
    (folder / ".venv").symlink_to(sys.prefix)
    return folder


def run_all(folder: Path, name: str) -> dict[str, subprocess.CompletedProcess[str]]:
    """Runs the commands of a page in their order."""
    found = [command for command in commands(page(name)) if command not in NOT_RUN]
    assert found
    done = {command: run(folder, command) for command in found}
    for command, of in done.items():
        called = command.partition("python -m ")[2]
        wanted = [code for begin, code in FAILS.items() if called.startswith(begin)]
        assert of.returncode == (wanted or [0])[0], f"{command}\n{of.stdout}{of.stderr}"
        assert "Traceback" not in of.stderr
    return done


@pytest.mark.parametrize("path", sorted(TUTORIALS.glob("*.md")), ids=lambda path: path.stem)
def test_a_tutorial_is_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 60


def test_a_camera_is_chosen(clone: Path, finished_study: Path) -> None:
    shutil.copytree(finished_study / "results", clone / "results")
    done = list(run_all(clone, "camera").values())
    assert "Small reference-fp32, 2448x2048 px (5.01 MP), 8 GiB: " in done[0].stdout
    assert '"gpu": "L4"' in done[1].stdout


@pytest.mark.slow
def test_a_network_of_ones_own_is_measured(clone: Path) -> None:
    code = next(of.text for of in split_fences(page("own-network"))[1] if of.language == "python")
    (clone / "my_network.py").write_text(dedent(code), encoding="utf-8")
    counted = next(iter(run_all(clone, "own-network").values())).stdout
    assert "encoder" in counted
    assert (clone / "own/run.json").exists()


@pytest.mark.slow
def test_what_to_optimise_is_found(clone: Path, tmp_path: Path) -> None:
    write_gpu_run(tmp_path, GpuRun("M", 256, ("teacher", "student"), lambda name, _: 400_000))
    shutil.copyfile(tmp_path / "profile.sqlite", clone / "report.sqlite")
    done = list(run_all(clone, "optimise").values())
    assert "teacher" in done[0].stdout
    assert (clone / "report.html").exists()
    assert (clone / "report.trace.json").exists()


@pytest.mark.slow
def test_two_machines_are_compared(clone: Path, finished_study: Path) -> None:
    for side in ("a", "b"):
        shutil.copytree(finished_study / "results", clone / side / "results")
    tables = clone / "b/results/tables"
    runtime = pd.read_csv(tables / "runtime.csv")
    runtime.assign(device="other").to_csv(tables / "runtime.csv", index=False)
    runs = pd.read_csv(tables / "runs.csv")
    runs.assign(device="other").to_csv(tables / "runs.csv", index=False)
    run_all(clone, "compare")
    assert len(pd.read_csv(clone / "comparison.csv"))


def test_a_regression_is_caught(clone: Path, tmp_path: Path) -> None:
    for side, time_ns in (("before", 400_000), ("after", 600_000)):
        of = GpuRun("M", 256, ("teacher",), lambda name, _, time_ns=time_ns: time_ns)
        write_gpu_run(tmp_path / side, of)
        shutil.copyfile(tmp_path / side / "profile.sqlite", clone / f"{side}.sqlite")
    done = list(run_all(clone, "gate").values())
    assert "teacher" in done[1].stdout + done[1].stderr
    assert (clone / "diff.html").exists()
