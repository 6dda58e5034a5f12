from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from profiling.errors import DeviceError
from profiling.lock import measurement_lock

HOLD = """
import sys, time
from pathlib import Path
from profiling.lock import measurement_lock
folder, name, hold_s = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
with measurement_lock("cpu", name, folder):
    (folder / f"{name}.start").write_text(str(time.monotonic_ns()))
    time.sleep(hold_s)
    (folder / f"{name}.end").write_text(str(time.monotonic_ns()))
"""


def hold(
    folder: Path, name: str, hold_s: float, environment: dict[str, str]
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder), name, str(hold_s)],
        env=environment, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.01)


def test_two_measurements_never_overlap_and_the_second_says_for_whom_it_waits(
    tmp_path: Path, checkout_environment: dict[str, str]
) -> None:
    first = hold(tmp_path, "first-run", 1.0, checkout_environment)
    wait_for(tmp_path / "first-run.start")
    wait_for(tmp_path / "adscale-cpu.json")
    second = hold(tmp_path, "second-run", 0.0, checkout_environment)
    _, said = second.communicate(timeout=60)
    first.communicate(timeout=60)
    assert "first-run" in said
    assert str(first.pid) in said
    end_of_first = int((tmp_path / "first-run.end").read_text())
    assert int((tmp_path / "second-run.start").read_text()) >= end_of_first


def test_the_lock_of_a_killed_process_is_free(
    tmp_path: Path, checkout_environment: dict[str, str]
) -> None:
    process = hold(tmp_path, "killed", 600.0, checkout_environment)
    wait_for(tmp_path / "killed.start")
    process.kill()
    process.communicate(timeout=30)
    with measurement_lock("cpu", "next", tmp_path):
        assert "next" in (tmp_path / "adscale-cpu.json").read_text()
    assert not (tmp_path / "adscale-cpu.json").exists()


def test_different_devices_do_not_wait_for_each_other(tmp_path: Path) -> None:
    with measurement_lock("GPU-1", "one", tmp_path), measurement_lock("GPU-2", "two", tmp_path):
        assert (tmp_path / "adscale-GPU-1.json").exists()
        assert (tmp_path / "adscale-GPU-2.json").exists()


def test_a_folder_that_cannot_be_written_is_an_error_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DeviceError) as caught, measurement_lock("cpu", "x", tmp_path / "file"):
        pass
    assert "\n" not in str(caught.value)
    assert os.fspath(tmp_path) in str(caught.value)
