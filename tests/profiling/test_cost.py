"""Expected costs are bounds: of counted work, of a sampling's images, of memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adscale.methods.registry import all_specs, check_settings, counting_problem
from adscale.methods.spec import MethodSpec
from adscale.plan import PlannedRun
from adscale.request import RunRequest, Sampling
from profiling.memory.counting import count_memory
from profiling.sampling import StopRule
from profiling.study.estimates import SAFETY, Costs, bound, measuring_s
from tests.study_requests import plain_request

SAMPLING = Sampling(100, 1000, 1000, None)


def request(**changes: Any) -> RunRequest:
    return plain_request(**{"sampling": SAMPLING, **changes})


COUNTABLE = [
    pytest.param(spec, side_px, id=f"{spec.target}-{side_px}")
    for spec in all_specs()
    for side_px in (32, 256, 1024, 2048)
    if counting_problem(spec, check_settings(spec, {}), side_px) is None
]


@pytest.mark.parametrize(("spec", "side_px"), COUNTABLE)
def test_no_method_counts_to_more_than_the_bound(spec: MethodSpec, side_px: int) -> None:
    counted = count_memory(
        spec, check_settings(spec, {}), resolution_px=side_px, implementation="reference",
        device_type="cuda",
    )  # fmt: skip
    most = bound(side_px)
    assert sum(part.flops for part in counted.submodules) <= most.flops
    assert counted.needed_bytes <= most.needed_bytes


def planned(**changes: Any) -> PlannedRun:
    return PlannedRun(request(**changes), "")


@given(
    image_s=st.floats(0.01, 100),
    warmup=st.integers(0, 20),
    measured=st.integers(1, 40),
    least=st.integers(1, 40),
    budget_s=st.none() | st.floats(0.1, 200),
)
def test_no_measurement_outlasts_the_bound(
    image_s: float, warmup: int, measured: int, least: int, budget_s: float | None
) -> None:
    """Against the rules by which runs end, with images of one duration."""
    sampling = Sampling(warmup, measured, min(least, measured), budget_s)
    elapsed_s = 0.0
    for rule in (StopRule.for_warmup(sampling), StopRule.for_measurement(sampling)):
        done = 0
        while rule.check(done, done * image_s) is None:
            done += 1
        elapsed_s += done * image_s
    assert elapsed_s <= measuring_s(sampling, image_s) * (1 + 1e-9)


def write_counts(results: Path, settings: dict[str, Any], flops: float, needed: int) -> None:
    part = {
        "parameters_bytes": 10**9, "buffers_bytes": 0, "host_peak_bytes": 10**9, "flops": flops,
        "libraries": [{"host_bytes": 10**9}],
    }  # fmt: skip
    points = [
        {"resolution_px": 512, "image_bytes": 0, "needed_bytes": needed, "submodules": [part]}
    ]
    path = results / "counts/M/reference-fp32/memory.json"
    path.parent.mkdir(parents=True)
    path.write_text(
        json.dumps({"target": "efficientad", "settings": settings, "resolutions": points})
    )


def test_counts_take_the_place_of_the_bound(tmp_path: Path) -> None:
    write_counts(tmp_path, {"size": "S"}, flops=40e12, needed=10**11)
    counted = Costs({}, tmp_path).of_run(planned())
    # 1100 images of 10.1 s and 300 s to start
    assert counted.minutes == pytest.approx(SAFETY * (1100 * 10.1 + 300) / 60, abs=1)
    assert counted.memory_mb == pytest.approx(8 * 2**30 / 1e6 + 1.5 * 3000, abs=1)
    on_cpu = Costs({}, tmp_path).of_run(planned(device_type="cpu"))
    assert on_cpu.memory_mb == pytest.approx(8 * 2**30 / 1e6 + 1.5 * 10**5, abs=1)


def test_counts_of_other_settings_are_none(tmp_path: Path) -> None:
    uncounted = Costs({}, tmp_path / "nothing").of_run(planned())
    write_counts(tmp_path, {"size": "M"}, flops=1, needed=1)
    assert Costs({}, tmp_path).of_run(planned()) == uncounted


def test_a_time_budget_bounds_the_minutes() -> None:
    budget = Sampling(100, 1000, 1, 60.0)
    cost = Costs({}, Path("nothing")).of_run(planned(sampling=budget, resolution_px=4096))
    assert (
        cost.minutes < Costs({}, Path("nothing")).of_run(planned(resolution_px=4096)).minutes / 100
    )


def test_it_is_told_without_torch(checkout_environment: dict[str, str]) -> None:
    program = "import sys, profiling.study.estimates; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], env=checkout_environment).returncode == 0
