"""The NVTX ranges of an export, with the names that registered strings and other events give."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from .bulk import Field
from .capture import session_end_ns
from .database import NULL, Database
from .records import THREAD_BITS, Bools, Coded, Int64s, Ranges, Strings, process_of

PUSH_POP_TYPES = (59, 70)
"""Event types of push/pop ranges, with an inline message and with a registered one."""

START_END_TYPES = (60, 71)
"""Event types of start/end ranges."""

TABLE = "NVTX_EVENTS"
_DOMAIN_CREATED, _CATEGORY = 75, 33
_RANGE_TYPES = ", ".join(str(kind) for kind in (*PUSH_POP_TYPES, *START_END_TYPES))


def read_ranges(database: Database) -> tuple[Ranges, int]:
    """The ranges of a profile that end on the thread that opened them.

    Names are the registered string where there is one, else the inline text. Ranges that another
    thread ended are counted and left out, as nsys does. Ranges never closed end at the largest
    timestamp of all ranges, or where nsys has them end: at the end of the capture or behind it.

    Returns:
        The ranges in the order of their rowids, and how many were left out.

    Raises:
        ProfileError: the table lacks a column without which ranges cannot be read.
    """
    if not database.has(TABLE):
        return _no_ranges(), 0
    database.require(TABLE, "start", "end", "eventType", "globalTid")
    columns = _range_columns(database)
    row_id, start_ns, end_ns, thread, kind, domain, category, text_id, elsewhere, text = columns
    has_no_end = end_ns == NULL
    last_ns = max(start_ns.max(), end_ns.max()) if len(start_ns) else 0
    process = process_of(thread)
    domains = _given_names(database, _DOMAIN_CREATED, ["domainId"])
    categories = _given_names(database, _CATEGORY, ["domainId", "category"])
    ranges = Ranges(
        row_id=row_id,
        start_ns=start_ns,
        end_ns=np.where(has_no_end, last_ns, end_ns),
        thread=thread,
        is_push_pop=np.isin(kind, PUSH_POP_TYPES),
        is_open=has_no_end | _ends_with_capture(end_ns, session_end_ns(database)),
        domain=_looked_up(domains, "", process, domain),
        category=_category_names(categories, process, domain, category),
        name=_range_names(database, text_id, text),
    )
    left_out = int(np.count_nonzero(elsewhere))
    return (ranges.select(elsewhere == 0) if left_out else ranges), left_out


def _ends_with_capture(end_ns: Int64s, session_end_ns: int | None) -> Bools:
    """Which ranges end together at the end of the capture or behind it, where nothing is closed."""
    if session_end_ns is None or not len(end_ns):
        return np.zeros(len(end_ns), np.bool_)
    last_ns = end_ns.max()
    found: Bools = (end_ns == last_ns) & (last_ns >= session_end_ns)
    return found


def _range_columns(database: Database) -> list[Any]:
    """The columns of `NVTX_EVENTS` that ranges are made of, without rows of other events."""
    has_row_ids = database.has_row_ids(TABLE)
    fields = [
        Field("rowid" if has_row_ids else "0"),
        Field("start"),
        Field(_or_null(database, "end")),
        Field("globalTid"),
        Field("eventType", "narrow"),
        Field(_or_null(database, "domainId")),
        Field(_or_null(database, "category")),
        Field(_or_null(database, "textId") if database.has("StringIds") else str(NULL)),
        Field(f"{_or_null(database, 'endGlobalTid')} <> {NULL}", "narrow"),
        Field(_text(database), "text"),
    ]
    where = f"eventType IN ({_RANGE_TYPES}) AND globalTid IS NOT NULL AND start IS NOT NULL"
    columns: list[Any] = list(database.read(fields, TABLE, where))
    if not has_row_ids:
        columns[0] = np.arange(1, len(columns[1]) + 1)
    return columns


def _no_ranges() -> Ranges:
    numbers, flags, texts = np.empty(0, np.int64), np.empty(0, np.bool_), np.empty(0, object)
    return Ranges(numbers, numbers, numbers, numbers, flags, flags, texts, texts, texts)


def _or_null(database: Database, column: str) -> str:
    return database.value(TABLE, column, NULL)


def _text(database: Database) -> str:
    return "COALESCE(CAST(text AS TEXT), '')" if "text" in database.columns(TABLE) else "''"


def _range_names(database: Database, text_id: Int64s, text: Strings) -> Strings:
    """The registered string where there is one, else the inline text."""
    coded = Coded.of(text_id)
    registered = database.strings(coded.distinct)
    if not registered:
        return text
    known = np.array([value in registered for value in coded.distinct.tolist()], np.bool_)
    named = np.empty(len(known), object)
    named[:] = [registered.get(value, "") for value in coded.distinct.tolist()]
    return np.where(known[coded.code], named[coded.code], text)


def _given_names(database: Database, kind: int, keys: list[str]) -> dict[tuple[int, ...], str]:
    """Names that events give to numbers of a process; the earliest event that names one counts.

    Two rows for one domain happen when a library registers it twice; nsys takes the earliest of a
    thread, and fails on those of two threads.
    """
    if not set(keys) <= database.columns(TABLE):
        return {}
    columns = ["globalTid", *(f"COALESCE({key}, {NULL})" for key in keys)]
    columns += [_or_null(database, "textId"), _text(database)]
    order = "start IS NULL, start" + (", rowid" if database.has_row_ids(TABLE) else "")
    where = f"eventType = {kind} AND globalTid IS NOT NULL"
    rows = database.rows(columns, TABLE, where, order)
    if any(not isinstance(value, int) for row in rows for value in row[:-1]):
        raise TypeError(f"text or a real number where {', '.join(keys)} belongs")
    registered = database.strings(np.array([row[-2] for row in rows], np.int64))
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
    numbers[:] = ["" if value in {NULL, 0} else str(value) for value in coded.distinct.tolist()]
    named = _looked_up(names, "", process, domain, category)
    return np.where(named == "", numbers[coded.code], named)
