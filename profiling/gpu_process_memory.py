"""The memory that this process has on a GPU, by NVIDIA's driver: tensors, libraries, context."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import NamedTuple


class ProcessMemory(NamedTuple):
    """Memory of a process on a GPU, and who told; both None where nobody does."""

    used_bytes: int | None
    source: str | None


def process_memory(uuid: str) -> ProcessMemory:
    """Asks NVML, else nvidia-smi.

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
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
        try:
            device = pynvml.nvmlDeviceGetHandleByUUID(uuid)
            for process in pynvml.nvmlDeviceGetComputeRunningProcesses(device):
                if process.pid == os.getpid():
                    used: int | None = process.usedGpuMemory
                    return used
        finally:
            pynvml.nvmlShutdown()
    except pynvml.NVMLError:  # no driver, or one that does not tell
        pass
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
