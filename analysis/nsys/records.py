"""The content of a profile as columns: arrays of one length per kind of record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from adscale.mean_error import Floats

from .columns import (
    Bools,
    Coded,
    Column,
    Growing,
    Int64s,
    Integers,
    Kind,
    Strings,
    coded_as,
    factorized,
    narrow,
    reduced,
    strings,
)

__all__ = [
    "CALLS",
    "KERNELS",
    "THREAD_BITS",
    "Bools",
    "Calls",
    "Capture",
    "Coded",
    "Column",
    "Crossing",
    "CudaTrace",
    "Forgotten",
    "Growing",
    "Int64s",
    "Integers",
    "Kind",
    "Operations",
    "PowerSamples",
    "Profile",
    "Ranges",
    "Strings",
    "factorized",
    "narrow",
    "process_of",
    "reduced",
    "strings",
]

THREAD_BITS = 24
"""Low bits of a `globalTid` that number the thread; what is above names the process."""


def process_of(thread: Int64s) -> Int64s:
    """The `globalPid` of each `globalTid`: the same number without the thread's bits."""
    return thread & ~np.int64((1 << THREAD_BITS) - 1)


@dataclass(frozen=True)
class Ranges:
    """NVTX ranges, one element per range.

    Threads and texts are kept as codes; given as arrays, they are encoded.

    Attributes:
        row_id: rowid in NVTX_EVENTS (the RangeId of nsys' trace report).
        start_ns: opening of the range on the CPU clock of the profile; can be negative.
        end_ns: closing; for a range never closed the end that nsys has given it, or else the
            largest range timestamp of the profile.
        thread: `globalTid` of the thread that opened it.
        is_push_pop: True for push/pop, False for start/end ranges.
        is_open: True where the range was never closed.
        domain: name of the NVTX domain, `""` for the default domain.
        category: name of the category within the domain, its number where it has no name, `""`
            for none.
        name: text of the range, `""` where it has none.
    """

    row_id: Integers
    start_ns: Int64s
    end_ns: Int64s
    thread: Coded
    is_push_pop: Bools
    is_open: Bools
    domain: Coded
    category: Coded
    name: Coded

    def __post_init__(self) -> None:
        """Encode what was given as an array."""
        for column in ("thread", "domain", "category", "name"):
            values = getattr(self, column)
            if not isinstance(values, Coded):
                object.__setattr__(self, column, Coded.of(values))

    def __len__(self) -> int:
        return len(self.row_id)

    def select(self, keep: npt.NDArray[Any]) -> Ranges:
        """The ranges at a mask or at positions, in that order."""
        return Ranges(
            self.row_id[keep],
            self.start_ns[keep],
            self.end_ns[keep],
            self.thread.select(keep),
            self.is_push_pop[keep],
            self.is_open[keep],
            self.domain.select(keep),
            self.category.select(keep),
            self.name.select(keep),
        )

    def label_codes(self) -> Coded:
        """Names as nsys prints them, the domain in front: `TensorRT:Conv_1`; `""` for no name.

        Where those of several domains would be equal, the domain follows: a range `a` of the domain
        `D` is `D:a (domain D)` if there is a range `D:a` of none, which is `D:a (no domain)`.
        """
        names, domains = self.name.distinct.tolist(), self.domain.distinct.tolist()
        if len(domains) <= 1:
            domain = domains[0] if domains else ""
            return self.name.mapped([_label(domain, name) for name in names])
        pair = self.domain.code.astype(np.int64) * len(names) + self.name.code
        code, found = factorized(pair)
        pairs = zip((found // len(names)).tolist(), (found % len(names)).tolist(), strict=True)
        return coded_as(_labels([(domains[domain], names[name]) for domain, name in pairs]), code)

    def labels(self) -> list[str]:
        """The label of each range."""
        return self.label_codes().tolist()


def _labels(pairs: Sequence[tuple[str, str]]) -> list[str]:
    """A label for each domain and name, no two alike but those of ranges without a name."""
    found = {pair: _label(*pair) for pair in pairs}
    times = Counter(found.values())
    used = set(times)
    for pair, label in found.items():
        if label and times[label] > 1:
            clear = f"{label} ({f'domain {pair[0]}' if pair[0] else 'no domain'})"
            while clear in used:  # some range has this very name
                clear += "'"
            used.add(clear)
            found[pair] = clear
    return [found[pair] for pair in pairs]


def _label(domain: str, name: str) -> str:
    return f"{domain}:{name}" if domain and name else name


@dataclass(frozen=True)
class Calls:
    """CUDA runtime and driver API calls, one element per row of the RUNTIME table.

    Attributes:
        start_ns: begin of the call on the CPU clock of the profile.
        end_ns: its end.
        thread: `globalTid` of the calling thread.
        correlation: correlation id, unique within a process at best; -1 where absent.
        name_id: id in StringIds of the function's name; None where the export has none.
    """

    start_ns: Int64s
    end_ns: Int64s
    thread: Coded
    correlation: Integers
    name_id: Coded | None = None

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
        size_bytes: bytes that a copy moved or a memset wrote, -1 where unknown; None for other
            kinds, and where the export has no such column.
        copy_kind: `copyKind` of a copy, -1 where unknown; None likewise.
    """

    start_ns: Int64s
    end_ns: Int64s
    process: Coded
    correlation: Integers
    name_id: Coded
    device: Coded | None = None
    stream: Coded | None = None
    context: Coded | None = None
    size_bytes: Integers | None = None
    copy_kind: Coded | None = None

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
            None if self.size_bytes is None else self.size_bytes[keep],
            None if self.copy_kind is None else self.copy_kind.select(keep),
        )


CudaTrace = Literal["recorded", "no kernels", "no calls", "lost", "not traced", "unknown"]
"""What became of the kernels. `recorded`: the profile has a table of them, or whole graphs of them;
`no kernels`: CUDA was traced, and none was launched; `no calls`: CUDA was traced, and none of its
calls was recorded; `lost`: launches were recorded, but no kernel; `not traced`: CUDA was not;
`unknown`: the profile does not say."""

CALLS, KERNELS = "CUPTI_ACTIVITY_KIND_RUNTIME", "CUPTI_ACTIVITY_KIND_KERNEL"
"""The tables of API calls and of kernels."""


@dataclass(frozen=True)
class Capture:
    """What an export says of the capture itself.

    Attributes:
        schema_version: version of the export schema, None where the file does not say.
        messages: what nsys left about NVTX among its strings.
        lost: what nsys says that it may have lost events of, such as `NVTX` and `CUDA`.
        cuda: what became of the kernels.
        lost_launches: API calls that launch kernels, in a profile that holds none.
        missing_kernels: launches whose kernel is missing among others, at least.
    """

    schema_version: str | None
    messages: tuple[str, ...]
    lost: tuple[str, ...]
    cuda: CudaTrace
    lost_launches: int
    missing_kernels: int

    @property
    def knows_kernels(self) -> bool:
        """Whether no kernel means zero; else it means unknown."""
        return self.cuda in ("recorded", "no kernels")


class Crossing(NamedTuple):
    """Ranges that were started on one thread and ended on another.

    Attributes:
        ranges: them; their thread is that which started them.
        end_thread: `globalTid` of the thread that ended each.
    """

    ranges: Ranges
    end_thread: Coded


class Forgotten(NamedTuple):
    """Ranges that were opened and never closed again and again.

    Attributes:
        label: their name, the domain in front.
        thread: process and thread that opened them, such as `4242/4243`.
        ranges: their number.
    """

    label: str
    thread: str
    ranges: int


class PowerSamples(NamedTuple):
    """Power of one GPU.

    Attributes:
        metric: name of the metric, with its unit.
        time_ns: of each sample, ascending, on the profile's clock.
        watts: its power.
    """

    metric: str
    time_ns: Int64s
    watts: Floats


@dataclass(frozen=True)
class Profile:
    """One export of nsys, or a file in the same schema.

    Attributes:
        path: the file.
        tables: names of all tables in it; an absent table means "not recorded", not zero.
        capture: what the export says of the capture itself.
        ranges: NVTX ranges that end on the thread that opened them.
        crossing: ranges that another thread ended: they are in none of the others, as in nsys.
        calls: CUDA API calls.
        kernels: kernel executions.
        copies: GPU copies, without migrations.
        migrations: number of copies between the memories that the driver made by itself (unified
            memory); they have no launch.
        migration_ns: sum of their durations.
        memsets: GPU memsets.
        graphs: CUDA graphs traced as a whole, whose kernels are unknown.
        kernel_names: full kernel name of every `name_id` of `kernels`; no name has two ids.
        forgotten_ranges: ranges left out because they were opened and never closed again and again.
        forgotten: these by their names, the most frequent first.
        power: power of its only GPU, and why that is unknown; see `analysis.nsys.power.read_power`.
    """

    path: Path
    tables: frozenset[str]
    capture: Capture
    ranges: Ranges
    crossing: Crossing
    calls: Calls
    kernels: Operations
    copies: Operations
    migrations: int
    migration_ns: int
    memsets: Operations
    graphs: Operations
    kernel_names: dict[int, str]
    forgotten_ranges: int = 0
    forgotten: tuple[Forgotten, ...] = ()
    power: tuple[PowerSamples | None, str] = (None, "")

    @property
    def cross_thread_ranges(self) -> int:
        """Ranges that another thread ended."""
        return len(self.crossing.ranges)

    @property
    def whole_graphs(self) -> int:
        """CUDA graph launches traced as a whole."""
        return len(self.graphs)
