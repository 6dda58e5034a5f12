"""The content of a profile as columns: numpy arrays of one length per kind of record.

Columns take as little memory as their values need, and grow from chunks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

Int64s = npt.NDArray[np.int64]
Integers = npt.NDArray[np.signedinteger[Any]]
"""Integers of 32 bits where all values fit, else of 64."""
Bools = npt.NDArray[np.bool_]
Strings = npt.NDArray[np.object_]

Kind = Literal["int64", "narrow", "coded", "text"]
"""How to keep a column: `narrow` and `coded` take less memory, see `narrow` and `Coded`."""

_CODE_TYPES = (np.int8, np.int16, np.int32)
_SMALLEST: Mapping[Kind, type[Any]] = {
    "int64": np.int64,
    "narrow": np.int32,
    "coded": np.int8,
    "text": np.object_,
}
_ROOM = 1 << 24
"""Elements to make room for at once at most: rowids may promise more than there is."""


def narrow(values: Int64s) -> Integers:
    """The same integers in 32 bits, if all of them fit."""
    limits = np.iinfo(np.int32)
    if len(values) and (values.min() < limits.min or values.max() > limits.max):
        return values
    return values.astype(np.int32)


@dataclass(frozen=True)
class Coded:
    """A column of few different values, such as threads or names: a small code per element.

    Attributes:
        distinct: the different values.
        code: position in `distinct` of each element.
    """

    distinct: Int64s
    code: Integers

    @classmethod
    def of(cls, column: npt.ArrayLike) -> Coded:
        """Encode a column of integers."""
        code, distinct = pd.factorize(np.asarray(column, np.int64))
        return cls(np.asarray(distinct, np.int64), code.astype(_code_type(len(distinct))))

    def __len__(self) -> int:
        return len(self.code)

    def __getitem__(self, at: Any) -> Int64s:
        """Values at positions, as from an array of values."""
        values: Int64s = self.distinct[self.code[at]]
        return values

    def select(self, keep: Any) -> Coded:
        """The elements at a mask or at positions; all values stay known."""
        return Coded(self.distinct, self.code[keep])


Column = Integers | Coded | Strings
"""The array that a column of a table is read into."""


def _code_type(values: int) -> type[np.signedinteger[Any]]:
    return next(kind for kind in _CODE_TYPES if values <= np.iinfo(kind).max)


class Growing:
    """A column that parts are appended to, each of which is then free.

    Parts kept until the last is there, and joined then, would take twice the memory.

    Args:
        kind: of the column.
        expected: number of elements to make room for at once.
    """

    def __init__(self, kind: Kind, expected: int) -> None:
        self._kind = kind
        self._used = 0
        self._values: npt.NDArray[Any] = np.empty(min(expected, _ROOM), _SMALLEST[kind])
        self._codes: dict[int, int] = {}

    def append(self, part: npt.NDArray[Any]) -> None:
        """Add elements: int64, or strings."""
        if self._kind == "narrow":
            part = narrow(part)
        elif self._kind == "coded":
            part = self._encoded(part)
        end = self._used + len(part)
        room = len(self._values) if end <= len(self._values) else max(end, 2 * len(self._values))
        kind = np.promote_types(self._values.dtype, part.dtype)
        if kind != self._values.dtype or room != len(self._values):
            values = np.empty(room, kind)
            values[: self._used] = self._values[: self._used]
            self._values = values
        self._values[self._used : end] = part
        self._used = end

    def column(self) -> Column:
        """All elements."""
        values = self._values[: self._used]
        if self._kind != "coded":
            return values
        return Coded(np.array(list(self._codes), np.int64), values)

    def _encoded(self, part: Int64s) -> Integers:
        if len(part) and (part == part[0]).all():  # most often there is one process or thread
            code, values = np.zeros(len(part), np.intp), part[:1]
        else:
            code, values = pd.factorize(part)
        own = [self._codes.setdefault(value, len(self._codes)) for value in values.tolist()]
        return np.array(own, _code_type(len(self._codes)))[code]


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
        """Names as nsys prints them, the domain in front: `TensorRT:Conv_1`; `""` for no name."""
        pairs = zip(self.domain, self.name, strict=True)
        return [f"{domain}:{name}" if domain and name else str(name) for domain, name in pairs]


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


@dataclass(frozen=True)
class Profile:
    """One export of nsys, or a file in the same schema.

    Attributes:
        path: the file.
        tables: names of all tables in it; an absent table means "not recorded", not zero.
        capture: what the export says of the capture itself.
        ranges: NVTX ranges that end on the thread that opened them.
        cross_thread_ranges: ranges left out because another thread ended them (as in nsys).
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
    """

    path: Path
    tables: frozenset[str]
    capture: Capture
    ranges: Ranges
    cross_thread_ranges: int
    calls: Calls
    kernels: Operations
    copies: Operations
    migrations: int
    migration_ns: int
    memsets: Operations
    graphs: Operations
    kernel_names: dict[int, str]
    forgotten_ranges: int = 0

    @property
    def whole_graphs(self) -> int:
        """CUDA graph launches traced as a whole."""
        return len(self.graphs)
