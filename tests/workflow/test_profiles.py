"""The profiles for one machine and for a cluster, beside each other and beside the rules."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.workflow.conftest import CHECKOUT, run_study, write_config

DEFAULT, SLURM = (
    yaml.safe_load((CHECKOUT / "profiles" / name / "config.yaml").read_text())
    for name in ("default", "slurm")
)
MEASURING = {f"{rule}{number}" for rule in ("profile", "latency") for number in ("", "_2", "_3")}

needs_plugin = pytest.mark.skipif(
    find_spec("snakemake_executor_plugin_slurm") is None,
    reason="no snakemake-executor-plugin-slurm here (envs/host.txt)",
)


@pytest.mark.parametrize(
    "key", ["apptainer-args", "rerun-incomplete", "keep-going", "show-failed-logs"]
)
def test_a_named_profile_repeats_what_it_takes_the_place_of(key: str) -> None:
    assert SLURM[key] == DEFAULT[key]


def test_only_measurements_have_a_gpu_and_a_node_for_themselves() -> None:
    assert set(SLURM["set-resources"]) == MEASURING
    for asked in SLURM["set-resources"].values():
        assert asked["slurm_extra"] == "'--exclusive'"
        assert ("gpu" in asked) != ("gres" in asked), "one of the two forms"
    assert not {"gpu", "gres", "slurm_extra"} & set(SLURM["default-resources"])


def test_measurements_are_not_limited_to_one_in_the_cluster_and_never_grouped() -> None:
    """`quiet` keeps jobs of one machine apart; on a cluster nodes do."""
    assert "resources" not in SLURM
    assert not [key for key in SLURM if "group" in key]


def test_nothing_but_the_scheduler_starts_a_job_again() -> None:
    assert SLURM["retries"] == 0
    assert SLURM["slurm-requeue"] is True


@pytest.mark.parametrize("profile", [DEFAULT, SLURM], ids=["default", "slurm"])
def test_choosing_among_waiting_jobs_takes_next_to_nothing_beside_measurements(
    profile: dict[str, Any],
) -> None:
    """Snakemake 9 chooses once per timespan for each finished job (docs/running.md)."""
    assert profile["scheduler"] == "greedy"
    timespan = profile["max-jobs-per-timespan"].partition("/")[2]
    assert timespan.endswith("s")
    assert int(timespan[:-1]) >= 3


@needs_plugin
def test_a_dry_run_shows_the_jobs_of_every_device_with_their_resources(tmp_path: Path) -> None:
    """Three methods × seven resolutions × two devices."""
    methods: dict[str, Any] = {
        "PatchCore-10": {"target": "patchcore"},
        "EfficientAD-M": {"target": "efficientad", "size": "M"},
        "DDAD-10": {"target": "ddad"},
    }
    gpu = {"type": "cuda", "hardware": "NVIDIA"}
    big = {**gpu, "name": "big", "threads": 8, "gpu_model": "a100"}
    small = {**gpu, "name": "small", "threads": 4, "constraint": "l4"}
    write_config(tmp_path, {
        "device": {}, "devices": [big, small], "methods": methods,
        "resolutions": [256, 384, 512, 640, 768, 896, 1024],
    })  # fmt: skip
    done = run_study(tmp_path, "-n", "--workflow-profile", str(CHECKOUT / "profiles/slurm"))
    assert done.returncode == 0, done.stderr
    jobs = [block for block in done.stdout.split("\n[") if "\nrule profile:" in block]
    assert len(jobs) == 3 * 7 * 2
    for job in jobs:
        asked = dict(
            part.split("=", 1) for part in job.split("resources: ")[1].splitlines()[0].split(", ")
        )
        on_big = "wildcards: run=big/" in job
        assert asked["cpus_per_task"] == ("8" if on_big else "4")
        assert asked["gpu_model"] == ("a100" if on_big else "")
        assert asked["constraint"] == ("" if on_big else "l4")
        assert (asked["gpu"], asked["slurm_extra"]) == ("1", "--exclusive")
        assert int(asked["runtime"]) > 0
        assert int(asked["mem_mb"]) > 0


@needs_plugin
def test_a_submitted_study_must_say_what_the_submitting_machine_cannot_know(tmp_path: Path) -> None:
    write_config(tmp_path, {"device": {"type": "auto"}, "collector": "auto"})
    done = run_study(tmp_path, "-n", "--workflow-profile", str(CHECKOUT / "profiles/slurm"))
    assert done.returncode != 0
    for place in ("device.type:", "device.threads:", "collector:"):
        assert place in done.stdout + done.stderr


@needs_plugin
def test_the_machine_that_submits_needs_no_nsys(tmp_path: Path) -> None:
    device = {"name": "far", "type": "cuda", "threads": 2}
    write_config(tmp_path, {"device": device, "collector": "nsys"})
    nowhere = {"ADSCALE_NSYS": "", "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    done = run_study(
        tmp_path, "-n", "--workflow-profile", str(CHECKOUT / "profiles/slurm"),
        environment=nowhere,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "results/far/Small/reference-fp32/256/profile.nsys-rep" in done.stdout


@needs_plugin
def test_a_resource_of_the_command_line_takes_neither_gpu_nor_node_away(tmp_path: Path) -> None:
    write_config(tmp_path, {"device": {"name": "far", "type": "cuda", "threads": 2}})
    profile = str(CHECKOUT / "profiles/slurm")
    more = ["--set-resources", "profile:runtime=120"]
    done = run_study(tmp_path, "-n", "--workflow-profile", profile, *more)
    assert done.returncode == 0, done.stderr
    for rule in ("profile", "latency"):
        block = done.stdout.split(f"\nrule {rule}:")[1].split("\n[")[0]
        (asked,) = (line for line in block.splitlines() if "resources: " in line)
        assert "gpu=1" in asked
        assert "slurm_extra=--exclusive" in asked
        assert ("runtime=120" in asked) == (rule == "profile")
