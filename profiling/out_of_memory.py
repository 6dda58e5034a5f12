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
