"""Expected costs: bounds for a scheduler, and the time that the rest of a study takes."""

from __future__ import annotations

import dataclasses
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
from adscale.resolution import square
from profiling.memory.counting import count_memory, is_gpu_imaginable
from profiling.sampling import StopRule
from profiling.study.estimates import (
    SAFETY,
    Costs,
    Finished,
    Left,
    bound,
    measuring_s,
    read_counts,
    time_left,
    work_of,
)
from profiling.study.finished import Completion
from tests.study_requests import plain_request

MANY = Sampling(100, 1000, 1000, None)


def many(**changes: Any) -> RunRequest:
    return plain_request(**{"sampling": MANY, **changes})


COUNTABLE = [
    pytest.param(spec, side_px, id=f"{spec.target}-{side_px}")
    for spec in all_specs()
    for side_px in (32, 256, 1024, 2048)
    if counting_problem(spec, check_settings(spec, {}), square(side_px)) is None
]


@pytest.mark.parametrize(("spec", "side_px"), COUNTABLE)
def test_no_method_counts_to_more_than_the_bound(spec: MethodSpec, side_px: int) -> None:
    counted = count_memory(
        spec, check_settings(spec, {}), resolution=square(side_px), implementation="reference",
        device_type="cuda" if is_gpu_imaginable() else "cpu",
    )  # fmt: skip
    most = bound(square(side_px))
    assert sum(part.flops for part in counted.submodules) <= most.flops
    assert counted.needed_bytes <= most.needed_bytes


def planned(**changes: Any) -> PlannedRun:
    return PlannedRun(many(**changes), "")


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
    points = [{"resolution": "512", "image_bytes": 0, "needed_bytes": needed, "submodules": [part]}]
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
    cost = Costs({}, Path("nothing")).of_run(planned(sampling=budget, resolution=square(4096)))
    assert (
        cost.minutes
        < Costs({}, Path("nothing")).of_run(planned(resolution=square(4096))).minutes / 100
    )


def test_reading_a_profile_is_asked_for_by_its_images() -> None:
    """Fifty images a minute at the least, of which each takes 4 MB."""
    small, large = (
        Costs.of_profile(planned(sampling=Sampling(10, images - 10, 2, None)))
        for images in (50, 550)
    )
    assert large.minutes - small.minutes == 10
    assert large.memory_mb - small.memory_mb == 2000


def test_it_is_told_without_torch(checkout_environment: dict[str, str]) -> None:
    program = "import sys, profiling.study.estimates; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], env=checkout_environment).returncode == 0


COUNT = Sampling(warmup_images=5, measured_images=20, min_images=20, time_budget_s=None)
IMAGES = 25


def request(**changes: Any) -> RunRequest:
    return plain_request(**{"sampling": COUNT, **changes})


def finished(image_s: float, start_s: float = 10.0, **changes: Any) -> Finished:
    return Finished(request(**changes), "ok", start_s + IMAGES * image_s, IMAGES, image_s)


def pixels(one: RunRequest) -> float:
    """Work in proportion to the pixels."""
    return float(one.resolution.pixels)


@given(image_s=st.floats(1e-4, 100), start_s=st.floats(0, 1000), number=st.integers(1, 50))
def test_more_of_the_same_takes_the_same_each(image_s: float, start_s: float, number: int) -> None:
    known = [finished(image_s, start_s)]
    left = time_left([request(process=2)] * number, known, pixels)
    assert left.seconds == pytest.approx(number * (start_s + IMAGES * image_s))
    assert left == Left(left.seconds, 1, (), {})


@given(side_px=st.integers(32, 4096), rate=st.floats(1e-9, 1e-4), start_s=st.floats(0, 500))
def test_an_image_is_scaled_by_its_work_and_the_start_is_not(
    side_px: int, rate: float, start_s: float
) -> None:
    known = [
        finished(rate * side**2, start_s, resolution=square(side)) for side in (256, 512, 1024)
    ]
    left = time_left([request(resolution=square(side_px))], known, pixels)
    assert left.seconds == pytest.approx(start_s + IMAGES * rate * side_px**2)


def test_a_time_budget_ends_what_is_large() -> None:
    """5 s for warm-up and 20 s for images, whatever the resolution, in whole images."""
    sampling = Sampling(1000, 1000, 1, 20.0)
    known = [Finished(request(sampling=sampling, resolution=square(1000)), "ok", 36.0, 26, 1.0)]
    left = time_left([request(sampling=sampling, resolution=square(2000))], known, pixels)
    share = 26 / measuring_s(sampling, 1.0)
    assert left.seconds == pytest.approx(10 + share * measuring_s(sampling, 4.0))


def test_a_precision_that_ends_runs_early_is_expected_to_do_so_again() -> None:
    sampling = dataclasses.replace(COUNT, target_precision=0.01)
    known = [Finished(request(sampling=sampling), "ok", 20.0, 10, 1.0)]  # of 25 images
    left = time_left([request(sampling=sampling, process=2)], known, pixels)
    assert left.seconds == pytest.approx(20.0)


def test_the_nearest_run_counts() -> None:
    """Where growth is not that of the work, a neighbour tells more than all of them."""
    known = [
        finished(1.0, resolution=square(256)),
        finished(2.0, resolution=square(1024)),
    ]
    near = time_left([request(resolution=square(1000))], known, pixels)
    assert near.seconds == pytest.approx(10 + IMAGES * 2.0 * (1000 / 1024) ** 2)


def test_processes_of_one_run_are_averaged() -> None:
    known = [finished(image_s, process=number) for number, image_s in enumerate((1.0, 2.0, 6.0), 1)]
    left = time_left([request(process=4)], known, pixels)
    assert left.seconds == pytest.approx(10 + IMAGES * 3.0)


def test_each_pass_is_expected_as_it_was() -> None:
    known = [finished(1.0, 30.0), finished(0.1, 5.0, collector="none")]
    for collector, expected_s in (("nsys", 55), ("none", 7.5)):
        left = time_left([request(process=2, collector=collector)], known, pixels)
        assert left.seconds == pytest.approx(expected_s)


def test_a_long_wait_for_the_device_is_not_expected_of_every_run() -> None:
    known = [finished(1.0, start_s) for start_s in (10.0, 11.0, 3600.0)]
    assert time_left([request()], known, pixels).seconds == pytest.approx(11 + IMAGES)


def test_beyond_a_run_out_of_memory_others_run_out_as_soon() -> None:
    known = [
        finished(1.0),
        Finished(request(resolution=square(1024)), "out_of_memory", 7.0, 0, None),
    ]
    sides = [request(resolution=square(side), process=2) for side in (512, 1024, 2048)]
    left = time_left(sides, known, pixels)
    assert left.seconds == pytest.approx(10 + IMAGES + 7 + 7)
    assert left.measured == 1


def test_what_rests_on_other_methods_and_what_nothing_is_known_of_is_told() -> None:
    rest = [request(method="N"), *[request(device="b")] * 2]
    left = time_left(rest, [finished(1.0)], pixels)
    assert left == Left(10 + IMAGES, 1, ("N",), {"b": 2})
    assert Completion(4, 1, left).sentence() == (
        "1 of 4 measurements; about 35 s of measuring left (from 1 measured, none of N); "
        "unknown for 2 on b, where nothing was measured yet"
    )


@pytest.mark.parametrize(
    "known", [[], [Finished(request(), "out_of_memory", 7.0, 0, None)]], ids=["nothing", "lost"]
)
def test_before_anything_was_measured_no_time_is_told(known: list[Finished]) -> None:
    left = time_left([request(resolution=square(256))], known, pixels)
    assert Completion(1 + len(known), len(known), left).rest() == (
        "time left unknown, nothing was measured yet"
    )


def test_counted_work_takes_the_place_of_the_bound_once_all_is_counted(tmp_path: Path) -> None:
    requests = [request(resolution=square(side)) for side in (256, 512)]
    assert work_of(requests, tmp_path)(requests[0]) == bound(square(256)).flops
    part = {
        "parameters_bytes": 0, "buffers_bytes": 0, "host_peak_bytes": 0, "libraries": [],
    }  # fmt: skip
    points = [
        {"resolution": str(side), "image_bytes": 0, "needed_bytes": 0,
         "submodules": [{**part, "flops": side}]}
        for side in (256, 512)
    ]  # fmt: skip
    path = tmp_path / "counts/M/reference-fp32/memory.json"
    path.parent.mkdir(parents=True)
    text = {"target": "efficientad", "settings": {"size": "S"}, "resolutions": points}
    path.write_text(json.dumps(text))
    read_counts.cache_clear()
    assert work_of(requests, tmp_path)(requests[1]) == 512
    # beside a run that is not counted, the two do not compare
    uncounted = [*requests, request(resolution=square(640))]
    assert work_of(uncounted, tmp_path)(requests[1]) == bound(square(512)).flops
