"""One measurement at a time, whoever measures, and whatever lies in the folder of locks."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from adscale.errors import DeviceError
from profiling.lock import ENVIRONMENT_VARIABLE, lock_folder, measurement_lock
from tests.no_locks import NEEDS_COMPILER, without_locks

HOLD = """
import os, sys, time
from pathlib import Path
from profiling.lock import measurement_lock
folder, name, hold_s, user = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]), int(sys.argv[4])
if user:
    os.setuid(user)
with measurement_lock("cpu", name, folder):
    (folder / f"{name}.start").write_text(str(time.monotonic_ns()))
    time.sleep(hold_s)
    (folder / f"{name}.end").write_text(str(time.monotonic_ns()))
"""


def hold(
    folder: Path, name: str, hold_s: float, environment: dict[str, str], user: int = 0
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder), name, str(hold_s), str(user)],
        env=environment, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.01)


def lock_file(folder: Path) -> Path:
    return folder / "adscale-cpu.lock"


def refused(folder: Path) -> str:
    with pytest.raises(DeviceError) as caught, measurement_lock("cpu", "x", folder):
        pass
    assert "\n" not in str(caught.value)
    assert os.fspath(folder) in str(caught.value)
    return str(caught.value)


def test_two_measurements_never_overlap_and_the_second_says_for_whom_it_waits(
    tmp_path: Path, checkout_environment: dict[str, str]
) -> None:
    first = hold(tmp_path, "first-run", 1.0, checkout_environment)
    wait_for(tmp_path / "first-run.start")
    second = hold(tmp_path, "second-run", 0.0, checkout_environment)
    _, said = second.communicate(timeout=60)
    first.communicate(timeout=60)
    assert f"waiting for the measurement of first-run (process {first.pid})" in said
    end_of_first = int((tmp_path / "first-run.end").read_text())
    assert int((tmp_path / "second-run.start").read_text()) >= end_of_first


def test_the_lock_of_a_killed_process_is_free(
    tmp_path: Path, checkout_environment: dict[str, str]
) -> None:
    process = hold(tmp_path, "a-killed-run-with-a-long-name", 600.0, checkout_environment)
    wait_for(tmp_path / "a-killed-run-with-a-long-name.start")
    process.kill()
    process.communicate(timeout=30)
    with measurement_lock("cpu", "next", tmp_path):
        note = json.loads(lock_file(tmp_path).read_text())
        assert note == {"pid": os.getpid(), "holder": "next"}
    assert lock_file(tmp_path).read_text() == ""


def test_a_child_that_outlives_the_measurement_does_not_keep_the_lock(tmp_path: Path) -> None:
    with measurement_lock("cpu", "parent", tmp_path):
        child = os.fork()
        if child == 0:
            time.sleep(60)
            os._exit(0)
    try:
        with measurement_lock("cpu", "next", tmp_path):
            assert os.waitpid(child, os.WNOHANG) == (0, 0)
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)


def test_different_devices_do_not_wait_for_each_other(tmp_path: Path) -> None:
    with measurement_lock("GPU-1", "one", tmp_path), measurement_lock("GPU-2", "two", tmp_path):
        assert "one" in (tmp_path / "adscale-GPU-1.lock").read_text()
        assert "two" in (tmp_path / "adscale-GPU-2.lock").read_text()


def test_whoever_waited_for_a_file_that_was_deleted_takes_the_new_one(
    tmp_path: Path, checkout_environment: dict[str, str]
) -> None:
    """Else it would hold a lock that the next one does not see."""
    first = hold(tmp_path, "first", 1.0, checkout_environment)
    wait_for(tmp_path / "first.start")
    second = hold(tmp_path, "second", 1.0, checkout_environment)
    assert second.stderr is not None
    assert "first" in second.stderr.readline()
    lock_file(tmp_path).unlink()
    wait_for(tmp_path / "second.start")
    assert "second" in lock_file(tmp_path).read_text()
    second.communicate(timeout=60)
    first.communicate(timeout=60)


def test_every_user_may_write_the_note_whatever_the_umask(tmp_path: Path) -> None:
    umask = os.umask(0o077)
    try:
        with measurement_lock("cpu", "x", tmp_path):
            assert stat.S_IMODE(lock_file(tmp_path).stat().st_mode) == 0o666
            assert os.umask(0o077) == 0o077
    finally:
        os.umask(umask)


@pytest.fixture
def folder_like_tmp() -> Iterator[Path]:
    """A folder that all users may reach and write, and where they keep their files."""
    with tempfile.TemporaryDirectory(prefix="adscale-test-", dir="/tmp") as name:
        Path(name).chmod(0o1777)
        yield Path(name)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize(
    ("left_over", "whom"), [(False, "the measurement of first"), (True, "another measurement")]
)
def test_users_exclude_each_other(
    left_over: bool, whom: str, folder_like_tmp: Path, checkout_environment: dict[str, str]
) -> None:
    """Also where the file is a third one's, and may only be read."""
    if left_over:
        lock_file(folder_like_tmp).touch(mode=0o644)
    first = hold(folder_like_tmp, "first", 1.0, checkout_environment, user=12345)
    wait_for(folder_like_tmp / "first.start")
    second = hold(folder_like_tmp, "second", 0.0, checkout_environment, user=12346)
    _, said = second.communicate(timeout=60)
    first.communicate(timeout=60)
    assert second.returncode == 0, said
    assert f"waiting for {whom}" in said
    assert lock_file(folder_like_tmp).stat().st_uid == (0 if left_over else 12345)
    end_of_first = int((folder_like_tmp / "first.end").read_text())
    assert int((folder_like_tmp / "second.start").read_text()) >= end_of_first


def test_an_existing_file_is_not_opened_with_the_flag_that_linux_refuses_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With fs.protected_regular, O_CREAT on another user's file in /tmp is an error."""
    lock_file(tmp_path).touch()
    flags = []
    really_open = os.open

    def spy(path: object, how: int, *rest: int) -> int:
        flags.append(how)
        return really_open(path, how, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", spy)
    with measurement_lock("cpu", "x", tmp_path):
        pass
    assert flags
    assert not any(how & os.O_CREAT for how in flags)


def test_a_folder_that_cannot_be_written_is_an_error_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refused(tmp_path / "file")
    refused(tmp_path / "absent")


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    lock_file(tmp_path).symlink_to(victim)
    assert "symbolic link" in refused(tmp_path)
    lock_file(tmp_path).unlink()
    lock_file(tmp_path).symlink_to(tmp_path / "to-be-made")
    refused(tmp_path)
    assert victim.read_text() == "precious"
    assert not (tmp_path / "to-be-made").exists()


def test_what_is_no_lock_file_stays_as_it_is(tmp_path: Path) -> None:
    lock_file(tmp_path).write_text("precious")
    assert "no lock file" in refused(tmp_path)
    assert lock_file(tmp_path).read_text() == "precious"
    lock_file(tmp_path).unlink()
    victim = tmp_path / "victim"
    victim.touch()
    lock_file(tmp_path).hardlink_to(victim)
    assert "no lock file" in refused(tmp_path)
    lock_file(tmp_path).unlink()
    os.mkfifo(lock_file(tmp_path))
    assert "no lock file" in refused(tmp_path)
    lock_file(tmp_path).unlink()
    lock_file(tmp_path).mkdir()
    refused(tmp_path)


def test_the_folder_is_that_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where each job has a /tmp of its own, another folder must be named that all of them see."""
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(tmp_path))
    with measurement_lock("cpu", "me"):
        assert "me" in lock_file(tmp_path).read_text()
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(tmp_path / "absent"))
    with pytest.raises(DeviceError, match=r"ADSCALE_LOCK_FOLDER=.*absent: there is no such folder"):
        lock_folder()
    monkeypatch.delenv(ENVIRONMENT_VARIABLE)
    assert lock_folder() == Path("/tmp")


@NEEDS_COMPILER
def test_a_folder_without_locks_is_told_with_a_remedy_that_helps(
    tmp_path: Path, checkout_environment: dict[str, str]
) -> None:
    environment = {**checkout_environment, **without_locks(tmp_path)}
    said = hold(tmp_path, "name", 0, environment).communicate(timeout=60)[1].splitlines()[-1]
    assert "adscale-cpu.lock: its file system has no locks (Function not implemented); " in said
    assert said.endswith("name another folder of this machine in ADSCALE_LOCK_FOLDER")
