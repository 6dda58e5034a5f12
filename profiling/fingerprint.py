"""The fingerprint of a run: its hardware and its software."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

import adscale
from adscale.devices import cpu_quota

from .machine.nvml import driver_version


def hardware(device_type: str) -> dict[str, Any]:
    """CPU, memory and, on a CUDA device, the GPU; for ``run.json``."""
    return {
        "cpu_model": cpu_model(),
        "cpu_count": len(os.sched_getaffinity(0)),
        "cpus": cpu_list(os.sched_getaffinity(0)),
        "online_cpus": os.cpu_count() or 1,
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "gpu": _gpu() if device_type == "cuda" else None,
        "cpu_quota": cpu_quota(),
    }


def hardware_name(device_type: str) -> str:
    """Name of the GPU that torch uses, or model of the CPU."""
    if device_type == "cpu":
        return cpu_model()
    name: str = torch.cuda.get_device_properties(0).name
    return name


def software(nsys_version: str | None) -> dict[str, str | None]:
    """Versions; None where the part is absent; for ``run.json``."""
    cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call] # None without one
    return {
        "adscale": adscale.__version__,
        "python": platform.python_version(),
        "os": _os_name(),
        "torch": str(torch.__version__),
        "numpy": _version("numpy"),
        "nvtx": _version("nvtx"),
        "nsys": nsys_version,
        "cuda": torch.version.cuda,
        "cudnn": None if cudnn is None else str(cudnn),
    }


def cpu_list(numbers: Iterable[int]) -> str:
    """Numbers of CPUs as Linux writes them: ``0-3,8``."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def cpu_model(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Name of the processor, as the kernel tells it."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() in {"model name", "Model", "Hardware"} and value.strip():
            return " ".join(value.split())
    return platform.processor() or platform.machine() or "unknown"


def _gpu() -> dict[str, Any]:
    properties = torch.cuda.get_device_properties(0)
    return {
        "name": properties.name,
        "uuid": gpu_uuid(),
        "memory_bytes": properties.total_memory,
        "driver": driver_version(),
        "compute_capability": f"{properties.major}.{properties.minor}",
    }


def gpu_uuid() -> str:
    """UUID of the GPU that torch uses, ``GPU-…``."""
    return f"GPU-{torch.cuda.get_device_properties(0).uuid}"


def measured_gpu_uuid(asked: str | None) -> str:
    """UUID of what is measured: torch tells that of the whole GPU, also of a part of one.

    Args:
        asked: as the user has given it, maybe its beginning only.
    """
    return asked if asked is not None and asked.startswith("MIG-") else gpu_uuid()


def _os_name() -> str:
    try:
        name = platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    except OSError:
        name = platform.system()
    return f"{name}, kernel {platform.release()}"


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
