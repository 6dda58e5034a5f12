"""`python -m analysis verify` finds each fault of results, and none in whole ones."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from adscale.names import MADE_OF_PROFILE
from analysis.tables import write_parquet
from analysis.verification.verify import MEASURE, verify
from tests.gpu_profiles import GPU_NAME, GpuRun, run_document

METHODS = ("A", "B")
SIDES_PX = (256, 512)
DEVICES = {"blue": "GPU-1", "red": "GPU-2"}


def document(device: str, method: str, side_px: int, number: int) -> dict[str, Any]:
    run = GpuRun(method, side_px, ("net",), lambda _name, _image: 1000, device=device)
    found = run_document(run, started_utc=f"2000-01-01T00:00:{number:02}+00:00")
    found["hardware"]["gpu"]["uuid"] = DEVICES[device]
    return found


def write_run(folder: Path, record: Mapping[str, Any]) -> None:
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(record))
    with closing(sqlite3.connect(folder / "profile.sqlite")) as database, database:
        database.execute("CREATE TABLE NVTX_EVENTS (start INTEGER)")
    for name in MADE_OF_PROFILE:
        write_parquet(pd.DataFrame({"image": [1]}), folder / name)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Two devices, two methods, two resolutions, whole."""
    number = 0
    for device in DEVICES:
        for method in METHODS:
            for side_px in SIDES_PX:
                folder = tmp_path / "results" / device / method / "reference-fp32" / str(side_px)
                write_run(folder, document(device, method, side_px, number))
                number += 1
    (tmp_path / "results" / "tables").mkdir()
    return tmp_path / "results"


def change(run: Path, **changes: Any) -> None:
    """Sets values of a record by their path, parts joined by two underscores."""
    file = run / "run.json"
    record = json.loads(file.read_text())
    for key, value in changes.items():
        *parents, last = key.split("__")
        place = record
        for parent in parents:
            place = place[parent]
        place[last] = value
    file.write_text(json.dumps(record))


def found(results: Path, expected: list[str] | None = None) -> list[str]:
    return [str(finding) for finding in verify(results, expected).findings]


RUN = "blue/A/reference-fp32/256"


def test_whole_results(results: Path) -> None:
    checked = verify(results)
    assert checked.findings == ()
    assert (checked.runs, checked.devices) == (8, 2)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


FAULTS: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "unfinished": (lambda run: (run / "run.json").unlink(), RUN, "holds no run.json"),
    "left over": (
        lambda run: (run / ".unfinished-x").mkdir(), f"{RUN}/.unfinished-x", "was killed",
    ),
    "broken record": (
        lambda run: cut(run / "run.json"), f"{RUN}/run.json", "is no JSON",
    ),
    "older record": (lambda run: change(run, schema_version=2), RUN, "version 2, this checkout"),
    "no profile": (lambda run: (run / "profile.sqlite").unlink(), RUN, "no profile.sqlite"),
    "not exported": (
        lambda run: (run / "profile.sqlite").rename(run / "profile.nsys-rep"), RUN, "not exported",
    ),
    "cut profile": (
        lambda run: cut(run / "profile.sqlite"), f"{RUN}/profile.sqlite", "is cut off",
    ),
    "no database": (
        lambda run: (run / "profile.sqlite").write_text("text"),
        f"{RUN}/profile.sqlite", "is no SQLite",
    ),
    "not attributed": (
        lambda run: (run / "ranges.parquet").unlink(), RUN, "no ranges.parquet",
    ),
    "no kernels": (
        lambda run: (run / "kernels.parquet").unlink(), RUN, "no kernels.parquet",
    ),
    "cut ranges": (
        lambda run: cut(run / "ranges.parquet"), f"{RUN}/ranges.parquet", "no whole Parquet",
    ),
    "other hardware": (
        lambda run: change(run, hardware__gpu__name="Other"),
        "device blue", f'gpu.name is "{GPU_NAME}" in 3 of 4 runs',
    ),
    "other software": (
        lambda run: change(run, software__torch="2.0"), "device blue", "software.torch is null",
    ),
    "other sampling": (
        lambda run: change(run, request__sampling__measured_images=7),
        "blue/A/reference-fp32", "sampling.measured_images is",
    ),
    "other settings": (
        lambda run: [
            change(run.parent / str(side_px), request__settings={"size": "S"})
            for side_px in SIDES_PX
        ],
        "method A", "settings.size is",
    ),
    "gap": (shutil.rmtree, "blue/A/reference-fp32", "lacks 256 px"),
    "renamed": (
        lambda run: run.rename(run.with_name("384")),
        "blue/A/reference-fp32/384", "its run.json is that of blue/A/reference-fp32/256",
    ),
    "twice": (
        lambda run: shutil.copytree(run, run.with_name("384")),
        "blue/A/reference-fp32/384", f"is {RUN}, as is {RUN}",
    ),
    "too deep": (
        lambda run: shutil.copytree(run, run / "copy"), f"{RUN}/copy", "is no device/method",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_line_with_place_and_remedy(results: Path, fault: str) -> None:
    spoil, place, words = FAULTS[fault]
    spoil(results / RUN)
    lines = found(results)
    line = next(line for line in lines if line.startswith(f"{place}: ") and words in line)
    assert "\n" not in line
    assert "; " in line


@pytest.mark.parametrize("fault", [name for name in FAULTS if name.startswith("other ")])
def test_one_fault_gives_one_finding(results: Path, fault: str) -> None:
    FAULTS[fault][0](results / RUN)
    assert len(found(results)) == 1


def test_a_measurement_copied_under_another_name(results: Path) -> None:
    """Of a run and of the record in it: path and record agree, the measurement is the same."""
    copy = results / "green" / RUN.partition("/")[2]
    shutil.copytree(results / RUN, copy)
    change(copy, request__device="green")
    shutil.copytree(results / "blue/A/reference-fp32/512", copy.with_name("512"))
    change(copy.with_name("512"), request__device="green")
    lines = [line for line in found(results) if "under another device's name" in line]
    assert [line.partition(":")[0] for line in lines] == [
        "green/A/reference-fp32/256", "green/A/reference-fp32/512",
    ]  # fmt: skip


def test_one_gpu_under_two_names(results: Path) -> None:
    """Measured twice, so the times differ, and yet no second device."""
    change(results / RUN, hardware__gpu__uuid=DEVICES["red"])
    assert any("was measured on the GPU of" in line for line in found(results))


def test_nodes_of_one_kind_are_one_device(results: Path) -> None:
    change(results / RUN, hardware__gpu__uuid="GPU-3", hardware__cpus="4-7", hardware__cpu_count=4)
    assert found(results) == []


def test_a_latency_pass_that_only_one_run_has(results: Path) -> None:
    run = results / RUN
    record = json.loads((run / "run.json").read_text())
    record["request"]["collector"] = record["collector"]["name"] = "none"
    (run / "latency.json").write_text(json.dumps(record))
    lines = found(results)
    assert len(lines) == 3
    assert all("holds no latency.json" in line and line.startswith("blue/") for line in lines)
    record["request"]["seed"] = 1
    (run / "latency.json").write_text(json.dumps(record))
    assert any("(seed differ)" in line for line in found(results))


def test_a_process_that_one_resolution_lacks(results: Path) -> None:
    second = results / RUN / "process-2"
    write_run(second, document("blue", "A", 256, 30))
    change(second, request__process=2)
    line = "blue/A/reference-fp32/512: lacks process 2, which other resolutions have"
    assert found(results) == [f"{line}; {MEASURE}"]


def test_the_list_of_a_study_takes_the_place_of_guesses(results: Path) -> None:
    places = [path.parent.relative_to(results).as_posix() for path in results.rglob("run.json")]
    shutil.rmtree(results / RUN)
    assert found(results, [place for place in places if place != RUN]) == []
    assert found(results, places) == [f"{RUN}: is in the study and not in the results; {MEASURE}"]


def test_a_folder_without_runs_is_not_taken_for_whole(tmp_path: Path) -> None:
    assert [line.split(": ")[1].split(";")[0] for line in found(tmp_path)] == [
        "holds no folder of a run"
    ]


def test_command_line(results: Path, checkout_environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "analysis", "verify", str(results)]

    def call(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *arguments], env=checkout_environment, input=text,
            capture_output=True, text=True,
        )  # fmt: skip

    whole = call()
    assert (whole.returncode, whole.stdout) == (0, "records: 8, devices: 2, findings: 0\n")
    lacking = call("--expected", "-", text=f"{RUN}\nblue/A/reference-fp32/1024\n")
    assert lacking.returncode == 1
    assert lacking.stdout.splitlines()[-1] == "records: 8, devices: 2, findings: 1"
    absent = call("--expected", "absent.txt")
    assert absent.returncode == 2
    assert absent.stderr.startswith("error: --expected: absent.txt cannot be read")


def test_a_record_of_another_shape_than_its_folder_is_told(results: Path) -> None:
    change(results / RUN, request__resolution="320x256")
    assert any("320x256" in one and "run.json is that of" in one for one in found(results))
