"""Reading the records of a profile, whichever schema it was exported in.

Tables and columns are probed, never assumed: exports of 2020 to 2026 differ in both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import pandas as pd

from .bulk import Field, Reader
from .database import Database, open_database
from .records import (
    THREAD_BITS,
    Calls,
    Coded,
    Int64s,
    Operations,
    Profile,
    Ranges,
    Strings,
    process_of,
)

PUSH_POP_TYPES = (59, 70)
"""Event types of push/pop ranges, with an inline message and with a registered one."""

START_END_TYPES = (60, 71)
"""Event types of start/end ranges."""

TABLE = "NVTX_EVENTS"
_DOMAIN_CREATED, _CATEGORY = 75, 33
_RANGE_TYPES = ", ".join(str(kind) for kind in (*PUSH_POP_TYPES, *START_END_TYPES))
_NULL = int(np.iinfo(np.int64).min)


def read_ranges(database: Database) -> tuple[Ranges, int]:
    """The ranges of a profile that end on the thread that opened them.

    Names are the registered string where there is one, else the inline text. Ranges that another
    thread ended are counted and left out, as nsys does. Ranges never closed end at the largest
    timestamp of all ranges.

    Returns:
        The ranges in the order of their rowids, and how many were left out.

    Raises:
        ProfileError: the table lacks a column without which ranges cannot be read.
    """
    if TABLE not in database.tables:
        return _no_ranges(), 0
    database.require(TABLE, "start", "end", "eventType", "globalTid")
    has_row_ids = database.has_row_ids(TABLE)
    fields = [
        Field("rowid" if has_row_ids else "0"),
        Field("start"),
        Field(_or_null(database, "end")),
        Field("globalTid"),
        Field("eventType", "narrow"),
        Field(_or_null(database, "domainId")),
        Field(_or_null(database, "category")),
        Field(_or_null(database, "textId") if "StringIds" in database.tables else str(_NULL)),
        Field(f"{_or_null(database, 'endGlobalTid')} <> {_NULL}", "narrow"),
        Field(_text(database), "text"),
    ]
    where = f"eventType IN ({_RANGE_TYPES}) AND globalTid IS NOT NULL AND start IS NOT NULL"
    columns: list[Any] = list(database.read(fields, TABLE, where))
    row_id, start_ns, end_ns, thread, kind, domain, category, text_id, elsewhere, text = columns
    if not has_row_ids:
        row_id = np.arange(1, len(start_ns) + 1)
    is_open = end_ns == _NULL
    last_ns = max(start_ns.max(), end_ns.max()) if len(start_ns) else 0
    process = process_of(thread)
    domains = _given_names(database, _DOMAIN_CREATED, ["domainId"])
    categories = _given_names(database, _CATEGORY, ["domainId", "category"])
    ranges = Ranges(
        row_id=row_id,
        start_ns=start_ns,
        end_ns=np.where(is_open, last_ns, end_ns),
        thread=thread,
        is_push_pop=np.isin(kind, PUSH_POP_TYPES),
        is_open=is_open,
        domain=_looked_up(domains, "", process, domain),
        category=_category_names(categories, process, domain, category),
        name=_range_names(database, text_id, text),
    )
    left_out = int(np.count_nonzero(elsewhere))
    return (ranges.select(elsewhere == 0) if left_out else ranges), left_out


def _no_ranges() -> Ranges:
    numbers, flags, texts = np.empty(0, np.int64), np.empty(0, np.bool_), np.empty(0, object)
    return Ranges(numbers, numbers, numbers, numbers, flags, flags, texts, texts, texts)


def _or_null(database: Database, column: str) -> str:
    return database.value(TABLE, column, _NULL)


def _text(database: Database) -> str:
    return "COALESCE(CAST(text AS TEXT), '')" if "text" in database.columns(TABLE) else "''"


def _range_names(database: Database, text_id: Int64s, text: Strings) -> Strings:
    """The registered string where there is one, else the inline text."""
    coded = Coded.of(text_id)
    registered = strings_of(database, coded.distinct)
    if not registered:
        return text
    known = np.array([value in registered for value in coded.distinct.tolist()], np.bool_)
    named = np.empty(len(known), object)
    named[:] = [registered.get(value, "") for value in coded.distinct.tolist()]
    return np.where(known[coded.code], named[coded.code], text)


def strings_of(database: Database, ids: Int64s) -> dict[int, str]:
    """The strings with these ids, of those that exist."""
    wanted = set(ids.tolist()) - {_NULL}
    if not wanted or not {"id", "value"} <= database.columns("StringIds"):
        return {}
    few = len(wanted) <= 500
    where = f"id IN ({', '.join(map(str, wanted))})" if few else ""
    rows = database.rows(["id", "CAST(value AS TEXT)"], "StringIds", where)
    return {row[0]: row[1] for row in rows if row[0] in wanted and row[1] is not None}


def _given_names(database: Database, kind: int, keys: list[str]) -> dict[tuple[int, ...], str]:
    """Names that events give to numbers of a process; the first row that names one counts.

    Two rows for one domain happen when a library registers it twice; nsys fails on them.
    """
    if not set(keys) <= database.columns(TABLE):
        return {}
    columns = ["globalTid", *(f"COALESCE({key}, {_NULL})" for key in keys)]
    columns += [_or_null(database, "textId"), _text(database)]
    order = "rowid" if database.has_row_ids(TABLE) else ""
    where = f"eventType = {kind} AND globalTid IS NOT NULL"
    rows = database.rows(columns, TABLE, where, order)
    if any(not isinstance(value, int) for row in rows for value in row[:-1]):
        raise TypeError(f"text or a real number where {', '.join(keys)} belongs")
    registered = strings_of(database, np.array([row[-2] for row in rows], np.int64))
    named: dict[tuple[int, ...], str] = {}
    for row in rows:
        process = row[0] & ~((1 << THREAD_BITS) - 1)
        name = registered.get(row[-2], row[-1])
        if name:
            named.setdefault((process, *row[1:-2]), name)
    return named


def _looked_up(names: Mapping[tuple[int, ...], str], other: str, *keys: Int64s) -> Strings:
    """Name of each combination of keys."""
    frame = pd.DataFrame(dict(enumerate(keys)))
    code = frame.groupby(list(frame.columns), sort=False).ngroup().to_numpy()
    first = np.unique(code, return_index=True)[1]
    found = np.empty(len(first), object)
    found[:] = [
        names.get(key, other) for key in zip(*(k[first].tolist() for k in keys), strict=True)
    ]
    return found[code]


def _category_names(
    names: Mapping[tuple[int, ...], str], process: Int64s, domain: Int64s, category: Int64s
) -> Strings:
    """Name of each range's category, or its number; `""` for none, which is also category 0."""
    coded = Coded.of(category)
    numbers = np.empty(len(coded.distinct), object)
    numbers[:] = ["" if value in {_NULL, 0} else str(value) for value in coded.distinct.tolist()]
    named = _looked_up(names, "", process, domain, category)
    return np.where(named == "", numbers[coded.code], named)


_CUPTI = "CUPTI_ACTIVITY_KIND_"
_CALLS = f"{_CUPTI}RUNTIME"
_KERNELS, _COPIES, _MEMSETS, _GRAPHS = (
    f"{_CUPTI}{kind}" for kind in ("KERNEL", "MEMCPY", "MEMSET", "GRAPH_TRACE")
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
        tables = (TABLE, _CALLS, _KERNELS, _COPIES, _MEMSETS, _GRAPHS)
        progress.total = database.expected_rows(tables)
        ranges, cross_thread_ranges = read_ranges(database)
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
        of_streams = ("deviceId", "streamId", "contextId")
        fields += [Field(database.value(table, column), "coded") for column in of_streams]
    where = database.complete(table, "start", "end")
    columns: list[Any] = list(database.read(fields, table, where))
    operations = Operations(*columns)
    if bool((operations.start_ns[1:] >= operations.start_ns[:-1]).all()):
        return operations
    return operations.select(np.argsort(operations.start_ns, kind="stable"))


def _kernel_names(database: Database, kernels: Operations) -> dict[int, str]:
    used = kernels.name_id.distinct
    names = {int(name_id): f"kernel {name_id}" for name_id in used}
    return {**names, **strings_of(database, used)}


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
