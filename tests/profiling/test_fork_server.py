"""Processes that are forked: as alone as those that are started, and gone with their study."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adscale.request import RunRequest, Sampling
from adscale.resolution import square
from adscale.variant import Variant
from profiling.forked import connect
from profiling.forks import ForkServer, can_be_forked
from profiling.launcher import measured_environment
from profiling.lock import measurement_lock
from tests.profiling.running import record
from tests.study_requests import plain_request

REQUEST = plain_request(
    Sampling(1, 2, 2, None), resolution=square(256), threads=2, device_type="cpu", collector="none"
)


@pytest.fixture(scope="module")
def study() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


@pytest.fixture(scope="module")
def server(study: subprocess.Popen[bytes]) -> ForkServer:
    return ForkServer(study.pid, 1, measured_environment(REQUEST, os.environ))


def start(server: ForkServer, *arguments: str, **options: object) -> subprocess.Popen[str]:
    program = server.program()
    assert program is not None
    return subprocess.Popen(
        [*program, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, **options,
    )  # type: ignore[call-overload,no-any-return]  # fmt: skip


def server_process(server: ForkServer) -> int:
    with connect(server.name) as connection:
        told = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    process: int = struct.unpack("3i", told)[0]
    return process


def children(process: int) -> list[int]:
    return [*map(int, Path(f"/proc/{process}/task/{process}/children").read_text().split())]


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


@pytest.fixture
def waiting(server: ForkServer, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A forked process that waits for its device, with what stands in for it."""
    environment = {**server.environment, "ADSCALE_LOCK_FOLDER": str(tmp_path)}
    with measurement_lock("cpu", "this test", tmp_path):
        arguments = ["measure", "--forked", "--request", REQUEST.as_json(), "--out", str(tmp_path)]
        with start(server, *arguments, env=environment) as stand_in:
            assert stand_in.stderr is not None
            assert "waiting for the measurement of this test" in stand_in.stderr.readline()
            (child,) = children(server_process(server))
            yield stand_in, child


def test_environment_folder_streams_and_exit_code_are_those_of_who_asks(
    server: ForkServer, tmp_path: Path
) -> None:
    command = Path(sys.executable).resolve()
    environment = {**server.environment, "ADSCALE_NSYS": str(command)}
    told, _ = start(server, "environment", env=environment).communicate()
    assert json.loads(told)["nsys"] == str(command)
    lost = start(server, "export", "absent.nsys-rep", "-o", "x.sqlite", cwd=tmp_path)
    _, said = lost.communicate()
    assert (lost.returncode, said.count("\n")) == (2, 1)
    assert said.startswith("error: absent.nsys-rep: no such file")


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL])
def test_a_process_that_a_signal_ends_takes_nothing_with_it(
    waiting: tuple[subprocess.Popen[str], int], server: ForkServer, number: signal.Signals
) -> None:
    stand_in, child = waiting
    before = server_process(server)
    os.kill(child, number)
    assert stand_in.wait(60) == -number
    assert server_process(server) == before


def test_a_signal_reaches_the_forked_process(waiting: tuple[subprocess.Popen[str], int]) -> None:
    stand_in, child = waiting
    stand_in.terminate()
    assert stand_in.wait(60) == -signal.SIGTERM
    assert not Path(f"/proc/{child}").exists()


def test_it_ends_with_what_stands_in_for_it(
    waiting: tuple[subprocess.Popen[str], int], server: ForkServer
) -> None:
    stand_in, _ = waiting
    stand_in.kill()
    wait_until(lambda: not children(server_process(server)))


def test_each_process_of_a_run_comes_from_a_server_of_its_own(server: ForkServer) -> None:
    others = [
        dataclasses.replace(server, process=2),
        dataclasses.replace(server, study=os.getpid()),
        dataclasses.replace(server, environment={**server.environment, "OMP_NUM_THREADS": "1"}),
    ]
    assert len({one.name for one in [server, *others]}) == 4
    changing = {**server.environment, "TMPDIR": "/elsewhere", "ADSCALE_RUN": "x"}
    assert dataclasses.replace(server, environment=changing).name == server.name


def test_a_server_ends_with_its_study_and_not_before_its_last_measurement() -> None:
    study = subprocess.Popen(["sleep", "600"])
    server = ForkServer(study.pid, 1, measured_environment(REQUEST, os.environ))
    assert server.program() is not None
    process = server_process(server)
    with start(server, "environment") as last:
        assert last.stdout is not None
        wait_until(lambda: bool(children(process)))
        study.kill()
        study.wait()
        assert json.loads(last.stdout.read())["torch"]
    wait_until(lambda: os.waitpid(process, os.WNOHANG) != (0, 0))
    assert server.program() is None, "there is no such study any more"


@pytest.mark.parametrize(
    "changes",
    [
        {"device_type": "cuda"},
        {"target": "examples.small_autoencoder:SmallAutoencoder", "settings": {}},
        {"target": "anomalib:Padim", "settings": {}},
        {"container": f"sha256:{'0' * 64}"},
        {"variant": Variant.of("optimized-fp32-openvino")},
    ],
)
def test_the_code_of_a_user_an_engine_a_gpu_and_a_container_start_anew(
    changes: dict[str, object],
) -> None:
    assert can_be_forked(REQUEST)
    assert not can_be_forked(dataclasses.replace(REQUEST, **changes))  # type: ignore[arg-type]


def measure(
    request: RunRequest, folder: Path, environment: dict[str, str], *more: str
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "profiling", "run", "--request", request.as_json(), *more]
    return subprocess.run(
        [*command, "--out", str(folder)], env=environment, capture_output=True, text=True
    )


@pytest.mark.parametrize(
    "collector",
    [
        pytest.param("none", marks=pytest.mark.slow),
        pytest.param("nsys", marks=pytest.mark.nsys),
    ],
)
def test_a_forked_measurement_is_complete_and_takes_the_memory_of_one_that_was_started(
    study: subprocess.Popen[bytes], checkout_environment: dict[str, str], tmp_path: Path,
    collector: str,
) -> None:  # fmt: skip
    request = dataclasses.replace(REQUEST, collector=collector)
    name = "latency.json" if collector == "none" else "run.json"
    found = []
    for folder, more in (("started", []), ("forked", ["--study", str(study.pid)])):
        done = measure(request, tmp_path / folder, checkout_environment, *more)
        assert done.returncode == 0, done.stderr
        found.append(record(tmp_path / folder, name))
    assert [one["forked"] for one in found] == [False, True]
    assert [one["sampling"]["measured_images"] for one in found] == [2, 2]
    started, forked = (one["memory"]["host"] for one in found)
    for key in ("resident_before_build_bytes", "peak_bytes"):
        assert forked[key] == pytest.approx(started[key], rel=0.05)
    if collector == "nsys":
        sqlite = tmp_path / "profile.sqlite"
        report = tmp_path / "forked/profile.nsys-rep"
        command = [sys.executable, "-m", "profiling", "export", str(report), "-o", str(sqlite)]
        subprocess.run(command, env=checkout_environment, check=True)
        from tests.profiling.running import EMPTY_RANGES, ranges

        image = ["load", "prepare", "image", *["teacher", "student", "autoencoder", "anomaly_map"]]
        names = [name for name, _, _ in ranges(sqlite)]
        assert names == ["warmup", *image, "measure", *image, *image, *EMPTY_RANGES]
