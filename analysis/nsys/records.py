"""What a profile holds, as columns: numpy arrays of one length per kind of record."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .columns import Bools, Coded, Int64s, Integers, Strings

__all__ = [
    "THREAD_BITS",
    "Bools",
    "Calls",
    "Coded",
    "Int64s",
    "Integers",
    "Operations",
    "Profile",
    "Ranges",
    "Strings",
    "process_of",
]

THREAD_BITS = 24
"""Low bits of a `globalTid` that number the thread; what is above names the process."""


def process_of(thread: Int64s) -> Int64s:
    """The `globalPid` of each `globalTid`: the same number without the thread's bits."""
    return thread & ~np.int64((1 << THREAD_BITS) - 1)


@dataclass(frozen=True)
class Ranges:
    """NVTX ranges, one element per range.

    Attributes:
        row_id: rowid in NVTX_EVENTS (the RangeId of nsys' trace report).
        start_ns: opening of the range on the CPU clock of the profile; can be negative.
        end_ns: closing; for a range never closed the largest range timestamp of the profile.
        thread: `globalTid` of the thread that opened it.
        is_push_pop: True for push/pop, False for start/end ranges.
        is_open: True where the profile ended before the range.
        domain: name of the NVTX domain, `""` for the default domain.
        category: name of the category within the domain, its number where it has no name, `""`
            for none.
        name: text of the range, `""` where it has none.
    """

    row_id: Int64s
    start_ns: Int64s
    end_ns: Int64s
    thread: Int64s
    is_push_pop: Bools
    is_open: Bools
    domain: Strings
    category: Strings
    name: Strings

    def __len__(self) -> int:
        return len(self.row_id)

    def select(self, keep: npt.NDArray[Any]) -> Ranges:
        """The ranges at a mask or at positions, in that order."""
        return Ranges(
            self.row_id[keep],
            self.start_ns[keep],
            self.end_ns[keep],
            self.thread[keep],
            self.is_push_pop[keep],
            self.is_open[keep],
            self.domain[keep],
            self.category[keep],
            self.name[keep],
        )

    def labels(self) -> list[str]:
        """Names as nsys prints them: the domain in front, `TensorRT:Conv_1`."""
        pairs = zip(self.domain, self.name, strict=True)
        return [f"{domain}:{name}" if domain else str(name) for domain, name in pairs]


@dataclass(frozen=True)
class Calls:
    """CUDA runtime and driver API calls, one element per row of the RUNTIME table.

    Attributes:
        start_ns: begin of the call on the CPU clock of the profile.
        end_ns: its end.
        thread: `globalTid` of the calling thread.
        correlation: correlation id, unique within a process at best; -1 where absent.
    """

    start_ns: Int64s
    end_ns: Int64s
    thread: Coded
    correlation: Integers

    def __len__(self) -> int:
        return len(self.start_ns)


@dataclass(frozen=True)
class Operations:
    """Work on a GPU: kernels, copies, memsets or whole graphs, one element per row.

    Attributes:
        start_ns: begin of the execution, on the profile's clock.
        end_ns: its end.
        process: `globalPid` of the process that submitted it.
        correlation: correlation id of the submitting call; -1 where absent.
        name_id: id in StringIds of the kernel's full name; -1 for all but kernels.
        device: number of the GPU; None where it was not asked for, -1 where it is unknown.
        stream: number of the stream, likewise; unique within a process and context.
        context: number of the CUDA context, likewise; unique within a process.
    """

    start_ns: Int64s
    end_ns: Int64s
    process: Coded
    correlation: Integers
    name_id: Coded
    device: Coded | None = None
    stream: Coded | None = None
    context: Coded | None = None

    def __len__(self) -> int:
        return len(self.start_ns)

    def select(self, keep: Any) -> Operations:
        """The operations at a mask or at positions, in that order."""
        return Operations(
            self.start_ns[keep],
            self.end_ns[keep],
            self.process.select(keep),
            self.correlation[keep],
            self.name_id.select(keep),
            None if self.device is None else self.device.select(keep),
            None if self.stream is None else self.stream.select(keep),
            None if self.context is None else self.context.select(keep),
        )


@dataclass(frozen=True)
class Profile:
    """One export of nsys, or a file in the same schema.

    Attributes:
        path: the file.
        tables: names of all tables in it; an absent table means "not recorded", not zero.
        schema_version: version of the export schema, None where the file does not say.
        ranges: NVTX ranges that end on the thread that opened them.
        cross_thread_ranges: ranges left out because another thread ended them (as in nsys).
        calls: CUDA API calls.
        kernels: kernel executions.
        copies: GPU copies.
        memsets: GPU memsets.
        graphs: CUDA graphs traced as a whole, whose kernels are unknown.
        kernel_names: full kernel name of every `name_id` of `kernels`.
        messages: what nsys left about NVTX among its strings.
    """

    path: Path
    tables: frozenset[str]
    schema_version: str | None
    ranges: Ranges
    cross_thread_ranges: int
    calls: Calls
    kernels: Operations
    copies: Operations
    memsets: Operations
    graphs: Operations
    kernel_names: dict[int, str]
    messages: tuple[str, ...]

    @property
    def whole_graphs(self) -> int:
        """CUDA graph launches traced as a whole."""
        return len(self.graphs)
