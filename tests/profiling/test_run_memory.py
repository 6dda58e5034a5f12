"""Runs that need more memory than there is: begun, left out, or killed by Linux."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from tests.profiling.running import FEW, FEW_TWICE, SKIP, SMALL, SUBMODULES, ranges, record, run

ADDRESS_SPACE_BYTES = 9 * 10**9


def limit_address_space() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES))


def test_out_of_memory_is_a_recorded_result(
    tmp_path: Path, checkout_environment: dict[str, str]
) -> None:
    """Within the margin of the option to leave it out a run is begun, whatever was predicted."""
    margin = ["--memory-margin", "1e6"]
    done = run(
        *SMALL, *FEW_TWICE, *SKIP, *margin, "--resolution", "6000",
        "--collector", "embedded", "--out", "run",
        environment=checkout_environment, cwd=tmp_path, preexec_fn=limit_address_space,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    latency = record(tmp_path / "run", "latency.json")
    assert (latency["status"], latency["latency"]) == ("out_of_memory", None)
    data = record(tmp_path / "run")
    assert data["status"] == data["sampling"]["stop_reason"] == "out_of_memory"
    assert data["machine"]["measured_ms"] is None
    assert data["problem"]["phase"] == "warmup"
    # PDN-S: the first allocation of 128 channels of 5997² floats
    assert data["problem"]["requested_bytes"] >= 128 * 5990**2 * 4
    assert (tmp_path / "run" / "profile.sqlite").is_file()
    assert data["prediction"]["device_memory_bytes"] == ADDRESS_SPACE_BYTES
    assert data["prediction"]["needed_bytes"] > 128 * 5990**2 * 4 > ADDRESS_SPACE_BYTES
    assert data["memory"]["host"]["peak_bytes"] is not None


@pytest.mark.parametrize("collector", ["embedded", pytest.param("nsys", marks=pytest.mark.nsys)])
def test_a_run_that_cannot_fit_is_left_out_and_says_why(
    collector: str, tmp_path: Path, checkout_environment: dict[str, str]
) -> None:
    def call(package: str, *arguments: str) -> None:
        subprocess.run(
            [sys.executable, "-m", package, *arguments],
            env=checkout_environment, cwd=tmp_path, check=True, timeout=300,
        )  # fmt: skip

    done = run(
        *SMALL, *FEW_TWICE, *SKIP, "--resolution", "6000", "--collector", collector,
        "--out", "run",
        environment=checkout_environment, cwd=tmp_path, preexec_fn=limit_address_space,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    data = record(tmp_path / "run")
    assert data["status"] == data["sampling"]["stop_reason"] == "predicted_out_of_memory"
    assert data["sampling"]["warmup_images"] == data["sampling"]["measured_images"] == 0
    assert data["problem"]["phase"] == "prediction"
    assert data["problem"]["requested_bytes"] is None
    needed_bytes = data["prediction"]["needed_bytes"]
    assert needed_bytes > 1.1 * ADDRESS_SPACE_BYTES
    assert data["prediction"]["device_memory_bytes"] == ADDRESS_SPACE_BYTES
    assert data["request"]["skip_margin"] == 0.1
    assert data["submodules"] == SUBMODULES
    assert f"{needed_bytes:,}" in data["problem"]["message"]
    assert data["problem"]["message"] in done.stdout
    assert data["memory"]["host"]["peak_bytes"] is None  # of a run that was not
    assert data["machine"] is None
    latency = record(tmp_path / "run", "latency.json")
    assert (latency["status"], latency["latency"]) == ("predicted_out_of_memory", None)
    assert latency["prediction"]["needed_bytes"] == needed_bytes
    if collector == "nsys":
        call("profiling", "export", "run/profile.nsys-rep", "-o", "run/profile.sqlite")
    else:
        assert ranges(tmp_path / "run" / "profile.sqlite") == []
    call("analysis", "attribute", "run/profile.sqlite", "--run", "run/run.json", "-o", "r.parquet")
    assert pd.read_parquet(tmp_path / "r.parquet").empty


GROUP_BYTES = 2**30


@pytest.fixture
def memory_group(tmp_path: Path) -> Iterator[Path]:
    """A control group that may use a gibibyte, after which Linux kills."""
    for root in (Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")):
        group = root / f"adscale-test-{os.getpid()}"
        limit = "memory.limit_in_bytes" if root.name == "memory" else "memory.max"
        try:
            group.mkdir()
            (group / limit).write_text(str(GROUP_BYTES))
        except OSError:
            shutil.rmtree(group, ignore_errors=True)
            continue
        yield group
        deadline = time.monotonic() + 30
        while (group / "cgroup.procs").read_text() and time.monotonic() < deadline:
            time.sleep(0.1)
        group.rmdir()
        return
    pytest.skip("no control group for memory can be made here (needs root)")


def test_a_process_that_linux_kills_for_its_memory_is_a_recorded_result(
    tmp_path: Path, memory_group: Path, checkout_environment: dict[str, str]
) -> None:
    """Without the option to leave it out a run is begun, whatever was predicted."""

    def join() -> None:
        (memory_group / "cgroup.procs").write_text(str(os.getpid()))

    done = run(
        *SMALL, *FEW, "--resolution", "2000", "--collector", "embedded",
        "--out", "run",
        environment=checkout_environment, cwd=tmp_path, preexec_fn=join,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    data = record(tmp_path / "run")
    assert data["status"] == "out_of_memory"
    assert data["problem"]["phase"] == "unknown"
    assert "Linux killed" in data["problem"]["message"]
    assert data["prediction"]["device_memory_bytes"] == GROUP_BYTES
    assert data["prediction"]["needed_bytes"] > GROUP_BYTES
    assert data["memory"]["host"]["resident_before_build_bytes"] < GROUP_BYTES
    assert data["memory"]["host"]["peak_bytes"] is None  # nobody was left to look
    assert ranges(tmp_path / "run" / "profile.sqlite") == []
