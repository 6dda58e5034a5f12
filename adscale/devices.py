"""The devices of a study: one, or several kinds of hardware that a cluster has. No torch."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from . import engines
from .config_file import ClusterDevice, ConfigFile, Device
from .errors import ConfigError, UserError


class RunWildcards(Protocol):
    """The wildcards of the rules of runs."""

    run: str
    """Path of the run below the results, which begins with the device."""


DeviceType = engines.DeviceType


@dataclass(frozen=True)
class DeviceConfig:
    """One device: what is asked of a run on it, and how a cluster finds it."""

    name: str
    type: DeviceType
    threads: int
    gpu: str | None = None
    lock_clocks: int | None = None
    hardware: str | None = None
    """Part of the name of the GPU, or of the model of the CPU, that a run must land on."""
    scheduler: Mapping[str, str] = field(default_factory=dict)
    """Further requests to SLURM: ``constraint``, ``gpu_model``, ``slurm_partition``."""


IN_CONTAINER = "-container"
"""Added to the name of a device whose runs are measured in a container."""

SCHEDULER_KEYS = {
    "constraint": "constraint",
    "gpu_model": "gpu_model",
    "partition": "slurm_partition",
}
"""Keys of an entry of ``devices``, and what Snakemake's plugin for SLURM calls them."""


def study_devices(full: ConfigFile) -> tuple[DeviceConfig, ...]:
    """The devices of a configuration with its defaults filled in: ``devices``, or else ``device``.

    Args:
        full: the configuration.
    """
    return tuple(_device(entry) for entry in full.devices or [full.device])


def device_errors(full: ConfigFile) -> Iterator[UserError]:
    """Yield the errors in the devices of a configuration."""
    names: set[str] = set()
    entries: Sequence[Device | ClusterDevice] = full.devices or [full.device]
    for number, entry in enumerate(entries):
        where = "device" if full.devices is None else f"devices.{number}"
        yield from _gpu_errors(where, entry)
        if entry.name in names:
            what = f"{entry.name!r} is named already"
            yield ConfigError(f"{where}.name", what, "give each a name of its own")
        names.add(entry.name)
        if len(full.devices or []) > 1 and not getattr(entry, "hardware", None):
            what = "is not named, and a run of one device could be measured on another"
            yield ConfigError(f"{where}.hardware", what, "name a part of the GPU's or CPU's name")
    partitions = [entry.partition for entry in full.devices or []]
    if None in partitions and any(partitions):
        what = "is named for some of the devices only"
        yield ConfigError("devices.partition", what, "name it for all, or in the profile for all")


def submission_errors(user: Mapping[str, Any], in_container: bool) -> Iterator[UserError]:
    """Yield what a study on a cluster must say, because the submitting machine is another.

    Args:
        user: the content of ``config.yaml``.
        in_container: whether its jobs run in a container, with the nsys in there.
    """
    device = user.get("device") or {}
    if not user.get("devices"):
        for key, unset, remedy in (("type", "auto", "cpu or cuda"), ("threads", None, "a number")):
            if device.get(key, unset) == unset:
                what = "would be that of the machine that submits, which does not measure"
                yield ConfigError(f"device.{key}", what, f"say {remedy}")
    if not in_container and user.get("collector", "auto") == "auto":
        what = "auto would look for nsys on the machine that submits, which does not measure"
        yield ConfigError("collector", what, "say nsys or embedded")


def scheduler_resources(
    devices: Iterable[DeviceConfig],
) -> dict[str, Callable[[RunWildcards], str]]:
    """Return a run's requests to SLURM besides time, memory and CPUs, by the name of the resource.

    Args:
        devices: of the study. What none of them asks for is no resource.

    Returns:
        Functions of a rule's wildcards; empty text for a device that does not ask for it.
    """
    asked = {device.name: device.scheduler for device in devices}

    def resource(key: str) -> Callable[[RunWildcards], str]:
        return lambda wildcards: asked[_device_of(wildcards, asked)].get(key, "")

    return {key: resource(key) for key in sorted({key for each in asked.values() for key in each})}


def measurement_resources(
    devices: Iterable[DeviceConfig], overwritten: Container[str]
) -> dict[str, str | Callable[[RunWildcards], int]]:
    """Return what a measurement on a cluster cannot do without: a GPU, and the node for itself.

    It stands in the profile for SLURM, too, but a resource that the command line sets takes the
    place of all that the profile has of its kind.

    Args:
        devices: of the study.
        overwritten: resources that profile or command line set for the rule: a GPU is asked for in
            one form only.
    """
    types = {device.name: device.type for device in devices}
    needed: dict[str, str | Callable[[RunWildcards], int]] = {"slurm_extra": "--exclusive"}
    if "gres" not in overwritten and "cuda" in types.values():
        needed["gpu"] = lambda run: int(types[_device_of(run, types)] == "cuda")
    return needed


def _device_of(wildcards: RunWildcards, names: Container[str]) -> str:
    name = wildcards.run.partition("/")[0]
    return name if name in names else name.removesuffix(IN_CONTAINER)


def device_type(entry: Device | ClusterDevice) -> DeviceType:
    """Return the kind of device that an entry means here."""
    return detect_device_type() if entry.type == "auto" else entry.type


def _device(entry: Device | ClusterDevice) -> DeviceConfig:
    asked = {theirs: getattr(entry, ours, None) for ours, theirs in SCHEDULER_KEYS.items()}
    return DeviceConfig(
        name=entry.name,
        type=device_type(entry),
        threads=usable_cpus() if entry.threads is None else entry.threads,
        gpu=getattr(entry, "gpu", None),
        lock_clocks=entry.lock_clocks,
        hardware=getattr(entry, "hardware", None),
        scheduler={key: value for key, value in asked.items() if value is not None},
    )


def _gpu_errors(where: str, entry: Device | ClusterDevice) -> Iterator[UserError]:
    words = {
        "gpu": "a GPU is named",
        "lock_clocks": "a GPU's clock is to be locked",
        "gpu_model": "a model of GPU is named",
    }
    for key, what in words.items():
        if getattr(entry, key, None) is not None and device_type(entry) == "cpu":
            remedy = f"leave it out, or set {where}.type: cuda"
            yield ConfigError(f"{where}.{key}", f"{what}, but the device is a CPU", remedy)


def usable_cpus(proc: Path = Path("/proc"), cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """CPUs that this process may keep busy: those it may run on, or the quota of its control group.

    Of a quota that is no whole number the part of a CPU does not count: threads that exceed it are
    stopped for a part of each period.

    Args:
        proc: where Linux describes processes.
        cgroup: where the control groups are mounted.
    """
    allowed, quota = len(os.sched_getaffinity(0)), cpu_quota(proc, cgroup)
    return allowed if quota is None else max(1, min(allowed, int(quota)))


def cpu_quota(proc: Path = Path("/proc"), cgroup: Path = Path("/sys/fs/cgroup")) -> float | None:
    """The CPU time that control groups leave this process, in CPUs; None: no bound.

    Args:
        proc: where Linux describes processes.
        cgroup: where the control groups are mounted, of version 1, 2 or both.
    """
    try:
        lines = (proc / "self" / "cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    found: list[float] = []
    for line in lines:
        number, controllers, own = line.split(":", 2)
        if number == "0":
            found += _quotas(cgroup, own, ("cpu.max",))
        elif "cpu" in controllers.split(","):
            found += _quotas(cgroup / "cpu", own, ("cpu.cfs_quota_us", "cpu.cfs_period_us"))
    return min(found, default=None)


def _quotas(root: Path, own: str, names: tuple[str, ...]) -> Iterator[float]:
    """The quotas of a group and of every group around it; inside a container some are not seen."""
    folder = root / own.lstrip("/")
    for group in (folder, *folder.parents):
        if root not in (group, *group.parents):
            return
        with suppress(OSError, ValueError):
            words = " ".join((group / name).read_text(encoding="utf-8") for name in names).split()
            quota_us, period_us = float(words[0]), float(words[1])  # "max": there is none
            if quota_us > 0:
                yield quota_us / period_us


def detect_device_type() -> DeviceType:
    """``cuda`` where an NVIDIA driver is loaded (natively or under WSL)."""
    signs = ("/proc/driver/nvidia/version", "/dev/nvidiactl", "/dev/dxg")
    return "cuda" if any(Path(sign).exists() for sign in signs) else "cpu"
