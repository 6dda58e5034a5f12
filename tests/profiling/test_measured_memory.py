"""What is read when, on a GPU's memory kept in a ledger; and what Linux and NVIDIA print."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from profiling.annotation import RangeRecorder
from profiling.machine.nvml import (
    ProcessMemory,
    driver_version,
    process_memory,
    used_by_process,
)
from profiling.measured_memory import MemoryWatch, Resident, resident

CONTEXT_BYTES = 500


class Ledger:
    """Memory of a GPU: tensors, what is kept of them once they are gone, and the rest."""

    def __init__(self, *, told: bool = True) -> None:
        self.allocated = self.reserved = self.peak_allocated = self.peak_reserved = 0
        self.outside = CONTEXT_BYTES
        self.told = told
        self.pending = 0

    def launch(self, size: int) -> None:
        """A tensor that is there once the GPU has been waited for."""
        self.pending += size

    def take(self, size: int) -> None:
        self.allocated += size
        self.reserved = max(self.reserved, self.allocated)
        self.peak_allocated = max(self.peak_allocated, self.allocated)
        self.peak_reserved = max(self.peak_reserved, self.reserved)

    def free(self, size: int) -> None:
        self.allocated -= size

    def synchronize(self) -> None:
        self.take(self.pending)
        self.pending = 0

    def reset_peaks(self) -> None:
        self.peak_allocated, self.peak_reserved = self.allocated, self.reserved

    def allocated_bytes(self) -> int:
        return self.allocated

    def reserved_bytes(self) -> int:
        return self.reserved

    def peak_allocated_bytes(self) -> int:
        return self.peak_allocated

    def peak_reserved_bytes(self) -> int:
        return self.peak_reserved

    def process_memory(self) -> ProcessMemory:
        if not self.told:
            return ProcessMemory(None, None)
        return ProcessMemory(self.reserved + self.outside, "nvml")

    def cublas_workspace_bytes(self) -> int | None:
        return 8 if self.told else None


def built(ledger: Ledger) -> MemoryWatch:
    """A method of 100 bytes, and a library that takes 1500 with it."""
    watch = MemoryWatch(ledger)
    watch.begin()
    with watch.moving():
        ledger.launch(100)
        ledger.outside += 1500
    return watch


def gpu(watch: MemoryWatch) -> dict[str, Any]:
    found: dict[str, Any] = watch.as_dict()["gpu"]
    return found


def test_context_weights_and_what_a_library_takes_are_told_apart() -> None:
    found = gpu(built(Ledger()))
    assert found["context_bytes"] == CONTEXT_BYTES
    assert found["built_allocated_bytes"] == 100
    assert found["moved_outside_bytes"] == 1500


def test_each_submodule_has_its_own_peak_and_the_run_the_largest() -> None:
    ledger = Ledger()
    watch = built(ledger)
    ledger.take(900)  # a first image needs more, as when algorithms are chosen
    ledger.free(900)
    recorder = RangeRecorder()
    annotate = watch.by_submodule(recorder)
    with annotate("copy_to_device"):
        ledger.launch(12)
    with annotate("image"):
        with annotate("teacher"):
            ledger.take(80)
            ledger.free(60)
        with annotate("student"):
            ledger.take(30)
            with annotate("step"):
                ledger.launch(40)
    watch.end()
    found = gpu(watch)
    assert found["submodules"] == [
        {
            "submodule": "teacher",
            "begin_allocated_bytes": 112,
            "peak_allocated_bytes": 192,
            "peak_reserved_bytes": 1000,
        },
        {
            "submodule": "student",
            "begin_allocated_bytes": 132,
            "peak_allocated_bytes": 202,
            "peak_reserved_bytes": 1000,
        },
    ]
    assert found["peak_allocated_bytes"] == 1000
    assert found["peak_reserved_bytes"] == 1000
    assert found["process_bytes"] == 1000 + CONTEXT_BYTES + 1500
    assert found["outside_allocator_bytes"] == CONTEXT_BYTES + 1500
    assert found["process_source"] == "nvml"
    names = ["copy_to_device", "teacher", "step", "student", "image"]
    assert [one.name for one in recorder.ranges] == names, "ranges are recorded all the same"


def test_of_a_submodule_that_is_called_again_the_largest_peak_stands() -> None:
    ledger = Ledger()
    watch = built(ledger)
    annotate = watch.by_submodule(RangeRecorder())
    with annotate("image"):
        for size in (70, 20):
            with annotate("unet"):
                ledger.take(size)
                ledger.free(size)
    (row,) = gpu(watch)["submodules"]
    assert row["peak_allocated_bytes"] == 170


def test_a_peak_that_a_reset_would_forget_is_the_runs() -> None:
    ledger = Ledger()
    watch = built(ledger)
    annotate = watch.by_submodule(RangeRecorder())
    with annotate("image"):
        for size in (500, 20):
            with annotate(f"part{size}"):
                ledger.take(size)
                ledger.free(size)
    watch.end()
    assert gpu(watch)["peak_allocated_bytes"] == 600


def test_what_the_driver_does_not_tell_is_none() -> None:
    watch = built(Ledger(told=False))
    watch.end()
    found = gpu(watch)
    for name in ("context_bytes", "moved_outside_bytes", "process_bytes", "process_source"):
        assert found[name] is None
    assert found["outside_allocator_bytes"] is None
    assert found["built_allocated_bytes"] == 100


def test_a_run_that_has_not_begun_has_measured_nothing() -> None:
    found = gpu(MemoryWatch(Ledger()))
    measured = {name for name, value in found.items() if value is not None}
    assert measured == {"context_bytes", "cublas_workspace_bytes"}
    assert MemoryWatch(Ledger()).as_dict()["host"]["peak_bytes"] is None


def test_on_a_cpu_the_process_is_watched_and_ranges_pass_through() -> None:
    recorder = RangeRecorder()
    watch = MemoryWatch(None)
    watch.begin()
    with watch.moving():
        kept = torch.ones(2**24)
    assert watch.by_submodule(recorder) is recorder
    watch.end()
    found = watch.as_dict()
    assert found["gpu"] is None
    host = found["host"]
    if resident().peak_bytes == host["peak_before_build_bytes"]:
        pytest.skip("this process has had more than it has now")
    assert host["peak_bytes"] - host["resident_before_build_bytes"] >= 0.9 * kept.nbytes


STATUS = """Name:\tpython
VmPeak:\t 9000000 kB
VmHWM:\t    2048 kB
VmRSS:\t    1024 kB
Threads:\t2
"""


def test_the_process_as_linux_tells_it(tmp_path: Path) -> None:
    file = tmp_path / "status"
    file.write_text(STATUS)
    assert resident(file) == Resident(2**20, 2**21)
    file.write_text("Name:\tkthreadd\nThreads:\t1\n")
    assert resident(file) == Resident(None, None)
    assert resident(tmp_path / "absent") == Resident(None, None)


SMI = """\
1211, GPU-a4f1e6a2-1111-2222-3333-444455556666, 3022
1342, GPU-a4f1e6a2-1111-2222-3333-444455556666, 1530
1342, GPU-b0000000-1111-2222-3333-444455556666, 7
1500, GPU-a4f1e6a2-1111-2222-3333-444455556666, [N/A]
"""


def test_the_process_as_nvidia_smi_tells_it() -> None:
    uuid = "GPU-a4f1e6a2-1111-2222-3333-444455556666"
    assert used_by_process(SMI, 1342, uuid) == 1530 * 2**20
    assert used_by_process(SMI, 1500, uuid) is None
    assert used_by_process(SMI, 134, uuid) is None
    assert used_by_process("", 1342, uuid) is None


@pytest.mark.skipif(torch.cuda.is_available(), reason="here a driver may tell")
def test_without_a_driver_nobody_tells() -> None:
    assert process_memory("GPU-a4f1e6a2-1111-2222-3333-444455556666") == ProcessMemory(None, None)


class MadeUpNvml(ModuleType):
    """The library with one GPU, on which this process and another compute."""

    class NVMLError(Exception):
        """As the library raises it."""

    def __init__(self) -> None:
        super().__init__("pynvml")
        self.started = 0
        self.fails = ""

    def __getattr__(self, name: str) -> Any:
        processes = [(1, 7), (os.getpid(), 1530)]
        answers = {
            "nvmlInit": lambda: self._count(1),
            "nvmlShutdown": lambda: self._count(-1),
            "nvmlSystemGetDriverVersion": lambda: "550.54.15",
            "nvmlSystemGetProcessName": str,
            "nvmlDeviceGetHandleByUUID": str,
            "nvmlDeviceIsMigDeviceHandle": lambda _handle: 0,
            "nvmlDeviceGetComputeRunningProcesses": lambda _handle: [
                SimpleNamespace(pid=pid, usedGpuMemory=used) for pid, used in processes
            ],
        }
        if name not in answers:
            raise AttributeError(name)
        return self._fail if name == self.fails else answers[name]

    def _fail(self, *_arguments: object) -> None:
        raise self.NVMLError(self.fails)

    def _count(self, change: int) -> None:
        self.started += change


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> MadeUpNvml:
    made_up = MadeUpNvml()
    monkeypatch.setitem(sys.modules, "pynvml", made_up)
    monkeypatch.setenv("PATH", "")  # no nvidia-smi
    return made_up


def test_the_process_and_the_driver_as_nvml_tells_them(nvml: MadeUpNvml) -> None:
    assert process_memory("GPU-a4f1e6a2") == ProcessMemory(1530, "nvml")
    assert driver_version() == "550.54.15"
    assert nvml.started == 0  # as often ended as begun


def test_what_nvml_does_not_tell_is_none(nvml: MadeUpNvml) -> None:
    nvml.fails = "nvmlDeviceGetComputeRunningProcesses"
    assert process_memory("GPU-a4f1e6a2") == ProcessMemory(None, None)
    nvml.fails = "nvmlSystemGetDriverVersion"
    assert driver_version() is None
    assert nvml.started == 0
