"""Several devices in one study, and what a submitted study must say."""

from __future__ import annotations

import math
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from adscale.config import StudyConfigError, check_submission, load_config
from adscale.devices import (
    cpu_quota,
    measurement_resources,
    scheduler_resources,
    usable_cpus,
)
from adscale.errors import DeviceError
from adscale.plan import plan_runs
from profiling.cli.measure import check_hardware
from profiling.fingerprint import cpu_model

BIG = {"name": "big", "type": "cuda", "threads": 8, "gpu_model": "a100", "hardware": "A100"}
SMALL = {"name": "small", "type": "cuda", "threads": 4, "constraint": "l4", "hardware": "L4"}
STUDY: dict[str, Any] = {
    "methods": {"S": {"target": "efficientad", "size": "S"}}, "resolutions": [256, 512],
    "variants": ["reference-fp32"], "sampling": {"measured_images": 5, "min_images": 2},
}  # fmt: skip


def test_every_run_is_planned_on_every_device() -> None:
    runs = plan_runs(load_config({**STUDY, "devices": [BIG, SMALL]}), "embedded")
    assert list(runs) == [
        f"{device}/S/reference-fp32/{side_px}"
        for device in ("big", "small")
        for side_px in (256, 512)
    ]
    asked = {run.request.device: run.request.threads for run in runs.values()}
    assert asked == {"big": 8, "small": 4}


def test_one_device_is_planned_as_a_list_of_one() -> None:
    alone = load_config({**STUDY, "device": {"name": "big", "type": "cuda", "threads": 8}})
    listed = load_config({**STUDY, "devices": [BIG]})
    assert plan_runs(alone, "embedded") == plan_runs(listed, "embedded")


def test_what_slurm_is_asked_for() -> None:
    resources = scheduler_resources(load_config({**STUDY, "devices": [BIG, SMALL]}).devices)
    asked = {
        key: [function(SimpleNamespace(run=f"{name}/S/reference-fp32/256"))
              for name in ("big", "small", "big-container")]
        for key, function in resources.items()
    }  # fmt: skip
    assert asked == {"gpu_model": ["a100", "", "a100"], "constraint": ["", "l4", ""]}
    assert scheduler_resources(load_config({**STUDY, "device": {"type": "cpu"}}).devices) == {}


@pytest.mark.parametrize(
    ("devices", "place"),
    [
        ([BIG, BIG], "devices.1.name"),
        ([{**SMALL, "type": "cpu", "gpu_model": "a100"}], "devices.0.gpu_model"),
        ([{**SMALL, "type": "cpu", "lock_clocks": 1000}], "devices.0.lock_clocks"),
        ([{**BIG, "partition": "p"}, SMALL], "devices.partition"),
        ([{**BIG, "name": "tables"}], "devices.0.name"),
        ([BIG, {**SMALL, "hardware": None}], "devices.1.hardware"),
        ([{"name": "big", "type": "cuda"}], "devices.0"),
        ([{**BIG, "type": "auto"}], "devices.0.type"),
        ([], "devices"),
    ],
)
def test_each_fault_names_its_place(devices: list[dict[str, Any]], place: str) -> None:
    with pytest.raises(StudyConfigError) as caught:
        load_config({**STUDY, "devices": devices})
    assert str(caught.value).startswith(place)


@pytest.mark.parametrize(
    ("changes", "places"),
    [
        ({}, ["device.type", "device.threads", "collector"]),
        ({"device": {"type": "cuda", "threads": 2}, "collector": "nsys"}, []),
        ({"device": {"type": "auto", "threads": 2}, "collector": "nsys"}, ["device.type"]),
        ({"devices": [BIG, SMALL], "collector": "embedded"}, []),
    ],
)
def test_a_submitted_study_says_what_the_submitting_machine_cannot_know(
    changes: dict[str, Any], places: list[str]
) -> None:
    if not places:
        check_submission({**STUDY, **changes}, in_container=False)
        return
    with pytest.raises(StudyConfigError) as caught:
        check_submission({**STUDY, **changes}, in_container=False)
    assert [line.partition(":")[0] for line in str(caught.value).splitlines()] == places


@pytest.mark.parametrize(
    ("lines", "files", "quota"),
    [
        ("0::/a/b", {"cpu.max": "max 100000", "a/cpu.max": "150000 100000"}, 1.5),
        ("0::/a/b", {"a/b/cpu.max": "50000 100000", "a/cpu.max": "200000 100000"}, 0.5),
        ("0::/a", {"cpu.max": "200000 100000"}, 2.0),
        (
            "3:cpu,cpuacct:/a\n1:memory:/a",
            {"cpu/a/cpu.cfs_quota_us": "100000", "cpu/a/cpu.cfs_period_us": "100000"},
            1.0,
        ),
        (
            "3:cpu,cpuacct:/a",
            {"cpu/a/cpu.cfs_quota_us": "-1", "cpu/a/cpu.cfs_period_us": "100000"},
            None,
        ),
        ("0::/a", {"a/cpu.max": "max 100000"}, None),
        ("0::/a", {}, None),
    ],
)
def test_a_quota_of_cpu_time_counts_like_cpus(
    lines: str, files: dict[str, str], quota: float | None, tmp_path: Path
) -> None:
    proc, cgroup = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "self").mkdir(parents=True)
    (proc / "self/cgroup").write_text(f"{lines}\n")
    for name, text in files.items():
        (cgroup / name).parent.mkdir(parents=True, exist_ok=True)
        (cgroup / name).write_text(f"{text}\n")
    assert cpu_quota(proc, cgroup) == quota
    allowed = len(os.sched_getaffinity(0))
    assert usable_cpus(proc, cgroup) == (
        allowed if quota is None else max(1, min(allowed, math.floor(quota)))
    )


def test_what_a_measurement_asks_a_cluster_for_does_not_rest_on_the_profile() -> None:
    devices = load_config({**STUDY, "devices": [BIG, {**SMALL, "type": "cpu", "hardware": "x",
                                                       "constraint": None}]}).devices  # fmt: skip
    needed = measurement_resources(devices, ())
    assert needed["slurm_extra"] == "--exclusive"
    gpus = needed["gpu"]
    assert callable(gpus)
    assert [
        gpus(SimpleNamespace(run=f"{name}/S/reference-fp32/256")) for name in ("big", "small")
    ] == [1, 0]
    assert "gpu" not in measurement_resources(devices, ("gres",))


def test_in_a_container_the_collector_is_the_images() -> None:
    device = {"type": "cuda", "threads": 2}
    check_submission({**STUDY, "device": device}, in_container=True)


def test_hardware_is_known_by_a_part_of_its_name() -> None:
    check_hardware(cpu_model()[2:9].upper(), "cpu")
    with pytest.raises(DeviceError, match="landed on"):
        check_hardware("no such thing", "cpu")
