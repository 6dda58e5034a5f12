"""The parts of a study have its runs, each once, and no part has too many."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from adscale.config import load_config
from adscale.plan import plan_runs
from profiling.cli.study import split


def study(devices: int, methods: dict[str, list[int]], processes: int) -> dict[str, Any]:
    return {
        "devices": [
            {"name": f"d{k}", "type": "cpu", "threads": 1, "hardware": "X"} for k in range(devices)
        ],
        "methods": {
            label: {"target": "efficientad", "resolutions": sides}
            for label, sides in methods.items()
        },
        "variants": ["reference-fp32", "optimized-fp32"], "processes": processes,
        "sampling": {"measured_images": 5, "min_images": 2},
    }  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(
    devices=st.integers(1, 3),
    sides=st.lists(st.integers(1, 4), min_size=1, max_size=5),
    processes=st.integers(1, 2),
    most=st.integers(1, 40),
)
def test_every_run_is_in_one_part(
    devices: int, sides: list[int], processes: int, most: int
) -> None:
    methods = {f"M{k}": list(range(256, 256 + 8 * n, 8)) for k, n in enumerate(sides)}
    whole = study(devices, methods, processes)
    parts = [plan_runs(load_config(part), "embedded")
             for part in split(whole, load_config(whole), most)]  # fmt: skip
    runs = [(path, run) for part in parts for path, run in part.items()]
    assert len(runs) == len(dict(runs))
    assert dict(runs) == plan_runs(load_config(whole), "embedded")
    for part in parts:
        assert len({run.request.device for run in part.values()}) == 1
        assert len(part) <= most or len({run.request.method for run in part.values()}) == 1


def test_command_line(tmp_path: Path, checkout_environment: dict[str, str]) -> None:
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study(2, {"A": [256], "B": [264]}, 1)))
    command = [sys.executable, "-m", "profiling", "plan", "--config", "study.yaml"]

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *arguments], cwd=tmp_path, env=checkout_environment,
            capture_output=True, text=True,
        )  # fmt: skip

    listed = call("--use-singularity").stdout.splitlines()
    assert len(listed) == 8
    assert listed[0] == "d0-container/A/reference-fp32/256"
    assert call("--split", "2", "-o", "parts").stdout.splitlines() == [
        f"parts/part-0{number}.yaml: 2 runs" for number in range(1, 5)
    ]
    parts = [yaml.safe_load(path.read_text()) for path in sorted(tmp_path.glob("parts/*"))]
    assert [(part["devices"][0]["name"], *part["methods"]) for part in parts] == [
        ("d0", "A"), ("d0", "B"), ("d1", "A"), ("d1", "B"),
    ]  # fmt: skip
    again = call("--split", "4", "-o", "parts")
    assert again.stdout.splitlines() == ["parts/part-01.yaml: 4 runs", "parts/part-02.yaml: 4 runs"]
    assert "parts holds part-03.yaml, part-04.yaml as well, which this call has not" in again.stderr


@pytest.mark.parametrize("arguments", [["--split", "0", "-o", "parts"], ["--split", "3"]])
def test_what_cannot_be_split(
    arguments: list[str], tmp_path: Path, checkout_environment: dict[str, str]
) -> None:
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study(1, {"A": [256]}, 1)))
    command = [sys.executable, "-m", "profiling", "plan", "--config", "study.yaml", *arguments]
    done = subprocess.run(
        command, cwd=tmp_path, env=checkout_environment, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: --split: ")
