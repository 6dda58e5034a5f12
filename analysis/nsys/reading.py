"""Reading the records of a profile, whichever schema it was exported in.

Tables and columns are probed, never assumed: exports of 2020 to 2026 differ in both.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from . import range_reading
from .bulk import Field, Reader
from .columns import Coded
from .database import Database, open_database
from .records import Calls, Operations, Profile

_PREFIX = "CUPTI_ACTIVITY_KIND_"
_CALLS = f"{_PREFIX}RUNTIME"
_KERNELS, _COPIES, _MEMSETS, _GRAPHS = (
    f"{_PREFIX}{kind}" for kind in ("KERNEL", "MEMCPY", "MEMSET", "GRAPH_TRACE")
)

OnProgress = Callable[[int, int], None]
"""Is told how many rows have been passed, and of how many; called from several threads."""


def read_profile(
    path: Path,
    *,
    reader: Reader = "auto",
    with_streams: bool = False,
    on_progress: OnProgress | None = None,
) -> Profile:
    """Read an nsys export (or a file in its schema).

    Args:
        path: the SQLite file; opened read-only.
        reader: what bulk columns are read with; the result is the same.
        with_streams: read the device, the stream and the context of each operation as well.
        on_progress: told of the progress.

    Raises:
        ProfileError: the file is missing, empty, truncated, or no export of nsys.
    """
    progress = _Progress(on_progress)
    with open_database(path, reader, progress.advance) as database:
        tables = (range_reading.TABLE, _CALLS, _KERNELS, _COPIES, _MEMSETS, _GRAPHS)
        progress.total = database.expected_rows(tables)
        ranges, cross_thread_ranges = range_reading.read_ranges(database)
        kernels = _operations(database, _KERNELS, with_streams)
        return Profile(
            path=path,
            tables=database.tables,
            schema_version=_schema_version(database),
            ranges=ranges,
            cross_thread_ranges=cross_thread_ranges,
            calls=_calls(database),
            kernels=kernels,
            copies=_operations(database, _COPIES, with_streams),
            memsets=_operations(database, _MEMSETS, with_streams),
            graphs=_operations(database, _GRAPHS, with_streams),
            kernel_names=_kernel_names(database, kernels),
            messages=_messages(database),
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
    if _CALLS not in database.tables:
        times = np.empty(0, np.int64)
        return Calls(times, times, Coded.of([]), times)
    database.require(_CALLS, "start", "end", "globalTid", "correlationId")
    fields = [
        Field("start"),
        Field('"end"'),
        Field("globalTid", "coded"),
        Field(database.value(_CALLS, "correlationId"), "narrow"),
    ]
    where = database.complete(_CALLS, "start", "end", "globalTid")
    columns: list[Any] = list(database.read(fields, _CALLS, where))
    return Calls(*columns)


def _operations(database: Database, table: str, with_streams: bool) -> Operations:
    """Rows of a table of operations, by their starts."""
    if table not in database.tables:
        times, codes = np.empty(0, np.int64), Coded.of([])
        streams = (codes, codes, codes) if with_streams else ()
        return Operations(times, times, codes, times, codes, *streams)
    database.require(table, "start", "end", "globalPid", "correlationId")
    named = sorted({"demangledName", "shortName"} & database.columns(table))
    fields = [
        Field("start"),
        Field('"end"'),
        Field(database.value(table, "globalPid"), "coded"),
        Field(database.value(table, "correlationId"), "narrow"),
        Field(database.value(table, named[0]) if named else "-1", "coded"),
    ]
    if with_streams:
        places = ("deviceId", "streamId", "contextId")
        fields += [Field(database.value(table, column), "coded") for column in places]
    where = database.complete(table, "start", "end")
    columns: list[Any] = list(database.read(fields, table, where))
    operations = Operations(*columns)
    if bool((operations.start_ns[1:] >= operations.start_ns[:-1]).all()):
        return operations
    return operations.select(np.argsort(operations.start_ns, kind="stable"))


def _kernel_names(database: Database, kernels: Operations) -> dict[int, str]:
    used = kernels.name_id.distinct
    names = {int(name_id): f"kernel {name_id}" for name_id in used}
    return {**names, **range_reading.strings_of(database, used)}


def _messages(database: Database) -> tuple[str, ...]:
    if "value" not in database.columns("StringIds"):
        return ()
    about_events = ("events collected", "compatib", "extension", "support")
    matching = " OR ".join(f"value LIKE '%{word}%'" for word in about_events)
    where = f"value LIKE '%NVTX%' AND value LIKE '% % %' AND ({matching})"
    return tuple(str(row[0]) for row in database.rows(["value"], "StringIds", where, "rowid"))


def _schema_version(database: Database) -> str | None:
    for table in ("META_DATA_EXPORT", "EXPORT_META_DATA"):
        if {"name", "value"} <= database.columns(table):
            for row in database.rows(["value"], table, "name = 'EXPORT_SCHEMA_VERSION'"):
                return str(row[0])
    return None
