"""Where methods may run: GPUs of the configuration and measured devices, and which are one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from ..hardware import Gpu
from .process import GIB

SAME_MEMORY = 0.05
"""Share by which two sizes of a memory may differ and mean the same."""

LESS_THAN_NOMINAL = 0.1
"""Share by which a driver may report less than the nominal memory: error correction in GDDR6 takes
a sixteenth (24 GB of an L4 are 22.5 GiB), firmware a part of a unified memory."""

_UNIFIED = {"orin", "xavier", "tegra", "thor", "gb10"}
"""In the names of GPUs that share the memory of the CPU, as drivers report them."""

_NOT_IN_NAMES = {"nvidia", "geforce", "tesla", "quadro", "gpu", "generation"}


class Device(NamedTuple):
    """A device that was measured, see `runtime.csv`."""

    name: str
    device_type: str
    hardware: str
    memory_bytes: int | None


class Target(NamedTuple):
    """Where a method may run.

    Attributes:
        name: of the GPU, or of the CPU device.
        device_type: `cuda` or `cpu`.
        memory_bytes: of the device where it was measured, else nominal; None: not known.
        device: under which it was measured; None: it was not.
        hardware: its model as it was measured.
        measured_bytes: memory of the device where it was measured: what ran there runs with as
            much or more, what ran out there runs out with as much or less.
        unified_memory: whether the CPU shares it.
    """

    name: str
    device_type: str
    memory_bytes: int | None
    device: str | None = None
    hardware: str | None = None
    measured_bytes: int | None = None
    unified_memory: bool = False


def measured_devices(runtime: pd.DataFrame | None) -> list[Device]:
    """Devices of `runtime.csv` in their order; none without it."""
    if runtime is None:
        return []
    found = []
    for name, rows in runtime.groupby("device", sort=False):
        first, memory_bytes = rows.iloc[0], rows["device_memory_bytes"].min()
        known = None if pd.isna(memory_bytes) else int(memory_bytes)
        found.append(Device(str(name), str(first["device_type"]), str(first["hardware"]), known))
    return found


def same_gpu(gpu: Gpu, hardware: str) -> bool:
    """Whether a GPU of the configuration is the measured hardware.

    `RTX 4090` is `NVIDIA GeForce RTX 4090`, and not `NVIDIA GeForce RTX 4090 Laptop GPU`. `H100`
    with 80 GiB is `NVIDIA H100 80GB HBM3`, and not `NVIDIA H100 PCIe`, which is slower: its
    name has to say so; `A100` is `NVIDIA A100-SXM4-80GB`, for the same reason. A size of memory in
    the driver's name has to be that of the GPU.
    """
    sizes = [int(size) for size in re.findall(r"(?<![\w.])(\d+)gb\b", hardware.lower())]
    if any(abs(size - gpu.memory_gib) > SAME_MEMORY * gpu.memory_gib for size in sizes):
        return False
    return _model(gpu.name) == _model(hardware)


def _model(text: str) -> str:
    words = re.findall(r"[a-z0-9]+", text.lower())
    return "".join(
        word
        for word in words
        if word not in _NOT_IN_NAMES and not re.fullmatch(r"\d+gb|hbm\d+e?|sxm\d*", word)
    )


def shares_memory(device_type: str, hardware: str) -> bool:
    """Whether a measured GPU shares the memory of the CPU, by the name that its driver reports."""
    words = re.findall(r"[a-z0-9]+", hardware.lower())
    return device_type == "cuda" and not _UNIFIED.isdisjoint(words)


def is_listed_as(gpu: Gpu, device: Device) -> bool:
    """Whether a measured device is a GPU of the list, by its name and by its memory.

    Several GPUs are sold with two sizes under one name, such as the RTX 4060 Ti.
    """
    if device.device_type != "cuda" or not same_gpu(gpu, device.hardware):
        return False
    nominal = gpu.memory_gib * GIB
    least, most = (1 - LESS_THAN_NOMINAL) * nominal, (1 + SAME_MEMORY) * nominal
    return device.memory_bytes is None or least <= device.memory_bytes <= most


def on_device(
    device: Device, name: str, memory_bytes: int | None, *, unified_memory: bool = False
) -> Target:
    """A target with the memory given, else with that of the device.

    Args:
        device: that was measured.
        name: of the target.
        memory_bytes: that is asked for; None: that of the device.
        unified_memory: whether the CPU is known to share it; else the device's name tells.
    """
    has = device.memory_bytes
    asked = has if memory_bytes is None else memory_bytes
    same = has is not None and asked is not None and abs(asked - has) <= SAME_MEMORY * asked
    return Target(
        name=name,
        device_type=device.device_type,
        memory_bytes=has if same else asked,
        device=device.name,
        hardware=device.hardware,
        measured_bytes=has,
        unified_memory=unified_memory or shares_memory(device.device_type, device.hardware),
    )


def of_gpu(gpu: Gpu, devices: Sequence[Device]) -> list[Target]:
    """A GPU, as each measured device that is one; not measured where none is.

    Its memory is what the driver reports where that is known, else nominal.

    Args:
        gpu: of the configuration.
        devices: that were measured.
    """
    memory_bytes = int(gpu.memory_gib * GIB)
    same = [one for one in devices if is_listed_as(gpu, one)]
    if not same:
        return [Target(gpu.name, "cuda", memory_bytes, unified_memory=gpu.unified_memory)]
    return [
        on_device(
            one,
            gpu.name if len(same) == 1 else f"{gpu.name} ({one.name})",
            memory_bytes if one.memory_bytes is None else one.memory_bytes,
            unified_memory=gpu.unified_memory,
        )
        for one in same
    ]


def targets(gpus: Sequence[Gpu], runtime: pd.DataFrame | None) -> list[Target]:
    """GPUs, each with the devices that are one of them, then all other measured devices.

    Args:
        gpus: of the configuration.
        runtime: `runtime.csv`; None without it.
    """
    devices = measured_devices(runtime)
    found: list[Target] = []
    listed: set[str] = set()
    for gpu in gpus:
        own = of_gpu(gpu, devices)
        listed.update(one.device for one in own if one.device is not None)
        found += own
    for one in devices:
        if one.name not in listed:
            what = "CPU" if one.device_type == "cpu" else one.hardware
            found.append(on_device(one, f"{one.name} ({what})", None))
    return found
