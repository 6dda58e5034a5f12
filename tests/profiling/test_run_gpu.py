"""Real runs on a real GPU."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.profiling.running import (
    EMPTY_RANGES,
    FEW,
    FEW_TWICE,
    SKIP,
    SUBMODULES,
    ranges,
    record,
    run,
)

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("collector", ["embedded", pytest.param("nsys", marks=pytest.mark.nsys)])
def test_on_a_gpu_every_network_has_its_kernels(
    collector: str, tmp_path: Path, checkout_environment: dict[str, str]
) -> None:
    def call(package: str, *arguments: str) -> None:
        subprocess.run(
            [sys.executable, "-m", package, *arguments],
            env=checkout_environment, cwd=tmp_path, check=True, timeout=600,
        )  # fmt: skip

    where = ["--set", "size=S", "--device-type", "cuda", "--resolution", "256"]
    call("profiling", "run", "--method", "efficientad", *where, *FEW,
         "--collector", collector, "--out", "run")  # fmt: skip
    if collector == "nsys":
        call("profiling", "export", "run/profile.nsys-rep", "-o", "run/profile.sqlite")
    call("analysis", "attribute", "run/profile.sqlite", "--run", "run/run.json", "-o", "r.parquet")
    table = pd.read_parquet(tmp_path / "r.parquet")
    measured = table[(table["phase"] == "measure") & (table["depth"] == 1)]
    assert set(measured["name"]) == set(SUBMODULES)
    assert (measured["kernels"] > 0).all()
    assert (measured["busy_ms"] <= measured["span_ms"]).all()
    image = table[(table["phase"] == "measure") & (table["name"] == "image")]
    assert measured["kernel_sum_ms"].sum() >= 0.99 * image["kernel_sum_ms"].sum()
    assert record(tmp_path / "run")["hardware"]["gpu"]["uuid"].startswith("GPU-")
    found = [name for name, _, _ in ranges(tmp_path / "run" / "profile.sqlite")]
    per_image = ["load", "prepare", "copy_to_device", "image", *SUBMODULES]
    per_image += ["synchronize", "copy_to_host"]
    images = ["warmup", *per_image, "measure", *per_image * 2]
    assert found == [*images, *EMPTY_RANGES, "memory", *per_image]


def test_on_a_gpu_the_allocator_is_read_for_every_submodule(
    tmp_path: Path, checkout_environment: dict[str, str]
) -> None:
    where = ["--set", "size=S", "--device-type", "cuda", "--resolution", "512"]
    done = run(
        *where, *FEW, "--collector", "embedded", "--out", "run",
        environment=checkout_environment, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    data = record(tmp_path / "run")
    prediction, gpu = data["prediction"], data["memory"]["gpu"]
    assert prediction["device_memory_bytes"] == data["hardware"]["gpu"]["memory_bytes"]
    assert [row["submodule"] for row in gpu["submodules"]] == SUBMODULES
    for row in gpu["submodules"]:
        assert gpu["built_allocated_bytes"] <= row["begin_allocated_bytes"]
        assert row["begin_allocated_bytes"] <= row["peak_allocated_bytes"]
        assert row["peak_allocated_bytes"] <= gpu["peak_allocated_bytes"]
        assert row["peak_allocated_bytes"] <= row["peak_reserved_bytes"]
        assert row["peak_reserved_bytes"] <= gpu["peak_reserved_bytes"]
    # the count is a bound from below; blocks are rounded up, and convolutions have workspaces
    assert prediction["needed_bytes"] <= gpu["peak_allocated_bytes"] * 1.001
    if gpu["process_bytes"] is not None:
        assert 0 < gpu["context_bytes"] <= gpu["outside_allocator_bytes"] < gpu["process_bytes"]


def test_on_a_gpu_what_cannot_fit_is_left_out(
    tmp_path: Path, checkout_environment: dict[str, str]
) -> None:
    where = ["--set", "size=M", "--device-type", "cuda", "--resolution", "20000"]
    done = run(
        *where, *FEW, *SKIP, "--collector", "embedded", "--out", "run",
        environment=checkout_environment, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert record(tmp_path / "run")["status"] == "predicted_out_of_memory"
    assert ranges(tmp_path / "run" / "profile.sqlite") == []


TINY = ["--set", "size=S", "--device-type", "cuda", "--resolution", "256"]


def test_on_a_gpu_the_latency_pass_has_the_copies_and_waits_for_the_device(
    tmp_path: Path, checkout_environment: dict[str, str]
) -> None:
    done = run(
        *TINY, *FEW_TWICE, "--collector", "embedded", "--out", "run",
        environment=checkout_environment, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    data = record(tmp_path / "run", "latency.json")
    times = data["latency"]
    assert {len(series) for series in times.values()} == {2}
    for parts in zip(*times.values(), strict=True):
        named = dict(zip(times, parts, strict=True))
        inner = ("prepare_ms", "copy_to_device_ms", "image_ms", "copy_to_host_ms")
        assert named["end_to_end_ms"] == pytest.approx(sum(named[name] for name in inner))
    assert data["memory"]["gpu"]["submodules"] is None


@pytest.mark.parametrize("cache", ["warm", "cold"])
def test_on_a_gpu_an_adaptive_run_ends_once_its_means_are_precise(
    cache: str, tmp_path: Path, checkout_environment: dict[str, str]
) -> None:
    done = run(
        *TINY, "--warmup-images", "10", "--measured-images", "3000", "--min-images", "4",
        "--time-budget-s", "0", "--target-precision", "0.9", "--cache", cache,
        "--precision-min-images", "30", "--precision-min-s", "0",
        "--collector", "embedded", "--out", "run",
        environment=checkout_environment, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for name in ("run.json", "latency.json"):
        assert record(tmp_path / "run", name)["sampling"]["stop_reason"] == "precision"
    found = [name for name, _, _ in ranges(tmp_path / "run" / "profile.sqlite")]
    memory = found[found.index("memory") :]
    assert "flush" not in memory, "its buffer is none of the method's memory"
    flushes = found.count("image") - 1 if cache == "cold" else 0
    assert found.count("flush") == flushes


def test_on_a_gpu_deterministic_algorithms_are_used_where_they_were_asked_for(
    tmp_path: Path, checkout_environment: dict[str, str]
) -> None:
    done = run(
        *TINY, *FEW, "--deterministic", "--collector", "embedded", "--out", "run",
        environment=checkout_environment, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    flags = record(tmp_path / "run")["flags"]
    assert flags["cudnn_deterministic"]
    assert flags["deterministic_algorithms"]
