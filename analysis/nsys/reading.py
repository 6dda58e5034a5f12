"""Reading the records of a profile, whichever schema it was exported in.

Tables and columns are probed, never assumed: exports of 2020 to 2026 differ in both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from adscale.errors import ProfileError

from .bulk import Field, Reader
from .capture import read_capture
from .database import Database, open_database
from .power import read_power
from .ranges import TABLE, read_ranges
from .records import CALLS, KERNELS, Calls, Coded, Operations, Profile, process_of

_COPIES, _MEMSETS, _GRAPHS = (
    f"CUPTI_ACTIVITY_KIND_{kind}" for kind in ("MEMCPY", "MEMSET", "GRAPH_TRACE")
)
_MIGRATIONS = "copyKind IN (11, 12, 13)"
"""Copies of unified memory, which the driver makes by itself: no call has launched them."""

OnProgress = Callable[[int, int], None]
"""Is told how many rows have been passed, and of how many; called from several threads."""


def read_profile(
    path: Path,
    *,
    reader: Reader = "auto",
    with_streams: bool = False,
    with_categories: bool = True,
    with_power: bool = False,
    on_progress: OnProgress | None = None,
) -> Profile:
    """Read an nsys export (or a file in its schema).

    Args:
        path: the SQLite file; opened read-only.
        reader: what bulk columns are read with; the result is the same.
        with_streams: read the device, the stream and the context of each operation as well.
        with_categories: read the categories of the ranges as well.
        with_power: read samples of the GPU's power as well.
        on_progress: told of the progress.

    Raises:
        ProfileError: the file is missing, empty, truncated, or no export of nsys.
    """
    progress = _Progress(on_progress)
    with open_database(path, reader, progress.advance) as database:
        tables = (TABLE, CALLS, KERNELS, _COPIES, _MEMSETS, _GRAPHS)
        progress.total = database.expected_rows(tables)
        ranges, crossing = read_ranges(database, with_categories=with_categories)
        calls = _calls(database)
        process = _only_process(calls)
        kernels, copies, memsets, graphs = (
            _operations(database, table, process, with_streams) for table in tables[2:]
        )
        kernels, kernel_names = _named(database, kernels)
        migrations, migration_ns = _migrations(database)
        return Profile(
            path=path,
            tables=database.tables,
            capture=read_capture(database, calls, kernels, len(graphs)),
            ranges=ranges,
            crossing=crossing,
            calls=calls,
            kernels=kernels,
            copies=copies,
            migrations=migrations,
            migration_ns=migration_ns,
            memsets=memsets,
            graphs=graphs,
            kernel_names=kernel_names,
            power=read_power(database) if with_power else (None, ""),
        )


class _Progress:
    def __init__(self, on_progress: OnProgress | None) -> None:
        self.total = 0
        self._passed = 0
        self._on_progress = on_progress
        self._lock = Lock()

    def advance(self, rows: int) -> None:
        if self._on_progress is not None:
            with self._lock:
                self._passed += rows
                self._on_progress(self._passed, self.total)


def _calls(database: Database) -> Calls:
    if not database.has(CALLS):
        times = np.empty(0, np.int64)
        return Calls(times, times, Coded.of([]), times)
    database.require(CALLS, "start", "end", "globalTid", "correlationId")
    fields = [
        Field("start"),
        Field('"end"'),
        Field("globalTid", "coded"),
        Field(database.value(CALLS, "correlationId"), "narrow"),
    ]
    if "nameId" in database.columns(CALLS):
        fields.append(Field(database.value(CALLS, "nameId"), "coded"))
    where = database.complete(CALLS, "start", "end", "globalTid")
    columns: list[Any] = list(database.read(fields, CALLS, where))
    return Calls(*columns)


def _only_process(calls: Calls) -> int | None:
    """The `globalPid` of the only process that made calls, −1 if none did; None for several."""
    processes = np.unique(process_of(calls.thread.distinct)).tolist()
    return None if len(processes) > 1 else int([-1, *processes][-1])


def _operations(
    database: Database, table: str, process: int | None, with_streams: bool
) -> Operations:
    """Rows of a table of operations, by their starts.

    Args:
        database: the export.
        table: its name.
        process: `globalPid` of the operations that do not tell theirs; None if it is unknown.
        with_streams: whether to read devices, streams and contexts.
    """
    if not database.has(table):
        times, codes = np.empty(0, np.int64), Coded.of([])
        streams = (codes, codes, codes) if with_streams else ()
        return Operations(times, times, codes, times, codes, *streams)
    database.require(table, "start", "end", "correlationId")
    if process is None and "globalPid" not in database.columns(table):
        what = f"table {table} has no column globalPid, and several processes made calls"
        remedy = "without it launches cannot be found; export again with all columns"
        raise ProfileError(database.path, what, remedy)
    fields = _operation_fields(database, table, process, with_streams)
    conditions = [database.complete(table, "start", "end")]
    if table == _COPIES and "copyKind" in database.columns(table):
        conditions.append(f"COALESCE({_MIGRATIONS}, 0) = 0")
    where = " AND ".join(condition for condition in conditions if condition)
    columns: list[Any] = list(database.read(list(fields.values()), table, where))
    operations = Operations(**dict(zip(fields, columns, strict=True)))
    if bool((operations.start_ns[1:] >= operations.start_ns[:-1]).all()):
        return operations
    return operations.select(np.argsort(operations.start_ns, kind="stable"))


def _operation_fields(
    database: Database, table: str, process: int | None, with_streams: bool
) -> dict[str, Field]:
    """What to read of operations, by the attributes of `Operations`."""
    columns = database.columns(table)
    named = sorted({"demangledName", "shortName"} & columns)
    fields = {
        "start_ns": Field("start"),
        "end_ns": Field('"end"'),
        "process": Field(
            database.value(table, "globalPid", -1 if process is None else process), "coded"
        ),
        "correlation": Field(database.value(table, "correlationId"), "narrow"),
        "name_id": Field(database.value(table, named[0]) if named else "-1", "coded"),
    }
    if with_streams:
        for name in ("device", "stream", "context"):
            fields[name] = Field(database.value(table, f"{name}Id"), "coded")
    if table in (_COPIES, _MEMSETS) and "bytes" in columns:
        fields["size_bytes"] = Field(database.value(table, "bytes"), "narrow")
    if table == _COPIES and "copyKind" in columns:
        fields["copy_kind"] = Field(database.value(table, "copyKind"), "coded")
    return fields


def _migrations(database: Database) -> tuple[int, int]:
    """Number of the copies of unified memory, and the sum of their durations."""
    if not database.has(_COPIES) or "copyKind" not in database.columns(_COPIES):
        return 0, 0
    columns = ["COUNT(*)", 'COALESCE(SUM("end" - start), 0)']
    ((count, total_ns),) = database.rows(columns, _COPIES, _MIGRATIONS)
    return int(count), int(total_ns)


def _named(database: Database, kernels: Operations) -> tuple[Operations, dict[int, str]]:
    """The kernels and their names; two ids of one name, as in anonymised exports, become one."""
    ids = kernels.name_id.distinct
    known = database.strings(ids)
    names = {int(name_id): known.get(name_id, f"kernel {name_id}") for name_id in ids.tolist()}
    first: dict[str, int] = {}
    for name_id, name in names.items():
        first.setdefault(name, name_id)
    if len(first) < len(names):
        distinct = np.array(list(first.values()), np.int64)
        position = {name: at for at, name in enumerate(first)}
        code = np.array([position[name] for name in names.values()], kernels.name_id.code.dtype)
        merged = Coded(distinct, code[kernels.name_id.code])
        kernels = replace(kernels, name_id=merged)
    return kernels, {name_id: name for name, name_id in first.items()}
