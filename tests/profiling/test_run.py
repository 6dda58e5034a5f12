"""Real runs of a real method, as a user starts them."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from jsonschema import Draft202012Validator

from profiling.host_memory import total_host_bytes
from profiling.memory.counting import count_memory
from profiling.methods.registry import check_settings, get_spec
from profiling.validation import load_schema

SUBMODULES = ["teacher", "student", "autoencoder", "anomaly_map"]
SMALL = ["--set", "size=S", "--device-type", "cpu", "--threads", "2"]
SKIP = ["--skip-predicted-out-of-memory"]
FEW = ["--warmup-images", "1", "--measured-images", "2", "--min-images", "2"]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "profiling", "run", "--method", "efficientad", *arguments]


def run(
    *arguments: str, environment: dict[str, str], cwd: Path, **options: Any
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), env=environment, cwd=cwd, capture_output=True, text=True,
        timeout=300, **options,
    )  # fmt: skip


def record(folder: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((folder / "run.json").read_text())
    Draft202012Validator(load_schema("run")).validate(data)
    return data


def ranges(sqlite: Path) -> list[tuple[str, int, int]]:
    """Name, start and end of all push/pop ranges in order of their start."""
    query = (
        "SELECT coalesce(s.value, e.text), e.start, e.end FROM NVTX_EVENTS e "
        "LEFT JOIN StringIds s ON s.id = e.textId WHERE e.eventType = 59 "
        "ORDER BY e.start, e.end DESC"
    )
    with closing(sqlite3.connect(sqlite)) as connection:
        return connection.execute(query).fetchall()


@pytest.fixture(scope="module")
def embedded(
    tmp_path_factory: pytest.TempPathFactory, checkout_environment: dict[str, str]
) -> Path:
    """The folder of a small run by the embedded collector."""
    cwd = tmp_path_factory.mktemp("embedded")
    done = run(
        *SMALL, *FEW, "--resolution", "256", "--collector", "embedded", "--out", "run",
        environment={**checkout_environment, "OMP_NUM_THREADS": "1"}, cwd=cwd,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return cwd / "run"


def test_the_record_says_what_was_done_on_what(embedded: Path) -> None:
    data = record(embedded)
    assert data["status"] == "ok"
    assert data["submodules"] == SUBMODULES
    assert data["sampling"] == {
        "warmup_images": 1, "measured_images": 2, "stop_reason": "image_count",
    }  # fmt: skip
    assert data["collector"]["name"] == "embedded"
    assert data["clock"] == "host"
    assert data["hardware"]["threads"] == 2, "the configuration's threads, not the environment's"
    assert data["flags"] == {
        "tf32_matmul": False, "tf32_cudnn": False,
        "cudnn_benchmark": False, "cudnn_deterministic": False,
    }  # fmt: skip
    assert data["software"]["torch"]
    assert data["images"]["source"].startswith("scikit-image")


def test_what_the_run_needs_by_count_is_beside_it(embedded: Path) -> None:
    data = record(embedded)
    spec = get_spec("efficientad")
    settings = check_settings(spec, {"size": "S"})
    counted = count_memory(spec, settings, resolution_px=256, implementation="reference")
    assert data["prediction"]["needed_bytes"] == counted.needed_bytes
    assert data["prediction"]["device_memory_bytes"] == total_host_bytes()
    assert data["prediction_problem"] is None


def test_the_process_on_the_host_has_taken_more_than_the_count(embedded: Path) -> None:
    data = record(embedded)
    host = data["memory"]["host"]
    grown_bytes = host["peak_bytes"] - host["resident_before_build_bytes"]
    assert data["prediction"]["needed_bytes"] < grown_bytes < 2**30
    assert host["resident_before_build_bytes"] <= host["peak_before_build_bytes"]
    assert data["memory"]["gpu"] is None


def test_every_image_has_its_ranges_in_order(embedded: Path) -> None:
    found = ranges(embedded / "profile.sqlite")
    per_image = ["load", "prepare", "image", *SUBMODULES]
    assert [name for name, _, _ in found] == ["warmup", *per_image, "measure", *per_image * 2]


def test_submodules_lie_inside_their_image_and_preparation_outside(embedded: Path) -> None:
    found = ranges(embedded / "profile.sqlite")
    images = [(start, end) for name, start, end in found if name == "image"]
    for name, start, end in found:
        inside = any(first <= start and end <= last for first, last in images)
        assert inside == (name in {*SUBMODULES, "image"}), name


def test_submodules_cover_the_image(embedded: Path) -> None:
    found = ranges(embedded / "profile.sqlite")
    total: Counter[str] = Counter()
    for name, start, end in found:
        total[name] += end - start
    assert sum(total[name] for name in SUBMODULES) >= 0.99 * total["image"]


def test_nothing_but_the_runs_files_is_left(embedded: Path) -> None:
    assert sorted(path.name for path in embedded.iterdir()) == ["profile.sqlite", "run.json"]


@pytest.mark.nsys
def test_nsys_records_the_same_ranges(
    embedded: Path, nsys: Path, tmp_path: Path, checkout_environment: dict[str, str]
) -> None:
    done = run(
        *SMALL, *FEW, "--resolution", "256", "--collector", "nsys", "--out", "run",
        environment=checkout_environment, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for name in ("run.json", "profile.nsys-rep"):  # under nsys a program has no umask
        assert (tmp_path / "run" / name).stat().st_mode & 0o022 == 0
    data = record(tmp_path / "run")
    assert data["collector"]["name"] == "nsys"
    assert data["collector"]["version"] in subprocess.check_output([nsys, "--version"], text=True)
    export = [sys.executable, "-m", "profiling", "export", "run/profile.nsys-rep"]
    subprocess.run(
        [*export, "-o", "profile.sqlite"], cwd=tmp_path, env=checkout_environment, check=True
    )
    by_nsys = [name for name, _, _ in ranges(tmp_path / "profile.sqlite")]
    assert by_nsys == [name for name, _, _ in ranges(embedded / "profile.sqlite")]


@pytest.mark.gpu
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
    assert found == ["warmup", *per_image, "measure", *per_image * 2, "memory", *per_image]


@pytest.mark.gpu
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


@pytest.mark.gpu
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


ADDRESS_SPACE_BYTES = 9 * 10**9


def limit_address_space() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES))


def test_out_of_memory_is_a_recorded_result(
    tmp_path: Path, checkout_environment: dict[str, str]
) -> None:
    done = run(
        *SMALL, *FEW, "--resolution", "3000", "--collector", "embedded", "--out", "run",
        environment=checkout_environment, cwd=tmp_path, preexec_fn=limit_address_space,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    data = record(tmp_path / "run")
    assert data["status"] == data["sampling"]["stop_reason"] == "out_of_memory"
    assert data["problem"]["phase"] == "warmup"
    # PDN-S: the second allocation of 128 channels of 2997² floats
    assert data["problem"]["requested_bytes"] >= 128 * 2990**2 * 4
    assert (tmp_path / "run" / "profile.sqlite").is_file()
    assert data["prediction"]["device_memory_bytes"] == ADDRESS_SPACE_BYTES
    assert data["prediction"]["needed_bytes"] > 128 * 2990**2 * 4
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
        *SMALL, *FEW, *SKIP, "--resolution", "6000", "--collector", collector, "--out", "run",
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
    if collector == "nsys":
        call("profiling", "export", "run/profile.nsys-rep", "-o", "run/profile.sqlite")
    else:
        assert ranges(tmp_path / "run" / "profile.sqlite") == []
    call("analysis", "attribute", "run/profile.sqlite", "--run", "run/run.json", "-o", "r.parquet")
    assert pd.read_parquet(tmp_path / "r.parquet").empty


@pytest.mark.parametrize("option", [[], [*SKIP, "--memory-margin", "1e6"]])
def test_without_the_option_or_within_its_margin_a_run_is_begun(
    option: list[str], tmp_path: Path, checkout_environment: dict[str, str]
) -> None:
    done = run(
        *SMALL, *FEW, *option, "--resolution", "6000", "--collector", "embedded", "--out", "run",
        environment=checkout_environment, cwd=tmp_path, preexec_fn=limit_address_space,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    data = record(tmp_path / "run")
    assert data["status"] == "out_of_memory"
    assert data["problem"]["phase"] == "warmup"
    assert data["prediction"]["needed_bytes"] > ADDRESS_SPACE_BYTES


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
    def join() -> None:
        (memory_group / "cgroup.procs").write_text(str(os.getpid()))

    done = run(
        *SMALL, *FEW, "--resolution", "2000", "--collector", "embedded", "--out", "run",
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


def test_a_killed_run_leaves_no_result_and_no_process(
    tmp_path: Path, checkout_environment: dict[str, str]
) -> None:
    arguments = [*SMALL, "--measured-images", "100000", "--time-budget-s", "0"]
    process = subprocess.Popen(
        command(*arguments, "--resolution", "256", "--collector", "embedded", "--out", "run"),
        cwd=tmp_path, env=checkout_environment, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    line = process.stderr.readline()
    assert "of at most" in line
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert list((tmp_path / "run").iterdir()) == []
    assert not [pid for pid in Path("/proc").glob("[0-9]*") if _is_measuring(pid, tmp_path)]


def _is_measuring(process: Path, folder: Path) -> bool:
    try:
        return (process / "cwd").resolve() == folder and b"measure" in (
            process / "cmdline"
        ).read_bytes()
    except OSError:
        return False


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--resolution", "200"], ["--resolution", "200 px", "256 px"]),
        ([], ["--resolution", "missing"]),
        (["--resolution", "256", "--variant", "optimised-fp32"], ["--variant", "reference-fp32"]),
        (["--resolution", "256", "--set", "size=XL"], ["size", "S, M"]),
        (["--resolution", "256", "--set", "size"], ["--set size", "key=value"]),
        (["--resolution", "256", "--images", "nowhere"], ["nowhere"]),
        (["--resolution", "256", "--set", "weights=nowhere.pt"], ["nowhere.pt"]),
        (["--resolution", "256", "--nsys", "/no/nsys", "--collector", "nsys"], ["/no/nsys"]),
        (["--resolution", "256", "--threads", "0"], ["threads", "at least 1"]),
        (["--resolution", "256", "--device", "a/b"], ["device", "letters"]),
        (["--resolution", "256", *SKIP, "--memory-margin", "-1"], ["--memory-margin", "least 0"]),
        (["--resolution", "256", *SKIP, "--memory-margin", "nan"], ["--memory-margin", "least 0"]),
    ],
)
def test_a_users_fault_is_one_line_and_a_non_zero_exit(
    arguments: list[str], parts: list[str], tmp_path: Path, checkout_environment: dict[str, str]
) -> None:
    collector = [] if "--collector" in arguments else ["--collector", "embedded"]
    done = run(
        "--device-type", "cpu", *arguments, *collector, "--out", "run",
        environment=checkout_environment, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 2
    lines = [line for line in done.stderr.splitlines() if line]
    assert len(lines) == 1, done.stderr
    for part in parts:
        assert part in lines[0]
    assert not (tmp_path / "run" / "run.json").exists()


def test_methods_are_listed_with_submodules_and_settings(
    tmp_path: Path, checkout_environment: dict[str, str]
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "profiling", "methods"],
        env=checkout_environment, cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for part in ("efficientad", *SUBMODULES, "reference-fp32", "256 px", "padding", "weights"):
        assert part in done.stdout
