"""NVIDIA's driver, asked through its management library: NVML is started in this module alone.

``Gpu`` is what the rest of the package asks; everything that decides lies elsewhere.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol, TypeVar


class GpuError(Exception):
    """The driver does not tell, or does not do, what it was asked; the text says why."""


class Utilisation(NamedTuple):
    """The share of a GPU that a process used over the driver's last period."""

    pid: int
    time_us: int
    """End of that period."""
    share: float
    """Share of the period in which kernels of it ran, 0 to 1."""


class ComputeProcess(NamedTuple):
    """A process with a compute context on a GPU."""

    pid: int
    name: str | None
    used_bytes: int | None


class Gpu(Protocol):
    """One GPU, as a driver tells of it; every method raises GpuError where it does not."""

    def sm_clock_mhz(self) -> float:
        """Clock of the multiprocessors."""

    def memory_clock_mhz(self) -> float:
        """Clock of the memory."""

    def temperature_c(self) -> float:
        """Temperature of the chip."""

    def power_w(self) -> float:
        """Power of the board."""

    def slowdown_reasons(self) -> int:
        """NVML's bit mask of what holds the clocks down."""

    def energy_j(self) -> float:
        """Counter of energy, from any beginning."""

    def utilisation(self, since_us: int) -> Sequence[Utilisation]:
        """Use by each process, over the driver's periods that ended since then; maybe none."""

    def compute_processes(self) -> Sequence[ComputeProcess]:
        """Processes with a compute context, those of this run among them."""

    def supported_sm_clocks_mhz(self) -> Sequence[int]:
        """Clocks that it can be locked to."""

    def lock_sm_clock(self, mhz: int) -> None:
        """Locks the clock of the multiprocessors."""

    def unlock_sm_clock(self) -> None:
        """Leaves it to the driver."""


Value = TypeVar("Value")


@contextmanager
def open_gpu(uuid: str | None) -> Iterator[NvmlGpu]:
    """A GPU for as long as the block lasts.

    Args:
        uuid: of the GPU or of a part of one (MIG). torch writes the latter as it does the former,
            so that both kinds are looked for.

    Raises:
        GpuError: there is no driver, or no such GPU.
    """
    if uuid is None:
        raise GpuError("the UUID of the GPU is not known")
    with _started():
        yield NvmlGpu(_handle(uuid))


def driver_version() -> str | None:
    """Version of NVIDIA's driver, such as ``550.54.15``; None where there is none."""
    try:
        with _started():
            return str(_call("nvmlSystemGetDriverVersion"))
    except GpuError:
        return None


@contextmanager
def _started() -> Iterator[None]:
    """NVML, for as long as the block lasts."""
    try:
        import pynvml
    except ImportError:
        raise GpuError("the package nvidia-ml-py is not installed") from None
    _ask(pynvml.nvmlInit)
    try:
        yield
    finally:
        _ask(pynvml.nvmlShutdown)


class NvmlGpu:
    """A GPU as NVML shows it; see ``Gpu``.

    Of a MIG instance, clocks, temperature and what holds the clocks down are those of the GPU that
    it is a part of. Power and energy are those of all its instances together, and so not told.

    Args:
        handle: of the GPU or the MIG instance.
    """

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self._is_part = _is_part(handle)
        self._whole = handle
        if self._is_part:
            self._whole = _call("nvmlDeviceGetDeviceHandleFromMigDeviceHandle", handle)

    def sm_clock_mhz(self) -> float:
        """Clock of the multiprocessors."""
        return float(_call("nvmlDeviceGetClockInfo", self._whole, _constant("NVML_CLOCK_SM")))

    def memory_clock_mhz(self) -> float:
        """Clock of the memory."""
        return float(_call("nvmlDeviceGetClockInfo", self._whole, _constant("NVML_CLOCK_MEM")))

    def temperature_c(self) -> float:
        """Temperature of the chip."""
        sensor = _constant("NVML_TEMPERATURE_GPU")
        return float(_call("nvmlDeviceGetTemperature", self._whole, sensor))

    def power_w(self) -> float:
        """Power of the board; from Ampere on, except for the A100, the mean of a second."""
        self._refuse_part("power")
        return float(_call("nvmlDeviceGetPowerUsage", self._whole)) / 1e3

    def slowdown_reasons(self) -> int:
        """Bit mask of what holds the clocks down."""
        return int(_call("nvmlDeviceGetCurrentClocksEventReasons", self._whole))

    def energy_j(self) -> float:
        """Energy since the driver was loaded."""
        self._refuse_part("energy")
        return float(_call("nvmlDeviceGetTotalEnergyConsumption", self._whole)) / 1e3

    def utilisation(self, since_us: int) -> list[Utilisation]:
        """Use by each process, over the driver's periods that ended since then; maybe none."""
        import pynvml

        try:
            found = pynvml.nvmlDeviceGetProcessUtilization(self._handle, since_us)
        except pynvml.NVMLError as error:
            if error.value in {pynvml.NVML_ERROR_NOT_FOUND, pynvml.NVML_SUCCESS}:
                return []  # no period has ended since
            raise GpuError(f"NVML: {error}") from None
        return [Utilisation(one.pid, one.timeStamp, one.smUtil / 100) for one in found]

    def compute_processes(self) -> list[ComputeProcess]:
        """Processes with a compute context."""
        return [
            ComputeProcess(one.pid, _process_name(one.pid), one.usedGpuMemory)
            for one in _call("nvmlDeviceGetComputeRunningProcesses", self._handle)
        ]

    def supported_sm_clocks_mhz(self) -> Sequence[int]:
        """Clocks it can be locked to, at its highest memory clock."""
        memory_mhz = max(_call("nvmlDeviceGetSupportedMemoryClocks", self._whole), default=0)
        found: list[int] = _call("nvmlDeviceGetSupportedGraphicsClocks", self._whole, memory_mhz)
        return found

    def lock_sm_clock(self, mhz: int) -> None:
        """Locks the clock; needs the rights of an administrator."""
        self._refuse_part("a lock of clocks")
        _call("nvmlDeviceSetGpuLockedClocks", self._whole, mhz, mhz)

    def unlock_sm_clock(self) -> None:
        """Leaves the clock to the driver."""
        self._refuse_part("a lock of clocks")
        _call("nvmlDeviceResetGpuLockedClocks", self._whole)

    def _refuse_part(self, what: str) -> None:
        if self._is_part:
            raise GpuError(f"{what} is of the whole GPU, not of this MIG instance")


def _handle(uuid: str) -> Any:
    import pynvml

    _, _, number = uuid.partition("-")
    problem = f"NVML knows no GPU {uuid}"
    for name in dict.fromkeys((uuid, f"GPU-{number}", f"MIG-{number}")):
        try:
            return pynvml.nvmlDeviceGetHandleByUUID(name)
        except pynvml.NVMLError as error:
            problem = f"NVML: {error}" if name == uuid else problem
    raise GpuError(problem)


def _is_part(handle: Any) -> bool:
    try:
        answer = _call("nvmlDeviceIsMigDeviceHandle", handle)
    except GpuError:  # a driver from before MIG
        return False
    return bool(getattr(answer, "value", answer))  # some versions give a C number, always true


def _process_name(pid: int) -> str | None:
    try:
        name = _call("nvmlSystemGetProcessName", pid)
    except GpuError:
        return None
    return str(name) or None


def _call(function: str, *arguments: Any) -> Any:
    import pynvml

    asked = getattr(pynvml, function, None)
    if asked is None:
        raise GpuError(f"this version of nvidia-ml-py has no {function}")
    return _ask(lambda: asked(*arguments))


def _constant(name: str) -> int:
    import pynvml

    value: int = getattr(pynvml, name)
    return value


def _ask(ask: Callable[[], Value]) -> Value:
    import pynvml

    try:
        return ask()
    except pynvml.NVMLError as error:
        raise GpuError(f"NVML: {error}") from None


class ProcessMemory(NamedTuple):
    """Memory of a process on a GPU, and who told; both None where nobody does."""

    used_bytes: int | None
    source: str | None


def process_memory(uuid: str) -> ProcessMemory:
    """The memory of this process on a GPU (tensors, libraries, context), by NVML, else nvidia-smi.

    Neither tells under WSL, nor in a container with process numbers of its own.

    Args:
        uuid: of the GPU.
    """
    for ask, source in ((_by_nvml, "nvml"), (_by_nvidia_smi, "nvidia-smi")):
        used_bytes = ask(uuid)
        if used_bytes is not None:
            return ProcessMemory(used_bytes, source)
    return ProcessMemory(None, None)


def _by_nvml(uuid: str) -> int | None:
    try:
        with open_gpu(uuid) as gpu:
            mine = (one for one in gpu.compute_processes() if one.pid == os.getpid())
            return next((process.used_bytes for process in mine), None)
    except GpuError:  # no driver, or one that does not tell
        return None


def _by_nvidia_smi(uuid: str) -> int | None:
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    query = ["--query-compute-apps=pid,gpu_uuid,used_memory", "--format=csv,noheader,nounits"]
    try:
        table = subprocess.check_output([program, *query], text=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return None
    return used_by_process(table, os.getpid(), uuid)


def used_by_process(table: str, process_id: int, uuid: str) -> int | None:
    """Memory of a process on a GPU, in bytes.

    Args:
        table: what nvidia-smi prints: lines of process, UUID and MiB.
        process_id: of the process.
        uuid: of the GPU.
    """
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.split(",")]
        if cells[:2] == [str(process_id), uuid] and cells[2].isdecimal():
            return int(cells[2]) * 2**20
    return None
