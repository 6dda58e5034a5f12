"""Programs under the real nsys: what they record, how they end, what they leave behind."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from adscale.errors import CollectorError
from profiling.collectors.nsys import export_command, run_profiled
from profiling.seclusion import seclusion
from tests.conftest import CHECKOUT

pytestmark = pytest.mark.nsys

DEADLINE_S = 60  # of a wait that usually ends within seconds

WITH_RANGES = """
import sys, nvtx
for _ in range(5):
    with nvtx.annotate("image", domain="adscale"), nvtx.annotate("teacher", domain="adscale"):
        pass
print("to stdout"); print("to stderr", file=sys.stderr)
"""

# starts a child, says that it is ready, and waits to be ended
LASTING = """
import pathlib, signal, subprocess, sys, time
import nvtx
if "stubborn" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen(["sleep", "300"])
with nvtx.annotate("image", domain="adscale"):
    pathlib.Path(sys.argv[1]).touch()
time.sleep(300)
"""

RUN = """
import sys
from pathlib import Path
from profiling.collectors.nsys import run_profiled
nsys, output, *command = sys.argv[1:]
sys.exit(run_profiled(Path(nsys), Path(output), command, trace_cuda=False, grace_s=3))
"""


def python(program: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", program, *arguments]


def range_counts(nsys: Path, report: Path) -> dict[str, int]:
    sqlite = report.with_suffix(".sqlite")
    subprocess.run(export_command(nsys, report, sqlite), check=True, capture_output=True)
    query = """SELECT value, count(*) FROM NVTX_EVENTS JOIN StringIds ON id = textId
               WHERE eventType = 59 GROUP BY value"""
    with closing(sqlite3.connect(sqlite)) as database:
        return dict(database.execute(query).fetchall())


@pytest.fixture
def mark() -> Iterator[str]:
    """A value for ADSCALE_MARK in the environment; what still has it in the end is killed."""
    value = str(uuid.uuid4())
    yield value
    for pid in marked(value):
        os.kill(pid, signal.SIGKILL)


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def marked(mark: str) -> dict[int, str]:
    """Command lines of the running processes whose environment holds the mark."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (folder / "environ").read_bytes():
                command = (folder / "cmdline").read_text()
                found[int(folder.name)] = command.replace("\0", " ")
        except OSError:
            continue
    return found


@pytest.mark.parametrize("trace_cuda", [False, True])
def test_records_the_ranges_and_passes_the_output_on(
    nsys: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], trace_cuda: bool
) -> None:
    output = tmp_path / "not yet there" / "50%p profile.nsys-rep"
    assert run_profiled(nsys, output, python(WITH_RANGES), trace_cuda=trace_cuda) == 0
    assert range_counts(nsys, output) == {"image": 5, "teacher": 5}
    printed = capfd.readouterr()
    assert "to stdout" in printed.out
    assert "to stderr" in printed.err
    assert [path.name for path in output.parent.glob("*.nsys-rep")] == [output.name]


def test_hands_the_exit_code_and_the_environment_on(nsys: Path, tmp_path: Path) -> None:
    program = python("import os, sys; sys.exit(int(os.environ['CODE']))")
    environment = {**os.environ, "CODE": "42"}
    output = tmp_path / "profile.nsys-rep"
    code = run_profiled(nsys, output, program, trace_cuda=False, environment=environment)
    assert code == 42


def test_a_killed_program_tells_its_signal(nsys: Path, tmp_path: Path) -> None:
    program = python("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    code = run_profiled(nsys, tmp_path / "profile.nsys-rep", program, trace_cuda=False)
    assert code == 128 + signal.SIGKILL


def test_replaces_what_is_there(nsys: Path, tmp_path: Path) -> None:
    output = tmp_path / "profile.nsys-rep"
    output.write_text("an old report")
    (tmp_path / ".profile.unfinished.nsys-rep").write_text("left by a killed run")
    assert run_profiled(nsys, output, python(WITH_RANGES), trace_cuda=False) == 0
    assert range_counts(nsys, output)["image"] == 5
    assert not (tmp_path / ".profile.unfinished.nsys-rep").exists()


def test_no_report_is_an_error_and_leaves_the_old_one(nsys: Path, tmp_path: Path) -> None:
    output = tmp_path / "profile.nsys-rep"
    output.write_text("an old report")
    with pytest.raises(CollectorError, match="exit code 1 and wrote no report"):
        run_profiled(nsys, output, [str(tmp_path / "no program")], trace_cuda=False)
    assert output.read_text() == "an old report"


def test_a_lying_nsys_that_writes_nothing_is_an_error(tmp_path: Path) -> None:
    liar = tmp_path / "nsys"
    liar.write_text("#!/bin/sh\nexit 0\n")
    liar.chmod(0o755)
    with pytest.raises(CollectorError, match="exit code 0 and wrote no report"):
        run_profiled(liar, tmp_path / "profile.nsys-rep", ["true"], trace_cuda=False)


def test_a_missing_nsys_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CollectorError, match="cannot record"):
        run_profiled(tmp_path / "absent", tmp_path / "p.nsys-rep", ["true"], trace_cuda=False)


def test_a_folder_that_cannot_be_made_is_an_error(nsys: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    with pytest.raises(CollectorError, match="cannot record"):
        run_profiled(nsys, blocked / "folder" / "p.nsys-rep", ["true"], trace_cuda=False)


def test_a_time_limit_ends_all_processes(nsys: Path, tmp_path: Path, mark: str) -> None:
    environment = {**os.environ, "ADSCALE_MARK": mark}
    output = tmp_path / "profile.nsys-rep"
    with pytest.raises(CollectorError, match="did not end in time"):
        run_profiled(
            nsys,
            output,
            python(LASTING, str(tmp_path / "ready")),
            trace_cuda=False,
            environment=environment,
            timeout_s=3,
        )
    wait_until(lambda: not marked(mark))
    assert not output.exists()


@pytest.mark.parametrize(
    ("signum", "temper", "code"),
    [
        (signal.SIGTERM, "obedient", 128 + signal.SIGTERM),
        (signal.SIGINT, "obedient", 128 + signal.SIGINT),
        (signal.SIGTERM, "stubborn", 128 + signal.SIGTERM),
        (signal.SIGKILL, "obedient", -signal.SIGKILL),
    ],
)
def test_a_signal_leaves_no_process_and_no_report(
    nsys: Path, tmp_path: Path, mark: str, signum: signal.Signals, temper: str, code: int
) -> None:
    environment = {**os.environ, "ADSCALE_MARK": mark, "PYTHONPATH": str(CHECKOUT)}
    output, ready = tmp_path / "profile.nsys-rep", tmp_path / "ready"
    output.write_text("an old report")
    command = python(RUN, str(nsys), str(output), *python(LASTING, str(ready), temper))
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        wait_until(ready.exists)
        assert any("sleep 300" in line for line in marked(mark).values())
        process.send_signal(signum)
        assert process.wait(DEADLINE_S) == code
    wait_until(lambda: not marked(mark))
    assert output.read_text() == "an old report"
    if signum != signal.SIGKILL:
        assert sorted(path.name for path in tmp_path.iterdir()) == ["profile.nsys-rep", "ready"]


def test_signal_handlers_are_put_back(nsys: Path, tmp_path: Path) -> None:
    def handler(*_: object) -> None: ...

    before = signal.signal(signal.SIGTERM, handler)
    try:
        run_profiled(nsys, tmp_path / "p.nsys-rep", ["true"], trace_cuda=False)
        assert signal.getsignal(signal.SIGTERM) is handler
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.nsys
def test_a_report_that_nsys_loses_in_seclusion_is_recorded_once_more(
    nsys: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    if seclusion() is None:
        pytest.skip("this Linux cannot seclude a program")
    losing = tmp_path / "nsys"
    losing.write_text(
        f'#!/bin/sh\n[ -e "{tmp_path}/lost" ] && exec "{nsys}" "$@"\ntouch "{tmp_path}/lost"\n'
    )
    losing.chmod(0o755)
    report = tmp_path / "a.nsys-rep"
    command = [sys.executable, "-c", "print('once')"]
    assert run_profiled(losing, report, command, trace_cuda=False) == 0
    assert report.stat().st_size > 0
    said = capfd.readouterr()
    assert said.out.splitlines().count("once") == 1
    assert "once more, not secluded" in said.err
