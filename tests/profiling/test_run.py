"""Real runs of a real method, as a user starts them."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from adscale.methods.registry import check_settings, get_spec
from adscale.resolution import square
from profiling.__main__ import main
from profiling.memory.counting import count_memory
from profiling.memory_limits import total_host_bytes
from tests.profiling.running import (
    EMPTY_RANGES,
    FEW,
    FEW_TWICE,
    SKIP,
    SMALL,
    SUBMODULES,
    TINY,
    command,
    ranges,
    record,
    run,
)

OF_BEFORE = ("profile.nsys-rep", "ranges.parquet", "kernels.parquet", "notes of the user.txt")
"""Files of an earlier measurement in the folder of the run, and one that is none of ours."""


@pytest.fixture(scope="module")
def embedded(
    tmp_path_factory: pytest.TempPathFactory, checkout_environment: dict[str, str]
) -> Path:
    """The folder of a small run by the embedded collector, and of its latency pass."""
    cwd = tmp_path_factory.mktemp("embedded")
    (cwd / "run").mkdir()
    for name in OF_BEFORE:
        (cwd / "run" / name).touch()
    done = run(
        *SMALL, *FEW_TWICE, "--resolution", "256", "--collector", "embedded", "--out", "run",
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
        "deterministic_algorithms": False,
        "cpu_precision": "ieee", "default_dtype": "float32", "autocast": False, "gradients": False,
    }  # fmt: skip
    assert data["software"]["torch"]
    assert data["images"]["source"].startswith("scikit-image")


def test_what_the_run_needs_by_count_is_beside_it(embedded: Path) -> None:
    data = record(embedded)
    spec = get_spec("efficientad")
    settings = check_settings(spec, {"size": "S"})
    counted = count_memory(spec, settings, resolution=square(256), implementation="reference")
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
    expected = ["warmup", *per_image, "measure", *per_image * 2, *EMPTY_RANGES]
    assert [name for name, _, _ in found] == expected


def test_what_a_range_costs_is_in_the_record(embedded: Path) -> None:
    assert 0 < record(embedded)["empty_range_ns"] < 1e6
    assert record(embedded, "latency.json")["empty_range_ns"] is None


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
    """Another profile, or a table, of the measurement before would be taken for this one's."""
    names = sorted(path.name for path in embedded.iterdir())
    assert names == ["latency.json", "notes of the user.txt", "profile.sqlite", "run.json"]


def test_the_latency_pass_is_the_same_run_without_a_profiler(embedded: Path) -> None:
    profiled, data = record(embedded), record(embedded, "latency.json")
    assert data["status"] == "ok"
    assert data["collector"]["name"] == "none"
    assert {**data["request"], "collector": "embedded"} == profiled["request"]
    assert data["sampling"] == profiled["sampling"]
    assert data["submodules"] == SUBMODULES
    assert data["prediction"]["needed_bytes"] == profiled["prediction"]["needed_bytes"]
    assert profiled["latency"] is None


def test_each_image_of_the_latency_pass_has_its_times(embedded: Path) -> None:
    times = record(embedded, "latency.json")["latency"]
    assert times["copy_to_device_ms"] is times["copy_to_host_ms"] is None
    parts = ("load_ms", "prepare_ms", "image_ms", "end_to_end_ms")
    assert {len(times[name]) for name in parts} == {2}
    assert all(value > 0 for name in parts for value in times[name])
    for end_to_end, prepare, image in zip(
        times["end_to_end_ms"], times["prepare_ms"], times["image_ms"], strict=True
    ):
        assert end_to_end == pytest.approx(prepare + image)


def test_the_machine_is_watched_while_images_are_measured(embedded: Path) -> None:
    for name in ("run.json", "latency.json"):
        machine = record(embedded, name)["machine"]
        begin_ms, end_ms = machine["measured_ms"]
        assert begin_ms < end_ms
        assert machine["samples"]["time_ms"]
        assert set(map(len, machine["samples"].values())) == {len(machine["samples"]["time_ms"])}


@pytest.mark.slow
def test_an_adaptive_run_ends_once_its_means_are_precise(
    tmp_path: Path, checkout_environment: dict[str, str]
) -> None:
    """Times that wander have no interval to be precise by: on a busy machine it takes tries."""
    for number in range(5):
        tmp_path = tmp_path / str(number)
        tmp_path.mkdir()
        done = run(
            *TINY, "--threads", "1", "--collector", "embedded", "--out", "run",
            "--warmup-images", "5", "--measured-images", "3000", "--min-images", "4",
            "--time-budget-s", "0", "--target-precision", "0.9",
            "--precision-min-images", "30", "--precision-min-s", "0",
            environment=checkout_environment, cwd=tmp_path,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        passes = [record(tmp_path / "run", name) for name in ("run.json", "latency.json")]
        if all(one["sampling"]["stop_reason"] == "precision" for one in passes):
            break
    for name in ("run.json", "latency.json"):
        sampling = record(tmp_path / "run", name)["sampling"]
        assert sampling["stop_reason"] == "precision"
        assert 4 <= sampling["measured_images"] < 3000
    found = Counter(name for name, _, _ in ranges(tmp_path / "run" / "profile.sqlite"))
    assert found["image"] == 5 + record(tmp_path / "run")["sampling"]["measured_images"]
    latency = record(tmp_path / "run", "latency.json")
    assert len(latency["latency"]["image_ms"]) == latency["sampling"]["measured_images"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory, checkout_environment: dict[str, str]) -> Path:
    """The folder of a run whose means cannot be as precise as they were asked to be."""
    cwd = tmp_path_factory.mktemp("tiny")
    done = run(
        *TINY, *FEW, "--collector", "embedded", "--cudnn-benchmark", "--deterministic",
        "--cache", "cold", "--time-budget-s", "0", "--target-precision", "1e-9", "--out", "run",
        environment=checkout_environment, cwd=cwd,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return cwd / "run"


def test_a_precision_that_is_out_of_reach_ends_at_the_number_of_images(tiny: Path) -> None:
    assert record(tiny)["sampling"] == {
        "warmup_images": 1, "measured_images": 2, "stop_reason": "image_count",
    }  # fmt: skip


def test_settings_of_the_execution_are_applied_and_recorded(tiny: Path) -> None:
    data = record(tiny)
    assert data["request"]["execution"] == {
        "cudnn_benchmark": True, "deterministic": True, "cache": "cold",
    }  # fmt: skip
    for flag in ("cudnn_benchmark", "cudnn_deterministic", "deterministic_algorithms"):
        assert data["flags"][flag] is True
    found = [name for name, _, _ in ranges(tiny / "profile.sqlite")]
    parts = [name for name in found if name not in data["submodules"]]
    per_image = ["load", "prepare", "flush", "image"]
    assert parts == ["warmup", *per_image, "measure", *per_image * 2, *EMPTY_RANGES]


@pytest.mark.nsys
def test_nsys_records_the_same_ranges(
    tiny: Path, nsys: Path, tmp_path: Path, checkout_environment: dict[str, str]
) -> None:
    done = run(
        *TINY, *FEW, "--collector", "nsys", "--cache", "cold", "--out", "run",
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
    assert by_nsys == [name for name, _, _ in ranges(tiny / "profile.sqlite")]


def test_a_killed_run_leaves_no_result_and_no_process(
    tmp_path: Path, checkout_environment: dict[str, str]
) -> None:
    arguments = [*TINY, "--measured-images", "100000", "--min-images", "100000"]
    process = subprocess.Popen(
        command(*arguments, "--collector", "embedded", "--out", "run"),
        cwd=tmp_path, env=checkout_environment, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    begun = any("of at most" in line for line in process.stderr)  # others may measure before us
    assert begun
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
        (["--resolution", "256", "--nsys", "/no/nsys", "--collector", "nsys"], ["/no/nsys"]),
        (["--resolution", "256", "--threads", "0"], ["threads", "at least 1"]),
        (["--resolution", "256", "--device", "a/b"], ["device", "letters"]),
        (["--resolution", "256", "--target-precision", "2"], ["target_precision", "less than 1"]),
        (
            ["--resolution", "256", "--target-precision", "0.1", "--min-images", "1"],
            ["--min-images", "at least 2"],
        ),
        (["--resolution", "256", "--lock-clocks", "0"], ["--lock-clocks", "is for a GPU"]),
        (["--resolution", "256", *SKIP, "--memory-margin", "-1"], ["--memory-margin", "least 0"]),
        (["--resolution", "256", *SKIP, "--memory-margin", "nan"], ["--memory-margin", "least 0"]),
    ],
)
def test_a_fault_that_is_found_before_a_process_is_started_is_one_line(
    arguments: list[str],
    parts: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Also a process that is started only to say so would take seconds."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(subprocess, "Popen", None)
    collector = [] if "--collector" in arguments else ["--collector", "embedded"]
    words = ["--method", "efficientad", "--device-type", "cpu", *arguments, *collector]
    assert main(["run", *words, "--out", "run"]) == 2
    _is_one_line(capsys.readouterr().err, parts)
    assert not (tmp_path / "run" / "run.json").exists()


def _is_one_line(told: str, parts: list[str]) -> None:
    """What is told while another test measures on the device does not count."""
    lines = [line for line in told.splitlines() if line and not line.startswith("waiting for ")]
    assert len(lines) == 1, told
    assert [part for part in parts if part not in lines[0]] == []


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--images", "nowhere"], ["nowhere"]),
        (["--set", "weights=nowhere.pt"], ["nowhere.pt"]),
    ],
)
def test_a_fault_that_the_measuring_process_finds_is_one_line_and_a_non_zero_exit(
    arguments: list[str], parts: list[str], tmp_path: Path, checkout_environment: dict[str, str]
) -> None:
    done = run(
        "--device-type", "cpu", "--resolution", "256", *arguments, "--collector", "embedded",
        "--out", "run",
        environment=checkout_environment, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 2
    _is_one_line(done.stderr, parts)
    assert not (tmp_path / "run" / "run.json").exists()


def test_a_method_is_listed_with_submodules_and_settings(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """All of them are listed by a command of the README."""
    assert main(["methods", "efficientad"]) == 0
    listed = capsys.readouterr().out
    for part in ("efficientad", *SUBMODULES, "reference-fp32", "256 px", "padding", "weights"):
        assert part in listed
