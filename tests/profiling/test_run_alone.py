"""What a measured program gets of its surroundings, and what it may do to them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from adscale.config import load_config
from adscale.failure import read_failure
from adscale.plan import plan_runs
from adscale.plan_file import VARIABLE, Plan, pass_plan
from adscale.request import Sampling
from profiling.__main__ import main
from profiling.collectors.nsys import export_command
from profiling.launcher import measured_environment
from profiling.seclusion import seclusion
from tests.profiling.running import FEW_TWICE, record
from tests.study_requests import plain_request

NETWORKS = """
import os, time
from torch import nn


class Slow(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3)

    def forward(self, image):
        time.sleep(float(os.environ.get("ADSCALE_TEST_SLEEP_S", 0)))
        return self.first(image)


class Told(Slow):
    def __init__(self):
        super().__init__()
        with open("built.txt", "a") as file:
            file.write(f"{os.getpid()}\\n")
"""
SECRET = "do-not-write-me-anywhere"


@pytest.fixture
def networks(tmp_path: Path) -> Path:
    folder = tmp_path / "networks"
    folder.mkdir()
    (folder / "alone_networks.py").write_text(NETWORKS)
    return folder


def own(name: str, networks: Path, environment: dict[str, str], *more: str) -> list[str]:
    environment["PYTHONPATH"] = os.pathsep.join([environment["PYTHONPATH"], str(networks)])
    if "--latency" not in more:
        more = (*more, "--no-latency")
    return [
        sys.executable, "-m", "profiling", "run", "--method", f"alone_networks:{name}",
        "--device-type", "cpu", "--threads", "1", "--resolution", "64", *FEW_TWICE, *more,
    ]  # fmt: skip


def test_a_measured_program_gets_the_variables_of_the_list_and_those_asked_for() -> None:
    around = {
        "PATH": "/bin", "LC_ALL": "C", "OMP_PROC_BIND": "true", "CUDA_VISIBLE_DEVICES": "1",
        "AWS_SECRET_ACCESS_KEY": SECRET, "HF_TOKEN": SECRET, "MY_SWITCH": "1", "MY_OTHER": "2",
        "TORCH_API_KEY": SECRET, "PYTHON_PASSWORD": SECRET,
    }  # fmt: skip
    request = plain_request(Sampling(0, 5, 1, None))
    found = measured_environment(request, around, ["MY_SWITCH"])
    assert SECRET not in found.values()
    kept = {name: value for name, value in found.items() if name in around}
    assert kept == {
        "PATH": "/bin", "LC_ALL": "C", "OMP_PROC_BIND": "true", "CUDA_VISIBLE_DEVICES": "1",
        "MY_SWITCH": "1",
    }  # fmt: skip
    assert found["OMP_NUM_THREADS"] == "4"


@pytest.mark.nsys
def test_no_other_value_is_in_report_export_or_record(
    nsys: Path, networks: Path, tmp_path: Path, checkout_environment: dict[str, str]
) -> None:
    environment = {**checkout_environment, "MY_DATABASE": SECRET, "GITHUB_TOKEN": SECRET}
    command = own("Slow", networks, environment, "--collector", "nsys", "--nsys", str(nsys))
    done = subprocess.run(
        [*command, "--out", "run"], env=environment, cwd=tmp_path, capture_output=True, text=True,
        timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = tmp_path / "run/profile.nsys-rep"
    assert main(["export", str(report), "--nsys", str(nsys), "-o", str(tmp_path / "p.sqlite")]) == 0
    raw = tmp_path / "raw.sqlite"
    subprocess.run(export_command(nsys, report, raw), check=True)
    assert b"OMP_NUM_THREADS=1" in raw.read_bytes(), "variables are in it"
    for file in (tmp_path / "p.sqlite", tmp_path / "run/run.json"):
        assert SECRET.encode() not in file.read_bytes(), file
    if seclusion() is not None:  # nsys cannot look into other processes
        assert SECRET.encode() not in raw.read_bytes()


def test_the_latency_pass_does_not_count_again(
    networks: Path, tmp_path: Path, checkout_environment: dict[str, str]
) -> None:
    command = own("Told", networks, checkout_environment, "--latency", "--collector", "embedded")
    subprocess.run([*command, "--out", "run"], env=checkout_environment, cwd=tmp_path, check=True)
    built_by = (tmp_path / "built.txt").read_text().splitlines()
    assert len(set(built_by)) == 3, "one that counts, and two that measure"
    first, second = (record(tmp_path / "run", name) for name in ("run.json", "latency.json"))
    counts = [{**one["prediction"], "available_bytes": None} for one in (first, second)]
    assert counts[0] == counts[1]
    assert counts[0]["needed_bytes"] > 4 * 62 * 62 * 4


@pytest.mark.slow
def test_a_measurement_that_outlived_its_study_is_waited_for_and_taken(
    networks: Path, tmp_path: Path, checkout_environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The second call comes while the first one measures, as after a kill of Snakemake alone."""
    monkeypatch.syspath_prepend(networks)
    study = load_config({
        "preset": "smoke", "device": {"type": "cpu", "threads": 1}, "resolutions": [64],
        "methods": {"A": {"target": "alone_networks:Slow"}}, "collector": "embedded",
        "sampling": {"warmup_images": 1, "measured_images": 2, "min_images": 2},
    })  # fmt: skip
    variables: dict[str, str] = {}
    plan = Plan.of("embedded", plan_runs(study, "embedded"), study.devices, latency=False)
    pass_plan(plan, tmp_path / "cache/plans", variables)
    (run,) = plan.runs.values()
    environment = dict(checkout_environment, ADSCALE_TEST_SLEEP_S="1")
    own("Slow", networks, environment)
    out = tmp_path / "results" / run.path
    command = [
        sys.executable, "-m", "profiling", "run", "--request", run.request.as_json(),
        "--plan", variables[VARIABLE], "--keep-going", "--out", str(out),
    ]  # fmt: skip
    options = {"env": environment, "cwd": tmp_path, "stdout": subprocess.PIPE,
               "stderr": subprocess.STDOUT, "text": True}  # fmt: skip
    first = subprocess.Popen(command, **options)  # type: ignore[call-overload]
    while not list(out.glob(".unfinished-*")):
        time.sleep(0.05)
        assert first.poll() is None
    assert read_failure(out / "run.json") is not None, "begun, and not ended yet"
    second = subprocess.run(command, check=False, **options)  # type: ignore[call-overload]
    assert first.wait() == second.returncode == 0
    assert "waiting for another process that measures into" in second.stdout
    assert "measured already as it is planned" in second.stdout
    assert read_failure(out / "run.json") is None
    # what is asked for again is measured again
    record = (out / "run.json").stat().st_mtime_ns
    subprocess.run([*command, "--again"], check=True, **options)  # type: ignore[call-overload]
    assert (out / "run.json").stat().st_mtime_ns > record


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--images", "nowhere"], ["nowhere", "no such folder"]),
        (["--images", "empty"], ["empty", "no image in it"]),
        (["--set", "weights=nowhere.pt"], ["settings.weights", "nowhere.pt"]),
        (["--set", "size=[S"], ["--set size", "is no YAML"]),
        (["--threads", "99999999"], ["threads: 99999999", "at most"]),
        (["--time-budget-s", "inf"], ["time_budget_s", "finite"]),
        (["--out", "file"], ["--out file", "is no folder"]),
    ],
)
def test_a_wrong_argument_is_refused_before_it_waits_for_the_device(
    arguments: list[str], parts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(subprocess, "Popen", None)  # no process waits for anything
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    out = [] if "--out" in arguments else ["--out", "run"]
    words = ["--method", "efficientad", "--device-type", "cpu", "--resolution", "256"]
    assert main(["run", *words, "--collector", "embedded", *arguments, *out]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert [part for part in parts if part not in lines[0]] == []


@pytest.mark.parametrize("command", ["export", "memory"])
def test_an_output_that_is_a_folder_is_refused(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "a.nsys-rep"
    report.touch()
    words = {"export": [str(report)], "memory": ["--method", "efficientad", "--resolution", "256"]}
    assert main([command, *words[command], "-o", str(tmp_path)]) == 2
    assert "is a folder" in capsys.readouterr().err


def test_nsys_is_not_secluded_where_address_space_is_limited() -> None:
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (2**40, 2**40));"
        "from profiling.seclusion import seclusion; print(seclusion())"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "None"
