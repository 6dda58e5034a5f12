"""How much main memory this process may use, what is left of it, and whether memory ran out.

Running out is told from every other failure, with evidence.
"""

from __future__ import annotations

import errno
import re
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")
"""Where Linux describes processes."""

CGROUP = Path("/sys/fs/cgroup")
"""Where control groups are mounted."""


class _Limit(NamedTuple):
    """A bound on memory, in bytes, and what of it is left."""

    total_bytes: int
    left_bytes: int


class _GroupFiles(NamedTuple):
    """Names of what a control group tells about its memory."""

    limit: str
    used: str
    cache: str
    """Line of ``memory.stat``: file cache that Linux gives up where memory is needed."""


_VERSION_1 = _GroupFiles("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
_VERSION_2 = _GroupFiles("memory.max", "memory.current", "inactive_file")


def available_host_bytes(proc: Path = PROC, cgroup: Path = CGROUP) -> int:
    """Main memory that this process may still take, in bytes, before Linux swaps or kills.

    The least of what the machine has left and of what the limits of the control groups around
    this process, and of its own address space, leave.

    Args:
        proc: where Linux describes processes.
        cgroup: where the control groups are mounted, of version 1, 2 or both.
    """
    return min(limit.left_bytes for limit in _limits(proc, cgroup))


def total_host_bytes(proc: Path = PROC, cgroup: Path = CGROUP) -> int:
    """Main memory that this process may have in all, in bytes, without swap.

    The least of the machine's memory, of the limits of the control groups around this process,
    and of the limit on its address space (``ulimit -v``).

    Args:
        proc: where Linux describes processes.
        cgroup: where the control groups are mounted, of version 1, 2 or both.
    """
    return min(limit.total_bytes for limit in _limits(proc, cgroup))


def _limits(proc: Path, cgroup: Path) -> Iterator[_Limit]:
    machine = _kib_values(proc / "meminfo")
    yield _Limit(machine["MemTotal"], machine["MemAvailable"])
    yield from _group_limits(proc, cgroup)
    address_space, _ = resource.getrlimit(resource.RLIMIT_AS)
    if address_space != resource.RLIM_INFINITY:
        used = _kib_values(proc / "self" / "status").get("VmSize", 0)
        yield _Limit(address_space, max(0, address_space - used))


def _kib_values(file: Path) -> dict[str, int]:
    """Lines such as ``MemTotal:  16 kB`` of a file of Linux, in bytes."""
    rows = (line.split() for line in file.read_text(encoding="utf-8").splitlines())
    return {row[0].rstrip(":"): int(row[1]) * 2**10 for row in rows if row[2:] == ["kB"]}


def _group_limits(proc: Path, cgroup: Path) -> Iterator[_Limit]:
    try:
        lines = (proc / "self" / "cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        number, controllers, own = line.split(":", 2)
        if number == "0":
            yield from _up_to_root(cgroup, own, _VERSION_2)
        elif "memory" in controllers.split(","):
            yield from _up_to_root(cgroup / "memory", own, _VERSION_1)


def _up_to_root(root: Path, own: str, files: _GroupFiles) -> Iterator[_Limit]:
    """The limits of a group and of every group around it; inside a container some are not seen."""
    folder = root / own.lstrip("/")
    for group in (folder, *folder.parents):
        if root not in (group, *group.parents):
            return
        try:
            limit = (group / files.limit).read_text(encoding="utf-8").strip()
            used_bytes = int((group / files.used).read_text(encoding="utf-8"))
            stat = (group / "memory.stat").read_text(encoding="utf-8").splitlines()
        except OSError:
            continue
        if limit != "max":
            cache_bytes = sum(int(row.split()[1]) for row in stat if row.split()[0] == files.cache)
            yield _Limit(int(limit), max(0, int(limit) - used_bytes + cache_bytes))


_UNITS = {"bytes": 1, "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_ASKED = re.compile(r"allocate (?P<amount>\d+(?:\.\d+)?) (?P<unit>bytes|B|KiB|MiB|GiB|TiB)\b")
_SIGNS = (
    "out of memory",
    "can't allocate memory",
    "std::bad_alloc",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDA_ERROR_OUT_OF_MEMORY",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception of an inference says that memory ran out.

    torch has a class for it on CUDA devices only; its CPU allocator and the CUDA libraries raise
    a RuntimeError whose text has to be read; Linux's own error is an OSError.
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
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
