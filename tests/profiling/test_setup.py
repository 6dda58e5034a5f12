"""A study from its configuration to what the rules work on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from adscale.errors import UserError
from adscale.plan_file import VARIABLE
from profiling.study.setup import Call, set_up

CONFIG = {
    "preset": "smoke", "device": {"type": "cpu", "threads": 2}, "collector": "embedded",
    "methods": {"S": {"target": "efficientad", "size": "S"}}, "resolutions": [256],
    "variants": ["reference-fp32"],
}  # fmt: skip
HERE = Call(in_container=False, is_job=False, is_submitted=False)


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(VARIABLE, "")  # which is put back afterwards
    for program in ("APPTAINER", "SINGULARITY"):
        monkeypatch.setenv(f"{program}_BIND", "")


def config(**changes: Any) -> dict[str, Any]:
    return {**CONFIG, **changes}


def test_the_runs_are_planned_and_decided_on(tmp_path: Path) -> None:
    setup = set_up(config(), HERE)
    assert list(setup.plan.runs) == ["local/S/reference-fp32/256"]
    assert setup.collector.name == "embedded"
    for run in setup.plan.runs:
        for name in ("run.json", "latency.json"):
            assert setup.decisions.file(f"{run}/{name}").is_file()
    assert f"--plan {os.environ[VARIABLE]}" in setup.prefix
    assert (tmp_path / os.environ[VARIABLE]).is_file()


def test_a_job_carries_out_the_plan_that_was_made() -> None:
    """Whatever has become of the configuration."""
    planned = set_up(config(), HERE).plan
    job = set_up(config(resolutions=[512]), HERE._replace(is_job=True))
    assert job.plan == planned


def test_options_are_told_where_snakemake_does_not_compare() -> None:
    before = set_up(config(), HERE)
    after = set_up(config(skip_predicted_out_of_memory=True), HERE)
    assert "--skip-predicted-out-of-memory" in after.prefix
    assert after.plan == before.plan


def test_in_a_container_runs_are_those_of_its_image(tmp_path: Path) -> None:
    (tmp_path / "x.sif").write_bytes(b"an image")
    call = HERE._replace(in_container=True)
    setup = set_up(config(container="x.sif"), call)
    assert list(setup.plan.runs) == ["local-container/S/reference-fp32/256"]
    assert (tmp_path / setup.container).read_bytes() == b"an image"
    assert os.environ["APPTAINER_BIND"]


def test_a_cluster_needs_a_configuration_that_means_the_same_there() -> None:
    with pytest.raises(UserError, match="auto"):
        set_up(config(collector="auto"), HERE._replace(is_submitted=True))
