"""Random profiles, written as SQLite files, and a quadratic reading of the rule to compare with.

The reference knows nothing of `analysis`: loops over plain tuples, every range tried on every
operation.
"""

from __future__ import annotations

import random
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import strategies as st

from tests.nsys_schema import EXPORTS, READ, ExportSchema

Row = dict[str, Any]
USUAL = ExportSchema(
    "",
    "",
    {name: EXPORTS["3.7.2"].tables[name] for name in READ[:5]}
    | {name: EXPORTS["3.24.0"].tables[name] for name in READ[5:7]},
)
"""The schema of nsys 2023.4.4, and of a later one the graphs that are traced as a whole."""
TABLES = {
    "kernels": "CUPTI_ACTIVITY_KIND_KERNEL",
    "copies": "CUPTI_ACTIVITY_KIND_MEMCPY",
    "memsets": "CUPTI_ACTIVITY_KIND_MEMSET",
    "graphs": "CUPTI_ACTIVITY_KIND_GRAPH_TRACE",
}
PROCESSES = (1 << 24, 2 << 24)
THREADS = (PROCESSES[0] | 1, PROCESSES[0] | 2, PROCESSES[1] | 1)
NAMES = ("a", "b", "c")
DOMAINS = {0: "", 1: "dom", 2: ""}
KERNEL_NAMES = ("gemm", "relu")
PUSH_POP, START_END = 59, 60


class Range(NamedTuple):
    """A row of NVTX_EVENTS."""

    thread: int
    start: int
    end: int | None
    style: int
    name: str
    domain: int
    is_registered: bool
    ends_elsewhere: bool

    @property
    def label(self) -> str:
        domain = DOMAINS[self.domain]
        return f"{domain}:{self.name}" if domain else self.name


class Call(NamedTuple):
    """A row of the RUNTIME table."""

    thread: int
    start: int
    end: int
    correlation: int


class Operation(NamedTuple):
    """A row of a table of GPU work."""

    kind: str
    process: int
    start: int
    end: int
    correlation: int
    device: int
    stream: int
    name: str
    graph_node: int | None
    context: int = 1
    size: int = 0
    copy_kind: int = 0

    @property
    def duration(self) -> int:
        return self.end - self.start


@dataclass
class Events:
    """All there is in a random profile."""

    ranges: list[Range] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)

    def write(self, path: Path, schema: ExportSchema = USUAL, shuffled: int | None = None) -> Path:
        """The SQLite file, a new one.

        Args:
            path: the file.
            schema: its tables.
            shuffled: seed of a random order of the rows; None: as they are.
        """
        path.unlink(missing_ok=True)
        order = None if shuffled is None else random.Random(shuffled)
        with closing(sqlite3.connect(path)) as connection, connection:
            quick = "PRAGMA synchronous = OFF; PRAGMA journal_mode = OFF;"
            connection.executescript(f"{quick} BEGIN; {schema.sql}")
            for table, rows in self._tables(schema).items():
                if order is not None:
                    order.shuffle(rows)
                _insert(connection, table, schema.tables[table], rows)
        return path

    def _tables(self, schema: ExportSchema) -> dict[str, list[Row]]:
        found: dict[str, list[Row]] = defaultdict(list)
        strings = {name: number for number, name in enumerate((*NAMES, *KERNEL_NAMES, "dom"), 10)}
        found["StringIds"] = [{"id": number, "value": name} for name, number in strings.items()]
        found["NVTX_EVENTS"] = list(self._events(strings))
        found["CUPTI_ACTIVITY_KIND_RUNTIME"] = [
            {
                "start": call.start, "end": call.end, "globalTid": call.thread,
                "correlationId": call.correlation, "nameId": 1,
            }
            for call in self.calls
        ]  # fmt: skip
        for operation in self.operations:
            found[TABLES[operation.kind]].append(_operation_row(operation, strings))
        if schema.meta is not None:
            told = {"EXPORT_PRODUCT_VERSION": schema.nsys, "EXPORT_SCHEMA_VERSION": schema.version}
            found[schema.meta] = [{"name": name, "value": text} for name, text in told.items()]
        return found

    def _events(self, strings: dict[str, int]) -> Iterator[Row]:
        for row in self.ranges:
            yield {
                "start": row.start, "end": row.end, "eventType": row.style,
                "globalTid": row.thread, "domainId": row.domain,
                "endGlobalTid": row.thread + 1 if row.ends_elsewhere else None,
                "text": None if row.is_registered else row.name,
                "textId": strings[row.name] if row.is_registered else None,
            }  # fmt: skip
        for process in PROCESSES:
            created = {"start": 0, "eventType": 75, "text": "dom", "domainId": 1}
            yield {**created, "globalTid": process | 9}


def _operation_row(operation: Operation, strings: dict[str, int]) -> Row:
    row: Row = {
        "start": operation.start, "end": operation.end, "deviceId": operation.device,
        "contextId": operation.context, "streamId": operation.stream,
        "correlationId": operation.correlation, "globalPid": operation.process,
        "bytes": operation.size, "copyKind": operation.copy_kind,
    }  # fmt: skip
    if operation.kind == "kernels":
        name = strings[operation.name]
        row |= {"demangledName": name, "shortName": name, "graphNodeId": operation.graph_node}
    return row


def _insert(
    connection: sqlite3.Connection, table: str, declared: dict[str, str], rows: list[Row]
) -> None:
    """Writes what a table has columns for; others that must not be null are 0."""
    given = {name for row in rows for name in row}
    absent = {name: 0 if "NOT NULL" in kind else None for name, kind in declared.items()}
    columns = [name for name in declared if name in given or absent[name] == 0]
    named = ", ".join(f'"{name}"' for name in columns)
    marks = ", ".join("?" * len(columns))
    connection.executemany(
        f"INSERT INTO {table} ({named}) VALUES ({marks})",
        [[row.get(name, absent[name]) for name in columns] for row in rows],
    )


_thread = st.sampled_from((THREADS[0], *THREADS))
_start = st.integers(-3, 20)
_ranges = st.builds(
    lambda thread, start, length, *rest: Range(
        thread, start, None if length is None else start + length, *rest
    ),
    _thread,
    _start,
    st.one_of(st.integers(0, 24), st.integers(0, 24), st.none()),
    st.sampled_from((PUSH_POP, START_END)),
    st.sampled_from(NAMES),
    st.sampled_from(sorted(DOMAINS)),
    st.booleans(),
    st.sampled_from((False,) * 7 + (True,)),
)
_calls = st.builds(
    lambda thread, start, length, correlation: Call(thread, start, start + length, correlation),
    _thread,
    st.integers(0, 20),
    st.integers(0, 3),
    st.integers(0, 9),
)


@st.composite
def _operations(draw: st.DrawFn, calls: list[Call]) -> Operation:
    """An operation of one of the calls, or now and then of none."""
    kind = draw(st.sampled_from(("kernels", "kernels", "kernels", *TABLES)))
    start = draw(st.integers(0, 40))
    end = start + draw(st.integers(0, 12))
    process, correlation = draw(st.sampled_from(PROCESSES)), draw(st.integers(0, 9))
    if calls and draw(st.integers(0, 5)):
        call = draw(st.sampled_from(calls))
        process, correlation = call.thread >> 24 << 24, call.correlation
    return Operation(
        kind, process, start, end, correlation,
        device=draw(st.integers(0, 1)), stream=draw(st.sampled_from((7, 13))),
        name=draw(st.sampled_from(KERNEL_NAMES)), graph_node=draw(st.sampled_from((None, 5))),
        context=draw(st.sampled_from((1, 1, 2))),
    )  # fmt: skip


@st.composite
def events(draw: st.DrawFn) -> Events:
    """Random profiles: nesting and overlap, graphs, missing ends, equal streams of processes."""
    ranges = draw(st.lists(_ranges, max_size=8))
    calls = draw(st.lists(_calls, max_size=8))
    return Events(ranges, calls, draw(st.lists(_operations(calls), max_size=14)))


class Reference:
    """The rule, word by word."""

    def __init__(self, given: Events) -> None:
        self.given = given
        ends = [moment for row in given.ranges for moment in (row.start, row.end)]
        latest = max((moment for moment in ends if moment is not None), default=0)
        self.ranges = [
            row._replace(end=latest if row.end is None else row.end)
            for row in given.ranges
            if not row.ends_elsewhere
        ]
        self.operations = given.operations
        self.launches = [self._launch(given.calls, operation) for operation in given.operations]
        self.paths = [self._path(at) for at in range(len(self.ranges))]

    @staticmethod
    def _launch(calls: list[Call], operation: Operation) -> Call | None:
        """Of the process's calls with that correlation id the last; of equal ones the later row."""
        matching = [
            (call.start, -call.end, row)
            for row, call in enumerate(calls)
            if call.correlation == operation.correlation
            and call.thread >> 24 == operation.process >> 24
        ]
        return calls[max(matching)[2]] if matching else None

    def inside(self, at: int, kind: str) -> list[Operation]:
        """Operations of a kind that were launched inside a range."""
        return [
            operation
            for operation, call in zip(self.operations, self.launches, strict=True)
            if operation.kind == kind and call is not None and self._encloses(at, call)
        ]

    def own(self, at: int, kind: str) -> list[Operation]:
        """Operations of a kind whose innermost range it is."""
        return [
            operation
            for operation, call in zip(self.operations, self.launches, strict=True)
            if operation.kind == kind
            and call is not None
            and self._innermost(call.thread, call.start, call.end, self._all()) == at
        ]

    def place(self, operation: Operation, by: str) -> str:
        """Label of the device of an operation, or of its stream: with what it is not alone by."""
        if by == "device":
            return str(operation.device)
        label = f"{operation.device}/{operation.stream}"
        others = [
            other
            for other in self.operations
            if (other.device, other.stream) == (operation.device, operation.stream)
        ]
        if any(other.process != operation.process for other in others):
            label += f" process {operation.process >> 24}"
        own = [other for other in others if other.process == operation.process]
        if any(other.context != operation.context for other in own):
            label += f" context {operation.context}"
        return label

    def _all(self) -> Iterable[int]:
        return range(len(self.ranges))

    def _encloses(self, at: int, call: Call) -> bool:
        row = self.ranges[at]
        assert row.end is not None
        return row.thread == call.thread and row.start <= call.start and call.end <= row.end

    def _innermost(self, thread: int, start: int, end: int, among: Iterable[int]) -> int:
        around = [at for at in among if self._encloses(at, Call(thread, start, end, 0))]
        key = {at: (self.ranges[at].start, -(self.ranges[at].end or 0), at) for at in around}
        return max(around, key=key.__getitem__, default=-1)

    def _path(self, at: int) -> str:
        row = self.ranges[at]
        assert row.end is not None
        others = [
            other
            for other in self._all()
            if other != at
            and (
                (self.ranges[other].start, self.ranges[other].end) != (row.start, row.end)
                or other < at
            )
        ]
        parent = self._innermost(row.thread, row.start, row.end, others)
        return f"{self._path(parent)} > {row.label}" if parent >= 0 else row.label


def covered(operations: Iterable[Operation]) -> int:
    """Length of the union, counted instant by instant."""
    return len({moment for op in operations for moment in range(op.start, op.end)})


def span(operations: list[Operation]) -> int:
    """Last end minus first start; 0 for nothing."""
    if not operations:
        return 0
    return max(op.end for op in operations) - min(op.start for op in operations)
