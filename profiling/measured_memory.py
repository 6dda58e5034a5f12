"""The memory that a run takes, measured: of the GPU by torch's allocator and by NVIDIA's driver.

On a GPU, one more image after the measured ones is run submodule by submodule: the GPU is waited
for and the allocator's peak reset before each, which measured images must not suffer. On a CPU
nothing tells the parts apart; Linux knows the peak of the whole process.

What cannot be had is None, never zero.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch

from adscale.names import IMAGE, TILE

from .annotation import Annotate
from .fingerprint import measured_gpu_uuid
from .machine.nvml import ProcessMemory, process_memory


class Resident(NamedTuple):
    """Main memory of a process: code, libraries and data, in bytes."""

    now_bytes: int | None
    peak_bytes: int | None


def resident(status: Path = Path("/proc/self/status")) -> Resident:
    """Main memory of this process, as Linux tells it (VmRSS, VmHWM)."""
    found: dict[str, int] = {}
    with suppress(OSError):
        for line in status.read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name in {"VmRSS", "VmHWM"}:
                found[name] = int(value.split()[0]) * 2**10
    return Resident(found.get("VmRSS"), found.get("VmHWM"))


class Allocator(Protocol):
    """Everything that is asked of a GPU's memory."""

    def synchronize(self) -> None:
        """Waits for the GPU."""

    def reset_peaks(self) -> None:
        """Resets peaks to those of what follows."""

    def allocated_bytes(self) -> int:
        """Bytes of live tensors."""

    def reserved_bytes(self) -> int:
        """Bytes taken from the driver: those of live tensors, and those kept for later ones."""

    def peak_allocated_bytes(self) -> int:
        """Largest ``allocated_bytes`` since the last reset."""

    def peak_reserved_bytes(self) -> int:
        """Largest ``reserved_bytes`` since the last reset."""

    def process_memory(self) -> ProcessMemory:
        """Asks the driver for the memory of this process on the GPU."""

    def cublas_workspace_bytes(self) -> int | None:
        """Bytes that the first matrix product takes for cuBLAS; None where nobody tells."""


class TorchAllocator:
    """torch's caching allocator on the current CUDA device, and the driver beneath it.

    Args:
        gpu: UUID of the GPU, where the user has given one.
    """

    def __init__(self, gpu: str | None) -> None:
        torch.cuda.init()  # type: ignore[no-untyped-call]
        self._uuid = measured_gpu_uuid(gpu)

    def synchronize(self) -> None:
        """See ``Allocator``."""
        torch.cuda.synchronize()

    def reset_peaks(self) -> None:
        """See ``Allocator``."""
        torch.cuda.reset_peak_memory_stats()

    def allocated_bytes(self) -> int:
        """See ``Allocator``."""
        return torch.cuda.memory_allocated()

    def reserved_bytes(self) -> int:
        """See ``Allocator``."""
        return torch.cuda.memory_reserved()

    def peak_allocated_bytes(self) -> int:
        """See ``Allocator``."""
        return torch.cuda.max_memory_allocated()

    def peak_reserved_bytes(self) -> int:
        """See ``Allocator``."""
        return torch.cuda.max_memory_reserved()

    def process_memory(self) -> ProcessMemory:
        """See ``Allocator``."""
        return process_memory(self._uuid)

    def cublas_workspace_bytes(self) -> int | None:
        """See ``Allocator``; torch 2.6 does not tell."""
        ask = getattr(torch.backends.cuda, "cublas_workspace_size", None)
        return None if ask is None else int(ask())


class MemoryWatch:
    """Follows the memory of one run, from before the method is built.

    Args:
        allocator: of the GPU; None on a CPU device.
    """

    def __init__(self, allocator: Allocator | None) -> None:
        self._gpu = None if allocator is None else _GpuWatch(allocator)
        self._before = self._after = Resident(None, None)

    def begin(self) -> None:
        """Begins to count memory as that of the run."""
        self._before = resident()

    def moving(self) -> AbstractContextManager[None]:
        """Encloses the method's move to its device."""
        return _nothing() if self._gpu is None else self._gpu.moving()

    def by_submodule(self, annotate: Annotate) -> Annotate:
        """Measures each submodule of the images that are run with what is returned.

        Args:
            annotate: receives the ranges all the same.
        """
        return annotate if self._gpu is None else self._gpu.by_submodule(annotate)

    def end(self) -> None:
        """The run is over, or memory ran out."""
        self._after = resident()
        if self._gpu is not None:
            self._gpu.end()

    def as_dict(self) -> dict[str, Any]:
        """Everything measured so far, as ``memory`` of ``run.json``."""
        return {
            "host": {
                "resident_before_build_bytes": self._before.now_bytes,
                "peak_before_build_bytes": self._before.peak_bytes,
                "peak_bytes": self._after.peak_bytes,
            },
            "gpu": None if self._gpu is None else copy.deepcopy(self._gpu.found),
        }


@contextmanager
def _nothing() -> Iterator[None]:
    yield


class _GpuWatch:
    """The part of ``MemoryWatch`` that is about the GPU.

    Args:
        allocator: of the GPU, on which nothing has been allocated yet.
    """

    def __init__(self, allocator: Allocator) -> None:
        self._allocator = allocator
        self._peak_allocated_bytes = self._peak_reserved_bytes = 0
        allocator.synchronize()  # makes CUDA's context where there is none yet
        self.found: dict[str, Any] = {
            "context_bytes": self._outside_bytes(),
            "moved_outside_bytes": None,
            "built_allocated_bytes": None,
            "peak_allocated_bytes": None,
            "peak_reserved_bytes": None,
            "process_bytes": None,
            "process_source": None,
            "outside_allocator_bytes": None,
            "cublas_workspace_bytes": allocator.cublas_workspace_bytes(),
            "submodules": None,
        }

    @contextmanager
    def moving(self) -> Iterator[None]:
        before = self._outside_bytes()
        yield
        self._allocator.synchronize()
        after = self._outside_bytes()
        self.found["built_allocated_bytes"] = self._allocator.allocated_bytes()
        if before is not None and after is not None:
            self.found["moved_outside_bytes"] = after - before

    def by_submodule(self, annotate: Annotate) -> Annotate:
        open_ranges: list[str] = []

        @contextmanager
        def measuring(name: str) -> Iterator[None]:
            is_submodule = [one for one in open_ranges if one != TILE] == [IMAGE] and name != TILE
            open_ranges.append(name)
            try:
                with annotate(name), self._peaks_of(name) if is_submodule else _nothing():
                    yield
            finally:
                open_ranges.pop()

        return measuring

    @contextmanager
    def _peaks_of(self, submodule: str) -> Iterator[None]:
        allocator = self._allocator
        allocator.synchronize()
        self._keep_peaks()
        allocator.reset_peaks()
        begin_bytes = allocator.allocated_bytes()
        yield
        allocator.synchronize()
        self._note(
            submodule,
            {
                "begin_allocated_bytes": begin_bytes,
                "peak_allocated_bytes": allocator.peak_allocated_bytes(),
                "peak_reserved_bytes": allocator.peak_reserved_bytes(),
            },
        )

    def _note(self, submodule: str, found: dict[str, int]) -> None:
        """Adds a submodule; of several calls the largest values stand."""
        rows = self.found["submodules"] = self.found["submodules"] or []
        for row in rows:
            if row["submodule"] == submodule:
                row.update({name: max(row[name], value) for name, value in found.items()})
                return
        rows.append({"submodule": submodule, **found})

    def _keep_peaks(self) -> None:
        """The peaks of the whole run, which a reset would forget."""
        allocator = self._allocator
        self._peak_allocated_bytes = max(
            self._peak_allocated_bytes, allocator.peak_allocated_bytes()
        )
        self._peak_reserved_bytes = max(self._peak_reserved_bytes, allocator.peak_reserved_bytes())

    def _outside_bytes(self) -> int | None:
        """Memory of the process on the GPU that torch's allocator has not taken."""
        return self._less_reserved(self._allocator.process_memory().used_bytes)

    def _less_reserved(self, process_bytes: int | None) -> int | None:
        return None if process_bytes is None else process_bytes - self._allocator.reserved_bytes()

    def end(self) -> None:
        allocator = self._allocator
        self._keep_peaks()
        process_bytes, source = allocator.process_memory()
        self.found.update(
            peak_allocated_bytes=self._peak_allocated_bytes,
            peak_reserved_bytes=self._peak_reserved_bytes,
            process_bytes=process_bytes,
            process_source=source,
            outside_allocator_bytes=self._less_reserved(process_bytes),
        )
