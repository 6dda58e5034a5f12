"""The state of the machine from the measuring process to the verdict."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adscale.errors import DeviceError
from adscale.models import adapter, jsonable
from adscale.run_record import Machine
from analysis.machine import RunVerdict, judge, read_state
from analysis.statistics.steadiness import check_steadiness
from profiling.machine import cpu as cpu_module
from profiling.machine import watch as watch_module
from profiling.machine.cpu import CpuSource
from profiling.machine.nvml import Utilisation
from profiling.machine.watch import MOST_SAMPLES, MachineWatch, Sampler
from tests.profiling.gpus import OTHER, OURS, MadeUpGpu

STEADY_MS = list(np.random.default_rng(0).normal(10.0, 0.1, 100))
RECORDED = Path(__file__).parent / "recorded"
BURN = "import sys\nsys.stdout.write('x')\nsys.stdout.flush()\nwhile True: pass"


def checked(document: dict[str, Any]) -> dict[str, Any]:
    """The document in its JSON form, once the model of run.json has passed it."""
    data: dict[str, Any] = json.loads(json.dumps(document))
    assert jsonable(adapter(Machine).validate_python(data)) == data
    return data


def verdict(document: dict[str, Any], image_ms: list[float], device_type: str) -> RunVerdict:
    machine = adapter(Machine).validate_python(checked(document))
    state = read_state(machine, "run.json", "measure again")
    return judge(state, check_steadiness(np.array(image_ms)), device_type)


def measure_for(seconds: float) -> list[float]:
    """Times of a piece of work, one after the other, as a run has them."""
    matrix = np.random.default_rng(0).random((300, 300))
    times_ms = []
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        begin_s = time.perf_counter()
        for _ in range(5):
            matrix @ matrix
        times_ms.append((time.perf_counter() - begin_s) * 1e3)
    return times_ms


@contextmanager
def load_on_all_cpus() -> Iterator[None]:
    """A process per CPU that burns it."""
    burning = [
        subprocess.Popen([sys.executable, "-c", BURN], stdout=subprocess.PIPE)
        for _ in os.sched_getaffinity(0)
    ]
    try:
        for process in burning:
            assert process.stdout is not None
            process.stdout.read(1)
        yield
    finally:
        for process in burning:
            process.kill()
            process.communicate()


class SetSource:
    """A quantity that is set, and one that never has a value."""

    def __init__(self) -> None:
        self.unavailable: dict[str, str] = {}
        self.power_w = 0.0

    def sample(self) -> dict[str, float | None]:
        return {"power_w": self.power_w, "temperature_c": None}

    def restart(self) -> None:
        self.power_w = -1.0


def test_a_run_beside_a_load_is_shared() -> None:
    with load_on_all_cpus(), MachineWatch("cpu") as watch, watch.measuring():
        image_ms = measure_for(3.0)
    found = verdict(watch.as_dict(len(image_ms)), image_ms, "cpu")
    assert found.verdict == "shared"
    assert found.evidence.startswith("other processes used ")


class Replay:
    """Shows a source what /proc/stat and the run's own CPU time were, row after row.

    Args:
        rows: time in s, CPU time of the run in s, lines of /proc/stat for two CPUs.
    """

    def __init__(self, rows: list[list[Any]], proc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rows = rows
        self.proc = proc
        self.row = rows[0]
        (proc / "cpuinfo").touch()
        monkeypatch.setattr(cpu_module.time, "monotonic", lambda: self.row[0])

    def seconds(self) -> float:
        own_s: float = self.row[1]
        return own_s

    def look(self) -> None:
        pass

    def document(self) -> dict[str, Any]:
        self._set(self.rows[0])
        source = CpuSource(self, [0, 1], self.proc, self.proc)
        source.restart()
        shares = []
        for row in self.rows[1:]:
            self._set(row)
            shares.append(source.sample()["others_share"])
        times_ms = [(row[0] - self.rows[0][0]) * 1e3 for row in self.rows]
        return {
            "interval_ms": 100, "measured_ms": [0.0, times_ms[-1]], "idle_power_w": None,
            "samples": {"time_ms": times_ms[1:], "others_share": shares}, "energy": None,
            "unavailable": source.unavailable, "locked_sm_clock_mhz": None,
            "lock_problem": None, "foreign_processes": [],
        }  # fmt: skip

    def _set(self, row: list[Any]) -> None:
        self.row = row
        (self.proc / "stat").write_text("\n".join(row[2]) + "\n")


def two_cpus(own_share: float, others_share: float, seconds: float = 4.0) -> list[list[Any]]:
    """Rows of a machine whose ticks are counted up to one too early or too late on each CPU."""
    drawn = np.random.default_rng(0)
    rows = []
    for time_s in np.arange(0.0, seconds, 0.1):
        busy = (own_share + others_share) * time_s * os.sysconf("SC_CLK_TCK")
        ticks = [int(busy + drawn.uniform(-1, 1)) + 1000 for _ in range(2)]
        lines = [f"cpu{cpu} {count} 0 0 0 0 0 0 0 0 0" for cpu, count in enumerate(ticks)]
        rows.append([float(time_s), 2 * own_share * float(time_s), lines])
    return rows


@pytest.mark.parametrize(
    ("own_share", "others_share", "shared"),
    [(1.0, 0.0, False), (0.5, 0.0, False), (0.95, 0.03, False), (0.5, 0.1, True), (0.4, 0.6, True)],
)
def test_a_run_is_shared_if_others_work_and_not_else(
    own_share: float, others_share: float, shared: bool, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    document = Replay(two_cpus(own_share, others_share), tmp_path, monkeypatch).document()
    mean = np.mean([value for value in document["samples"]["others_share"] if value is not None])
    assert mean == pytest.approx(others_share, abs=0.01)
    assert (verdict(document, STEADY_MS, "cpu").verdict == "shared") == shared


def test_a_recorded_run_beside_a_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four seconds of matrix products on two cores of an AMD EPYC beside two processes that burn.

    By the counters at begin and end, others used 84 % of the cores.
    """
    data = json.loads((RECORDED / "loaded.json").read_text())
    found = verdict(Replay(data["rows"], tmp_path, monkeypatch).document(), data["image_ms"], "cpu")
    assert found.verdict == "shared"
    assert found.evidence.startswith("other processes used 84% of the device on average")


def test_a_short_measurement_has_a_sample_too() -> None:
    with MachineWatch("cpu") as watch, watch.measuring():
        time.sleep(0.4)
    document = checked(watch.as_dict(1))
    begin_ms, end_ms = document["measured_ms"]
    assert document["samples"]["time_ms"][-1] == pytest.approx(end_ms, abs=0.001)
    assert end_ms - begin_ms >= 400
    if "others_share" not in document["unavailable"]:
        assert document["samples"]["others_share"][-1] is not None


def test_where_nothing_was_measured() -> None:
    with MachineWatch("cpu") as watch:
        pass
    assert checked(watch.as_dict(0))["measured_ms"] is None


def test_an_error_within_ends_the_thread_and_keeps_what_was_seen() -> None:
    watch = MachineWatch("cpu")
    with pytest.raises(MemoryError), watch, watch.measuring():
        raise MemoryError
    assert not watch._sampler._thread.is_alive()
    assert checked(watch.as_dict(0))["measured_ms"] is not None


def test_long_measurements_are_thinned_evenly() -> None:
    """Here the quantity is the time itself."""
    source = SetSource()
    sampler = Sampler(source)
    assert sampler.interval_ms == 100
    while source.power_w < 700_000:
        sampler.sample()
        source.power_w += sampler.interval_ms
    assert sampler.interval_ms == 400
    samples = sampler.as_dict()
    assert 700_000 / 400 <= len(samples["time_ms"]) <= MOST_SAMPLES
    assert set(np.diff(samples["power_w"])) == {400}
    assert "temperature_c" not in samples
    sampler.restart()
    sampler.sample()
    assert sampler.as_dict()["power_w"][-1] == -1


@pytest.mark.parametrize("uuid", [None, "GPU-00000000-0000-0000-0000-000000000000"])
def test_a_gpu_that_nobody_tells_of(uuid: str | None) -> None:
    watch = MachineWatch("cuda", uuid, lock_clocks=1410, foreign_processes="error")
    with watch, watch.measuring():
        pass
    document = checked(watch.as_dict(0))
    assert set(document["samples"]) == {"time_ms"}
    assert {"sm_clock_mhz", "others_share", "energy"} <= set(document["unavailable"])
    assert document["lock_problem"].startswith("1410 MHz could not be locked: ")


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> MadeUpGpu:
    """A made-up GPU in place of the layer to NVIDIA's library."""
    made_up = MadeUpGpu()

    @contextmanager
    def opened(uuid: str | None) -> Iterator[MadeUpGpu]:
        yield made_up
        made_up.closed = True

    monkeypatch.setattr(watch_module, "open_gpu", opened)
    return made_up


def on_made_up_gpu(gpu: MadeUpGpu, seconds: float = 0.35) -> dict[str, Any]:
    with MachineWatch("cuda", "GPU-1") as watch, watch.measuring():
        soon_us = time.time_ns() // 1000 + 60_000_000
        gpu.periods = [Utilisation(OURS.pid, soon_us, 0.9), *gpu.periods]
        time.sleep(seconds)
    return watch.as_dict(100)


@pytest.mark.parametrize("first_namespace", [True, False])
def test_a_gpu_is_not_asked_once_it_is_closed(
    first_namespace: bool, gpu: MadeUpGpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("profiling.machine.gpu.in_first_namespace", lambda: first_namespace)
    gpu.processes = [OURS, OTHER]
    (found,) = on_made_up_gpu(gpu)["foreign_processes"]
    assert gpu.closed
    assert (found["pid"], found["seen"]) == (OTHER.pid, "throughout")


def test_a_steady_gpu(gpu: MadeUpGpu) -> None:
    document = on_made_up_gpu(gpu)
    found = verdict(document, STEADY_MS, "cuda")
    assert found.verdict == "steady"
    assert found.evidence.startswith("SM clock 1410 to 1410 MHz; used by others 0 to 0 %")
    assert found.remarks == ()
    assert document["energy"]["joules"] == 300.0
    assert document["idle_power_w"] == 55.5


def test_a_gpu_that_is_too_hot(gpu: MadeUpGpu, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "slowdown_reasons", lambda: 0x20)
    found = verdict(on_made_up_gpu(gpu), STEADY_MS, "cuda")
    assert found.verdict == "throttled"
    assert found.evidence.startswith("heat held the clocks down in ")


def test_a_gpu_that_others_use(gpu: MadeUpGpu) -> None:
    gpu.periods = [Utilisation(OTHER.pid, time.time_ns() // 1000 + 60_000_000, 0.4)]
    assert verdict(on_made_up_gpu(gpu), STEADY_MS, "cuda").verdict == "shared"


def test_a_refused_run_leaves_no_thread(gpu: MadeUpGpu) -> None:
    gpu.processes = [OTHER]
    with pytest.raises(DeviceError), MachineWatch("cuda", "GPU-1", foreign_processes="error"):
        pass
    gpu.processes = [OURS]
    watch = MachineWatch("cuda", "GPU-1", foreign_processes="error")
    with pytest.raises(DeviceError), watch, watch.measuring():
        gpu.processes = [OURS, OTHER]
    assert not watch._sampler._thread.is_alive()


def test_an_error_of_the_measurement_comes_before_others_on_the_gpu(gpu: MadeUpGpu) -> None:
    watch = MachineWatch("cuda", "GPU-1", foreign_processes="error")

    def measure() -> None:
        gpu.processes = [OTHER]
        raise MemoryError

    with pytest.raises(MemoryError), watch, watch.measuring():
        measure()
