"""A method that fails, wholly or at one size, takes nothing else with it."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.shared_folders import Share
from tests.workflow.conftest import CHECKOUT, planned, run_study, write_config

pytestmark = pytest.mark.study

OWN = """
from torch import nn


class Good(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3)

    def forward(self, image):
        return self.first(image)


class Partly(Good):
    def forward(self, image):
        if image.shape[-1] == 96 and image.is_cpu:  # it is counted for a GPU
            raise RuntimeError("too much of it")
        return super().forward(image)


class OneSize(Good):
    def forward(self, image):
        if image.shape[-1] != 64:
            raise ValueError("64 px only")
        return super().forward(image)


class Never(Good):
    def __init__(self):
        raise ValueError("never built")
"""
CONFIG: dict[str, Any] = {
    "methods": {
        "Good": {"target": "own_networks:Good", "resolutions": [64]},
        "Partly": {"target": "own_networks:Partly"},
        "OneSize": {"target": "own_networks:OneSize", "resolutions": [64]},
        "Never": {"target": "own_networks:Never", "resolutions": [64]},
    },
    "resolutions": [64, 96],
    "latency": False,
    "extrapolate_to_px": 96,
    "sensors": [{"name": "64 px", "megapixels": 0.004096}],
}
LOST = {("Partly", 96), ("Never", 64)}


@pytest.fixture(scope="module")
def ended(share: Share) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A study of which some runs have failed, and how it ended."""

    def fill(folder: Path) -> None:
        (folder / "own_networks.py").write_text(OWN, encoding="utf-8")
        write_config(folder, CONFIG)
        done = run_study(folder)
        data = {"args": [], "returncode": done.returncode, "stdout": done.stdout}
        (folder / "ended.json").write_text(json.dumps({**data, "stderr": done.stderr}))

    folder = share("failures", fill)
    text = (folder / "ended.json").read_text()
    return folder, subprocess.CompletedProcess(**json.loads(text))


@pytest.fixture
def study(ended: tuple[Path, object], tmp_path: Path) -> Path:
    copy = tmp_path / "study"
    shutil.copytree(ended[0], copy, copy_function=shutil.copy2)
    return copy


def test_it_ends_with_a_line_for_each_failure(
    ended: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    _, done = ended
    assert done.returncode != 0
    lines = [line for line in done.stderr.splitlines() if line.startswith("missing: ")]
    expected = (
        ("counts/Never/reference-fp32/cpu/memory.json", "ValueError: never built"),
        ("counts/Never/reference-fp32/memory.json", "ValueError: never built"),
        ("test/Never/reference-fp32/64/run.json", "ValueError: never built"),
        ("test/Partly/reference-fp32/96/run.json", "RuntimeError: too much of it"),
    )
    for line, parts in zip(sorted(lines), expected, strict=True):
        assert [part for part in parts if part not in line] == []


def test_tables_hold_what_there_is_and_name_what_is_missing(
    ended: tuple[Path, object],
) -> None:
    tables = ended[0] / "results/tables"
    runtime = pd.read_csv(tables / "runtime.csv")
    measured = runtime[runtime["mean_ms"].notna()]
    found = set(measured[["method", "side_px"]].itertuples(index=False, name=None))
    assert found == {("Good", 64), ("Partly", 64), ("OneSize", 64)}
    for name in ("runtime", "runs", "memory_measured"):
        table = pd.read_csv(tables / f"{name}.csv")
        lost = table[table["status"] == "failed"]
        assert set(lost[["method", "side_px"]].itertuples(index=False, name=None)) == LOST
        assert lost["missing"].str.startswith("missing: ").all()
        assert table.loc[table["status"] == "ok", "missing"].isna().all()
    for name in ("memory", "memory_methods", "fits", "fit_curves", "feasibility", "flops"):
        table = pd.read_csv(tables / f"{name}.csv")
        assert set(table.loc[table["missing"].notna(), "method"]) >= {"Never"}, name
        assert "Good" in set(table.loc[table["missing"].isna(), "method"]), name
    # a network of one size is counted there, and at sizes of sensors a row says what is not
    sized = pd.read_csv(tables / "memory_methods.csv").set_index("method").loc["OneSize"]
    assert sized.loc[sized["missing"].isna(), "side_px"].tolist() == [64]
    refused = sized[sized["missing"].notna()]
    assert 96 in set(refused["side_px"])
    assert refused["missing"].str.contains("refused: .* does not run .*64 px only").all()
    assert refused["needed_bytes"].isna().all()


def test_figures_and_page_are_there_and_name_it(ended: tuple[Path, object]) -> None:
    results = ended[0] / "results"
    figures = {path.name for path in (results / "figures").glob("*.pdf")}
    assert {
        "runtime_share_test_Good_reference-fp32.pdf",
        "runtime_share_test_Never_reference-fp32.pdf",
        "memory_share_Never_reference-fp32.pdf",
        "feasibility_reference-fp32.pdf",
    } <= figures
    told = pd.read_csv(results / "figures/runtime_share_test_Never_reference-fp32.csv")
    assert (
        told["missing"].iloc[0].startswith("missing: Never reference-fp32 (not measured at 64 px")
    )
    page = (results / "report.html").read_text(encoding="utf-8")
    for run, error in (("Partly reference-fp32 at 96", "RuntimeError: too much of it"),
                       ("Never reference-fp32 at 64", "ValueError: never built")):  # fmt: skip
        assert re.search(rf"missing: {run} px, on test \([^()]*{error} ", page)
    assert "missing: Partly" in (results / "summary.txt").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_later_call_makes_only_what_is_missing(study: Path) -> None:
    jobs = planned(study)
    assert {rule: jobs.get(rule, 0) for rule in ("profile", "attribute", "count_memory")} == {
        "profile": 2, "attribute": 2, "count_memory": 1,
    }  # fmt: skip
    text = OWN.replace('raise RuntimeError("too much of it")', "pass")
    (study / "own_networks.py").write_text(
        text.replace('raise ValueError("never built")', "super().__init__()")
    )
    record = "results/test/Partly/reference-fp32/96/run.json"
    done = run_study(study, record)
    assert done.returncode == 0, done.stderr
    assert json.loads((study / record).read_text())["status"] == "ok"
    assert not (study / record).with_name("run.failed.json").exists()


def test_what_is_missing_or_damaged_is_made_again(finished_study: Path, tmp_path: Path) -> None:
    """Nothing of it is newer than what was made of it, which is all that Snakemake looks at."""
    copy = tmp_path / "study"
    shutil.copytree(finished_study, copy, copy_function=shutil.copy2)
    runs = copy / "results/test/Small/reference-fp32"
    (runs / "256/run.json").unlink()
    (runs / "256/latency.json").write_text("{")
    with (runs / "288/profile.sqlite").open("r+b") as profile:
        profile.truncate(5000)
    (runs / "288/kernels.parquet").unlink()
    (copy / "results/counts/Small/reference-fp32/memory.json").unlink()
    jobs = planned(copy)
    asked = ("profile", "latency", "attribute", "count_memory")
    assert [jobs.get(rule, 0) for rule in asked] == [2, 1, 2, 1]


@pytest.mark.slow
def test_a_table_that_was_cut_is_made_again_and_that_is_told(
    finished_study: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "study"
    shutil.copytree(finished_study, copy, copy_function=shutil.copy2)
    table = copy / "results/tables/runtime.csv"
    whole = table.read_bytes()
    with table.open("r+b") as file:
        file.truncate(3000)
    done = run_study(copy, "results/tables/runtime.csv")
    assert done.returncode == 0, done.stderr
    assert "results/tables/runtime.csv is cut off" in done.stderr
    assert table.read_bytes() == whole


def test_the_lock_of_a_study_is_held_by_what_works(tmp_path: Path) -> None:
    """Whoever called it is killed alone, and it works on."""
    script = CHECKOUT / "workflow/study.sh"
    study = ["sh", str(script), "sh", "-c", "touch works; sleep 8; exit 0"]
    caller = subprocess.Popen(["sh", "-c", f"{shlex.join(study)}; true"], cwd=tmp_path)
    while not (tmp_path / "works").exists():
        time.sleep(0.05)
    caller.kill()
    caller.wait()
    second = subprocess.run(
        ["sh", str(script), "true"], cwd=tmp_path, capture_output=True, text=True
    )
    assert second.returncode == 1
    assert "another study runs in this directory" in second.stderr


def test_a_working_folder_that_cannot_be_written_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / ".snakemake").touch()  # nothing can be made below it, even by root
    command = ["sh", str(CHECKOUT / "workflow/study.sh"), "true"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "/.snakemake cannot be written; see to its permissions" in done.stderr


@pytest.mark.slow
def test_what_was_measured_stays_when_its_method_fails_later(study: Path) -> None:
    record = study / "results/test/Good/reference-fp32/64/run.json"
    files = (record, record.with_name("profile.sqlite"))
    before = [file.read_bytes() for file in files]
    text = OWN.replace("return self.first(image)", 'raise OSError(28, "No space left on device")')
    (study / "own_networks.py").write_text(text)
    done = run_study(study, str(record.relative_to(study)))
    assert done.returncode != 0
    assert re.search(r"missing: test/Good/reference-fp32/64/run.json: \S+: OSError: ", done.stderr)
    assert [file.read_bytes() for file in files] == before
    again = run_study(study, str(record.relative_to(study)), "-n", "--quiet", "rules")
    assert "profile" in again.stdout + again.stderr, "it counts as not made"
