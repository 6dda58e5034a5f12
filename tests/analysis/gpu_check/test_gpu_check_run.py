"""Checks of one run, on generated runs that are right and on such with one fault each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from adscale.models import adapter
from adscale.run_record import RunRecord
from analysis.gpu_check import run_checks
from analysis.gpu_check.run_checks import expected_ranges
from tests.analysis.gpu_check.generated import IMAGES, RUN, SUBMODULES, machine, write_run
from tests.gpu_profiles import run_document

MIB = 2**20


def gpu_memory(**values: Any) -> dict[str, Any]:
    names = (
        "context_bytes", "moved_outside_bytes", "built_allocated_bytes", "peak_allocated_bytes",
        "peak_reserved_bytes", "process_bytes", "process_source", "outside_allocator_bytes",
        "cublas_workspace_bytes", "submodules",
    )  # fmt: skip
    host = ("resident_before_build_bytes", "peak_before_build_bytes", "peak_bytes")
    return {"host": dict.fromkeys(host), "gpu": {**dict.fromkeys(names), **values}}


def write_count(folder: Path, needed_bytes: int) -> None:
    """A real count, its sum replaced."""
    from adscale.methods.registry import check_settings, get_spec, parse_variant
    from adscale.models import jsonable
    from adscale.resolution import square
    from profiling.cli.memory import count_report

    spec = get_spec("efficientad")
    settings = check_settings(spec, {"size": "S"})
    variant = parse_variant("reference-fp32", spec)
    report = jsonable(count_report("M", spec, settings, variant, [square(256)], "cpu"))
    report["device_type"] = "cuda"
    report["resolutions"][0]["needed_bytes"] = needed_bytes
    (folder / "memory.json").write_text(json.dumps(report))


def write_latency(folder: Path, image_ms: float) -> None:
    keys = ("load_ms", "prepare_ms", "copy_to_device_ms", "copy_to_host_ms", "end_to_end_ms")
    times: dict[str, Any] = {**dict.fromkeys(keys, [1.0] * IMAGES), "image_ms": [image_ms] * IMAGES}
    (folder / "latency.json").write_text(json.dumps(run_document(RUN, latency=times)))


def test_all_ranges_that_the_runner_opens_are_expected(tmp_path: Path) -> None:
    found = run_checks.ranges_check(write_run(tmp_path), "M")
    images = IMAGES + RUN.warmup_images + 1  # one more behind them, for its memory
    total = 3 + images * (6 + len(SUBMODULES))
    assert (found.result, found.found) == ("pass", f"{total} of {total}")


@pytest.mark.parametrize("name", ["student", "copy_to_host", "memory", "measure"])
def test_one_missing_range_is_seen_and_named(name: str, tmp_path: Path) -> None:
    found = run_checks.ranges_check(write_run(tmp_path, without=name), "M")
    assert found.result == "FAIL"
    assert f"({name} " in found.found


def test_a_cpu_run_has_no_copies() -> None:
    document = run_document(RUN)
    document["request"]["device_type"] = "cpu"
    expected = expected_ranges(adapter(RunRecord).validate_json(json.dumps(document)))
    assert expected["image"] == IMAGES + RUN.warmup_images
    assert not {"copy_to_device", "synchronize", "memory"} & expected.keys()


@pytest.mark.parametrize(
    ("stray_ns", "verdict"), [(0, "pass"), (60_000, "pass"), (200_000, "FAIL")]
)
def test_coverage_of_kernel_time(stray_ns: int, verdict: str, tmp_path: Path) -> None:
    """The submodules of an image have kernels of 10 ms."""
    found = run_checks.coverage_check(write_run(tmp_path, stray_ns=stray_ns), "M")
    assert found.result == verdict
    assert found.found == f"{1 - stray_ns / (10_000_000 + stray_ns):.2%}"


@pytest.mark.parametrize(
    ("measured_bytes", "verdict"),
    [(90 * MIB, "FAIL"), (100 * MIB, "pass"), (150 * MIB, "pass"), (250 * MIB, "FAIL")],
)
def test_memory_is_bounded_by_the_count(measured_bytes: int, verdict: str, tmp_path: Path) -> None:
    write_run(tmp_path, memory=gpu_memory(peak_allocated_bytes=measured_bytes))
    write_count(tmp_path, 100 * MIB)
    found = run_checks.memory_check(tmp_path, "M", tmp_path / "memory.json")
    assert found.result == verdict
    assert found.found.startswith(f"{measured_bytes / (100 * MIB):.3f} ")


def test_memory_that_was_not_measured_or_not_counted_is_not_checked(tmp_path: Path) -> None:
    write_run(tmp_path, memory=gpu_memory())
    assert run_checks.memory_check(tmp_path, "M", tmp_path / "memory.json").result == "not checked"
    write_count(tmp_path, 100 * MIB)
    assert run_checks.memory_check(tmp_path, "M", tmp_path / "memory.json").result == "not checked"


def test_clocks_of_a_gpu_at_work(tmp_path: Path) -> None:
    write_run(tmp_path, machine=machine())
    clock = run_checks.clock_check(tmp_path, "M")
    assert (clock.result, clock.found) == ("pass", "20, 1980 to 1980 MHz, reasons 0x0")
    assert run_checks.verdict_check(tmp_path, "M").result == "pass"


def test_a_gpu_that_is_too_hot_is_a_failure(tmp_path: Path) -> None:
    write_run(tmp_path, machine=machine(slowdown_reasons=[0.0] * 10 + [float(0x20)] * 10))
    assert "reasons 0x20" in run_checks.clock_check(tmp_path, "M").found
    found = run_checks.verdict_check(tmp_path, "M")
    assert (found.result, found.found.split(":")[0]) == ("FAIL", "throttled")


def test_a_gpu_that_others_use_is_a_failure(tmp_path: Path) -> None:
    write_run(tmp_path, machine=machine(others_share=[0.4] * 20))
    assert run_checks.verdict_check(tmp_path, "M").found.startswith("shared")


def test_too_few_samples_and_none(tmp_path: Path) -> None:
    few = [1980.0] * 2 + [None] * 18
    write_run(tmp_path / "few", machine=machine(sm_clock_mhz=few))
    assert run_checks.clock_check(tmp_path / "few", "M").result == "FAIL"
    state = machine(sm_clock_mhz=[None] * 20)
    write_run(tmp_path / "none", machine={**state, "unavailable": {"sm_clock_mhz": "no NVML"}})
    assert run_checks.clock_check(tmp_path / "none", "M").found == "none: no NVML"
    write_run(tmp_path / "null", machine=None)
    assert run_checks.clock_check(tmp_path / "null", "M").result == "FAIL"


def test_recorded_images_over_unrecorded_ones(tmp_path: Path) -> None:
    write_run(tmp_path)
    assert run_checks.latency_check(tmp_path, "M").result == "not checked"
    # an image lasts until `synchronize` is over: longer than its kernels, shorter than twice that
    busy_ms = 2 * (4_000_000 + 2_000) / 1e6
    write_latency(tmp_path, busy_ms)
    found = run_checks.latency_check(tmp_path, "M")
    assert found.result == "pass"
    assert 1.0 < float(found.found.split()[0]) < 1.05
    write_latency(tmp_path, 0.9 * busy_ms)
    assert run_checks.latency_check(tmp_path, "M").result == "FAIL"
