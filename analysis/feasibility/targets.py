"""Where methods may run: the GPUs of the configuration and the devices that were measured."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from ..figures.hardware import Gpu
from .needs import GIB

SAME_MEMORY = 0.05
"""Share by which what a driver reports may differ from a GPU's nominal memory."""

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
    """

    name: str
    device_type: str
    memory_bytes: int | None
    device: str | None = None
    hardware: str | None = None
    measured_bytes: int | None = None


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


def on_device(device: Device, name: str, memory_bytes: int | None) -> Target:
    """A target with the memory given, else with that of the device.

    Args:
        device: that was measured.
        name: of the target.
        memory_bytes: that is asked for; None: that of the device.
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
    )


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
        memory_bytes = int(gpu.memory_gib * GIB)
        same = [one for one in devices if one.device_type == "cuda" and same_gpu(gpu, one.hardware)]
        listed.update(one.name for one in same)
        for one in same:
            name = gpu.name if len(same) == 1 else f"{gpu.name} ({one.name})"
            found.append(on_device(one, name, memory_bytes))
        if not same:
            found.append(Target(gpu.name, "cuda", memory_bytes))
    for one in devices:
        if one.name not in listed:
            what = "CPU" if one.device_type == "cpu" else one.hardware
            found.append(on_device(one, f"{one.name} ({what})", None))
    return found
