"""Quantities of CPUs, from recorded and made-up contents of /proc and /sys."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from profiling.machine import cpu as module
from profiling.machine.cpu import CpuSource, OwnTime
from profiling.processes import MARK

STAT = """\
cpu  {0} 0 {1} 9000000 0 0 0 {2} 0 0
cpu0 {0} 7 {1} 1020940 7997 0 435 {2} 0 0
cpu1 1691611 21792 210947 633947 14727 0 4239 2391 0 0
intr 25677148 0 0 0
"""
TICK_S = 1 / os.sysconf("SC_CLK_TCK")

AMD_IN_A_VIRTUAL_MACHINE = """\
processor\t: 0
model name\t: AMD EPYC
cpu MHz\t\t: 2596.136
flags\t\t: fpu vme rdrand hypervisor lahf_lm

processor\t: 1
model name\t: AMD EPYC
cpu MHz\t\t: 2596.136
flags\t\t: fpu vme rdrand hypervisor lahf_lm
"""
BARE = AMD_IN_A_VIRTUAL_MACHINE.replace("hypervisor ", "").replace("2596.136", "3400.5", 1)


class Run:
    """CPU time of a run, as set."""

    def __init__(self) -> None:
        self.own_s = 5.0
        self.looked = 0

    def seconds(self) -> float:
        return self.own_s

    def look(self) -> None:
        self.looked += 1


class Machine:
    """A folder like /proc and one like /sys/devices/system/cpu, and a clock, all set by hand."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.proc, self.cpu_folder = folder / "proc", folder / "cpu"
        self.proc.mkdir()
        self.run = Run()
        self.now_s, self.user, self.system, self.steal = 100.0, 1_354_061, 175_797, 2283
        self.write()
        (self.proc / "cpuinfo").write_text(AMD_IN_A_VIRTUAL_MACHINE)
        monkeypatch.setattr(module.time, "monotonic", lambda: self.now_s)

    def write(self) -> None:
        (self.proc / "stat").write_text(STAT.format(self.user, self.system, self.steal))

    def source(self, *cpus: int) -> CpuSource:
        return CpuSource(self.run, cpus, self.proc, self.cpu_folder)

    def passes(
        self, seconds: float, own: float, user: int = 0, system: int = 0, steal: int = 0
    ) -> None:
        self.now_s += seconds
        self.run.own_s += own
        self.user, self.system, self.steal = (
            self.user + user, self.system + system, self.steal + steal,
        )  # fmt: skip
        self.write()


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def share(source: CpuSource) -> float | None:
    return source.sample()["others_share"]


def test_others_are_what_is_busy_less_what_is_ours(machine: Machine) -> None:
    source = machine.source(0)
    source.restart()
    machine.passes(1.0, own=0.5, user=60, system=15, steal=5)
    assert share(source) == pytest.approx(80 * TICK_S - 0.5, abs=1e-4)


def test_of_two_cpus_it_is_the_share_of_both(machine: Machine) -> None:
    source = machine.source(0, 1)
    source.restart()
    machine.passes(1.0, own=0.2, user=60)
    assert share(source) == pytest.approx((60 * TICK_S - 0.2) / 2, abs=1e-4)


def test_a_cpu_that_the_process_may_not_use_does_not_count(machine: Machine) -> None:
    source = machine.source(1)
    source.restart()
    machine.passes(1.0, own=0.0, user=100)
    assert share(source) == 0.0


def test_of_an_undisturbed_run_the_ticks_cancel_out(machine: Machine) -> None:
    """All of a CPU is ours; each tick is counted up to two too early or too late."""
    source = machine.source(0)
    source.restart()
    late = random.Random(1)
    begin, shares = machine.user, []
    for index in range(1, 400):
        counted = begin + round(12.5 * index) + late.randint(-2, 2)
        machine.passes(0.125, own=0.125, user=counted - machine.user)
        shares.append(share(source))
    known = [value for value in shares if value is not None]
    assert len(known) == 398  # a quarter of a second is the least
    assert min(known) < 0 < max(known)
    assert max(known[2:]) <= 0.09  # four ticks and a rounded one in half a second
    assert sum(known) / len(known) == pytest.approx(0.0, abs=0.005)


def test_a_burst_lasts_for_the_window_and_no_longer(machine: Machine) -> None:
    source = machine.source(0)
    source.restart()
    for _ in range(10):
        machine.passes(0.125, own=0.0)
        share(source)
    machine.passes(0.125, own=0.0, user=10)
    shares = [share(source)]
    for _ in range(4):
        machine.passes(0.125, own=0.0)
        shares.append(share(source))
    assert shares == [pytest.approx(0.2, abs=1e-3)] * 4 + [0.0]


def test_the_measured_images_do_not_pay_for_what_went_before(machine: Machine) -> None:
    source = machine.source(0)
    machine.passes(10.0, own=0.0, user=1000)
    source.restart()
    assert machine.run.looked == 1
    assert share(source) is None
    machine.passes(0.2, own=0.2, user=20)
    assert share(source) is None
    machine.passes(0.1, own=0.1, user=10)
    assert share(source) == pytest.approx(0.0, abs=1e-4)


def test_a_cpu_that_is_not_shown_is_a_reason(machine: Machine) -> None:
    source = machine.source(0, 7)
    assert "does not show these CPUs" in source.unavailable["others_share"]
    assert "others_share" not in source.sample()


def test_the_frequency_of_a_virtual_machine_is_no_frequency(machine: Machine) -> None:
    source = machine.source(0, 1)
    assert "fixed 2596 MHz" in source.unavailable["cpu_frequency_mhz"]
    assert "cpu_frequency_mhz" not in source.sample()


@pytest.mark.parametrize(("cpus", "expected"), [((0, 1), 3400.5), ((1,), 2596.136)])
def test_the_highest_frequency_of_the_list_of_processors(
    cpus: tuple[int, ...], expected: float, machine: Machine
) -> None:
    (machine.proc / "cpuinfo").write_text(BARE)
    assert machine.source(*cpus).sample()["cpu_frequency_mhz"] == expected


def test_the_frequency_driver_comes_first_and_may_fail_for_once(machine: Machine) -> None:
    for number, khz in enumerate((1_800_000, 3_500_000, 4_000_000)):
        folder = machine.cpu_folder / f"cpu{number}" / "cpufreq"
        folder.mkdir(parents=True)
        (folder / "scaling_cur_freq").write_text(f"{khz}\n")
    source = machine.source(0, 1)
    assert source.unavailable == {}
    assert source.sample()["cpu_frequency_mhz"] == 3500.0
    (machine.cpu_folder / "cpu1" / "cpufreq" / "scaling_cur_freq").write_text("<unknown>\n")
    assert source.sample()["cpu_frequency_mhz"] == 1800.0
    (machine.cpu_folder / "cpu0" / "cpufreq" / "scaling_cur_freq").unlink()
    assert source.sample()["cpu_frequency_mhz"] is None


def test_processors_that_tell_no_frequency_are_a_reason(machine: Machine) -> None:
    (machine.proc / "cpuinfo").write_text("processor\t: 0\nBogoMIPS\t: 50.00\n")
    assert "neither" in machine.source(0).unavailable["cpu_frequency_mhz"]


BURN = "import time\nwhile time.process_time() < 0.4: pass\n"


def test_a_child_that_ended_is_ours_and_so_is_what_carries_the_mark(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(MARK, "of-this-test")
    own = OwnTime()
    before = own.seconds()
    child = subprocess.Popen(
        [sys.executable, "-c", BURN + "input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    deadline = time.monotonic() + 60
    while own.seconds() - before < 0.4 and time.monotonic() < deadline:
        own.look()
        time.sleep(0.05)
    alive = own.seconds() - before
    assert alive >= 0.39  # in ticks of 10 ms
    child.communicate(b"\n", timeout=30)
    assert own.seconds() - before == pytest.approx(alive, abs=0.3)  # and not twice


def test_a_stranger_is_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MARK, "of-this-test")
    environment = {**os.environ, MARK: "of-another-run"}
    child = subprocess.Popen([sys.executable, "-c", BURN + "input()"], env=environment,
                             stdin=subprocess.PIPE)  # fmt: skip
    own = OwnTime()
    before, began = own.seconds(), time.process_time()
    time.sleep(1.0)
    own.look()
    assert own.seconds() - before == pytest.approx(time.process_time() - began, abs=0.02)
    child.communicate(b"\n", timeout=30)
