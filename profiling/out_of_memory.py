"""Telling that memory ran out from every other failure, with evidence."""

from __future__ import annotations

import re
from pathlib import Path

_UNITS = {"bytes": 1, "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_ASKED = re.compile(r"allocate (?P<amount>\d+(?:\.\d+)?) (?P<unit>bytes|B|KiB|MiB|GiB|TiB)\b")
_SIGNS = (
    "out of memory",
    "can't allocate memory",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDA_ERROR_OUT_OF_MEMORY",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception of an inference says that memory ran out.

    torch has a class for it on CUDA devices only; its CPU allocator and the CUDA libraries raise
    a RuntimeError whose text has to be read.
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _SIGNS)


def requested_bytes(message: str) -> int | None:
    """Bytes of the allocation that failed, where an allocator's message says."""
    found = _ASKED.search(message)
    return round(float(found["amount"]) * _UNITS[found["unit"]]) if found else None


def kernel_kills(vmstat: Path = Path("/proc/vmstat")) -> int | None:
    """Processes that Linux has killed so far because memory ran out; None where it does not say."""
    try:
        lines = vmstat.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    counts = [int(line.split()[1]) for line in lines if line.startswith("oom_kill ")]
    return counts[0] if counts else None


def available_host_bytes(proc: Path = Path("/proc"), cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Main memory that this process may still take, in bytes, before Linux swaps or kills.

    The least of what the machine has left and of what the limits of the control groups around
    this process leave.

    Args:
        proc: where Linux describes processes.
        cgroup: where the control groups (version 2) are mounted.
    """
    lines = (proc / "meminfo").read_text(encoding="utf-8").splitlines()
    found = [int(line.split()[1]) * 2**10 for line in lines if line.startswith("MemAvailable:")]
    return min([*found, *_cgroup_limits(proc, cgroup)])


def _cgroup_limits(proc: Path, cgroup: Path) -> list[int]:
    """What each control group around this process leaves; reclaimable file cache counts as free."""
    try:
        lines = (proc / "self" / "cgroup").read_text(encoding="utf-8").splitlines()
        own = next(line.split("::")[1] for line in lines if line.startswith("0::"))
    except (OSError, StopIteration):
        return []
    folder = cgroup / own.lstrip("/")
    left = []
    for group in (folder, *folder.parents):
        if cgroup not in (group, *group.parents):
            break
        try:
            limit = (group / "memory.max").read_text(encoding="utf-8").strip()
            used = int((group / "memory.current").read_text(encoding="utf-8"))
            stat = (group / "memory.stat").read_text(encoding="utf-8").splitlines()
        except OSError:
            continue
        if limit != "max":
            cache = sum(int(row.split()[1]) for row in stat if row.split()[0] == "inactive_file")
            left.append(max(0, int(limit) - used + cache))
    return left
