"""Cold caches: before an image, more is written than the device's last-level cache holds."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import torch

FACTOR = 2
"""The buffer's size in caches: one cache's worth would leave lines of the image before."""

UNKNOWN_BYTES = 64 * 2**20
"""The buffer where the CPU does not tell of its caches."""

CPUS = Path("/sys/devices/system/cpu")
"""Where Linux describes them."""


class CacheFlush:
    """Overwrites the cache of a device when it is called, and waits until that is done.

    Args:
        device_type: ``cpu`` or ``cuda``, the current CUDA device.
    """

    def __init__(self, device_type: str) -> None:
        size = _buffer_bytes(device_type)
        self._buffer = torch.zeros(size, dtype=torch.uint8, device=device_type)

    def __call__(self) -> None:
        """Reads and writes every byte: stores alone may go past the cache."""
        self._buffer.add_(1)
        if self._buffer.is_cuda:
            torch.cuda.synchronize()


def _buffer_bytes(device_type: str) -> int:
    if device_type == "cuda":
        return FACTOR * int(torch.cuda.get_device_properties(0).L2_cache_size)
    cache_bytes = last_level_bytes(os.sched_getaffinity(0))
    return UNKNOWN_BYTES if cache_bytes is None else FACTOR * cache_bytes


def last_level_bytes(cpus: Iterable[int], folder: Path = CPUS) -> int | None:
    """Size of the last-level caches of some CPUs together; None where Linux does not tell.

    Args:
        cpus: their numbers.
        folder: where Linux describes CPUs.
    """
    sizes: dict[tuple[int, str], int] = {}
    with suppress(OSError, ValueError):
        for cpu in cpus:
            for cache in (folder / f"cpu{cpu}" / "cache").glob("index*"):
                level, size, shared = (
                    (cache / name).read_text(encoding="utf-8").strip()
                    for name in ("level", "size", "shared_cpu_list")
                )
                sizes[int(level), shared] = _bytes(size)
    last = max((level for level, _ in sizes), default=0)
    return sum(size for (level, _), size in sizes.items() if level == last) or None


def _bytes(size: str) -> int:
    """What Linux writes as ``32768K``."""
    units = {"K": 2**10, "M": 2**20, "G": 2**30}
    return int(size[:-1]) * units[size[-1]] if size[-1] in units else int(size)
