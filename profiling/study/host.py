"""What this machine has to compute with. No torch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

DeviceType = Literal["cpu", "cuda"]


def usable_cpus() -> int:
    """Logical CPUs that this process may run on."""
    return len(os.sched_getaffinity(0))


def detect_device_type() -> DeviceType:
    """``cuda`` where an NVIDIA driver is loaded (natively or under WSL)."""
    signs = ("/proc/driver/nvidia/version", "/dev/nvidiactl", "/dev/dxg")
    return "cuda" if any(Path(sign).exists() for sign in signs) else "cpu"
