"""What was set on a machine is set back, however the process ends that set it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from profiling.collectors.nsys.run import profile_command, profile_environment
from profiling.machine.clocks import Restorer, RestorerError
from profiling.processes import run_forwarding

TOUCH = """
import sys, time
from pathlib import Path
from profiling.machine.clocks import restore_at_end
def touch():
    time.sleep(0.5)
    Path(sys.argv[1]).touch()
restore_at_end(touch)
"""

OWNER = """
import sys, time
from pathlib import Path
from profiling.machine.clocks import Restorer
touch, folder, how = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
restorer = Restorer([sys.executable, "-c", touch, str(folder / "restored")])
(folder / "pid").write_text(str(restorer.pid))
(folder / "ready").touch()
if how == "error":
    raise SystemExit(3)
if how == "wait":
    time.sleep(600)
"""


def owner(folder: Path, how: str) -> list[str]:
    return [sys.executable, "-c", OWNER, TOUCH, str(folder), how]


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline, "it did not come about in half a minute"
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.parametrize("how", ["SIGKILL", "SIGKILL of all", "SIGTERM", "error", "end"])
def test_however_its_owner_ends_it_acts(
    how: str, tmp_path: Path, checkout_environment: dict[str, str]
) -> None:
    waits = how.startswith("SIG")
    process = subprocess.Popen(
        owner(tmp_path, "wait" if waits else how), env=checkout_environment,
        stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    wait_until((tmp_path / "ready").exists)
    pid = int((tmp_path / "pid").read_text())
    if waits:
        assert not (tmp_path / "restored").exists()
        assert is_running(pid)
        signum = signal.Signals[how.partition(" ")[0]]
        if how.endswith("of all"):
            os.killpg(process.pid, signum)
        else:
            process.send_signal(signum)
    process.wait(timeout=30)
    wait_until((tmp_path / "restored").exists)
    wait_until(lambda: not is_running(pid))


def test_released_it_has_acted_when_that_returns(tmp_path: Path) -> None:
    restorer = Restorer([sys.executable, "-c", TOUCH, str(tmp_path / "restored")])
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(restorer.pid, signum)
    assert not (tmp_path / "restored").exists()
    restorer.release()
    assert (tmp_path / "restored").exists()
    restorer.release()


def test_another_child_of_its_owner_does_not_keep_it_waiting(tmp_path: Path) -> None:
    restorer = Restorer([sys.executable, "-c", TOUCH, str(tmp_path / "restored")])
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], close_fds=False)
    restorer.release()
    assert other.poll() is None
    assert (tmp_path / "restored").exists()
    other.kill()
    other.wait()


@pytest.mark.parametrize("program", ["raise SystemExit", "import nothing_of_this_name"])
def test_one_that_does_not_come_up_is_told(program: str) -> None:
    with pytest.raises(RestorerError):
        Restorer([sys.executable, "-c", program])
    with pytest.raises(RestorerError):
        Restorer(["/absent"])


def test_the_clean_up_after_a_killed_run_leaves_it_to_act(
    tmp_path: Path, checkout_environment: dict[str, str]
) -> None:
    """The launcher kills all processes with the run's mark, and waits for no others."""
    script = f"import os, sys, subprocess; subprocess.Popen({owner(tmp_path, 'wait')!r}).wait()"
    with (tmp_path / "log").open("wb") as log:
        started_s = time.monotonic()
        finished = run_forwarding(
            [sys.executable, "-c", script], checkout_environment, output=log,
            grace_s=0.2, timeout_s=5.0,
        )  # fmt: skip
    assert finished.timed_out
    assert (tmp_path / "ready").exists()
    assert time.monotonic() - started_s < 60
    wait_until((tmp_path / "restored").exists)


@pytest.mark.nsys
@pytest.mark.parametrize("how", ["end", "kill"])
def test_under_nsys_it_acts_and_nsys_does_not_wait_for_it(
    how: str, nsys: Path, tmp_path: Path, checkout_environment: dict[str, str]
) -> None:
    kill = "\nimport os, signal; os.kill(os.getpid(), signal.SIGKILL)" if how == "kill" else ""
    command = [sys.executable, "-c", OWNER + kill, TOUCH, str(tmp_path), "end"]
    argv = profile_command(nsys, tmp_path / "profile.nsys-rep", False, command)
    environment = profile_environment(tmp_path, checkout_environment)
    finished = run_forwarding(argv, environment, timeout_s=120.0)
    assert not finished.timed_out
    assert finished.returncode == (128 + signal.SIGKILL if how == "kill" else 0)
    wait_until((tmp_path / "restored").exists)
    wait_until(lambda: not is_running(int((tmp_path / "pid").read_text())))
