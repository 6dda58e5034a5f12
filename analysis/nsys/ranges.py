"""The NVTX ranges of an export, with the names that registered strings and other events give."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .bulk import Field
from .capture import session_end_ns
from .columns import Coded, Int64s, coded_as, factorized, strings
from .database import NULL, Database
from .records import THREAD_BITS, Crossing, Ranges, process_of

PUSH_POP_TYPES = (59, 70)
"""Event types of push/pop ranges, with an inline message and with a registered one."""

START_END_TYPES = (60, 71)
"""Event types of start/end ranges."""

MOST_OPEN = 16
"""Ranges of a thread that a profile may leave open before they are taken for forgotten."""

TABLE = "NVTX_EVENTS"
_DOMAIN_CREATED, _CATEGORY = 75, 33
_ELSEWHERE = 1 << 16
"""Is added to the event type of ranges that ended on another thread: a column less to read."""
_RANGE_TYPES = ", ".join(str(kind) for kind in (*PUSH_POP_TYPES, *START_END_TYPES))
_IS_RANGE = f"eventType IN ({_RANGE_TYPES}) AND globalTid IS NOT NULL AND start IS NOT NULL"


def read_ranges(database: Database, *, with_categories: bool = True) -> tuple[Ranges, Crossing]:
    """The ranges of a profile; apart from them those that end on another thread than they began.

    Names are the registered string where there is one, else the inline text. Ranges never closed
    end at the largest timestamp of all ranges, or where nsys has them end: at the end of the
    capture or behind it.

    Args:
        database: the export.
        with_categories: read the categories of the ranges as well; without, they are `""`.

    Returns:
        Both in the order of their rowids.

    Raises:
        ProfileError: the table lacks a column without which ranges cannot be read.
    """
    if not database.has(TABLE):
        return _no_ranges(), Crossing(_no_ranges(), Coded.of([]))
    database.require(TABLE, "start", "end", "eventType", "globalTid")
    columns = _range_columns(database, with_categories)
    row_id, start_ns, end_ns, thread, kind, domain, text_id, text, category = columns
    is_open = end_ns == NULL
    is_open[_ends_with_capture(end_ns, thread, session_end_ns(database))] = True
    if len(end_ns) and end_ns.min() == NULL:
        end_ns[end_ns == NULL] = max(start_ns.max(), end_ns.max())
    domains = _given_names(database, _DOMAIN_CREATED, ["domainId"])
    ranges = Ranges(
        row_id=row_id,
        start_ns=start_ns,
        end_ns=end_ns,
        thread=thread,
        is_push_pop=np.isin(kind.distinct % _ELSEWHERE, PUSH_POP_TYPES)[kind.code],
        is_open=is_open,
        domain=_given(domains, thread, domain),
        category=_category_names(database, thread, domain, category),
        name=_range_names(database, text_id, text),
    )
    stays = kind.distinct < _ELSEWHERE
    if stays.all():
        return ranges, Crossing(ranges.select(np.empty(0, np.int64)), Coded.of([]))
    is_own = stays[kind.code]
    rows = database.rows(["endGlobalTid"], TABLE, f"{_IS_RANGE} AND endGlobalTid IS NOT NULL")
    end_thread = Coded.of(np.array([row[0] for row in rows], np.int64))
    return ranges.select(np.flatnonzero(is_own)), Crossing(
        ranges.select(np.flatnonzero(~is_own)), end_thread
    )


def _ends_with_capture(end_ns: Int64s, thread: Coded, session_end_ns: int | None) -> Int64s:
    """Which ranges end together at the end of the capture or behind it, where nothing is closed.

    Where the end of the capture is unknown, more than `MOST_OPEN` of a thread that end together
    behind all others are taken for such: to close a range takes time.

    Args:
        end_ns: ends of all ranges; `NULL` where they have none of their own.
        thread: their threads.
        session_end_ns: end of the capture; None where it is unknown.

    Returns:
        Their positions.
    """
    last_ns = int(end_ns.max(initial=NULL))
    found = np.flatnonzero(end_ns == last_ns)
    if session_end_ns is None:
        code = thread.code[found]
        return found[np.bincount(code, minlength=1)[code] > MOST_OPEN]
    return found if NULL < session_end_ns <= last_ns else found[:0]


def _range_columns(database: Database, with_categories: bool) -> list[Any]:
    """The columns of `NVTX_EVENTS` that ranges are made of, without rows of other events."""
    has_row_ids = database.has_row_ids(TABLE)
    kind = "eventType"
    if "endGlobalTid" in database.columns(TABLE):
        kind = f"eventType + {_ELSEWHERE} * (endGlobalTid IS NOT NULL)"
    fields = [
        Field("rowid" if has_row_ids else "0", "narrow"),
        Field("start"),
        Field(_or_null(database, "end")),
        Field("globalTid", "coded"),
        Field(kind, "coded"),
        Field(_or_null(database, "domainId"), "coded"),
        Field(_or_null(database, "textId") if database.has("StringIds") else str(NULL), "coded"),
        Field(_text(database), "text"),
    ]
    if with_categories:
        fields.append(Field(_or_null(database, "category"), "coded"))
    columns: list[Any] = list(database.read(fields, TABLE, _IS_RANGE))
    if not has_row_ids:
        columns[0] = np.arange(1, len(columns[1]) + 1)
    return columns if with_categories else [*columns, None]


def _no_ranges() -> Ranges:
    numbers, flags = np.empty(0, np.int64), np.empty(0, np.bool_)
    texts = Coded.of_texts([])
    return Ranges(numbers, numbers, numbers, Coded.of(numbers), flags, flags, texts, texts, texts)


def _or_null(database: Database, column: str) -> str:
    return database.value(TABLE, column, NULL)


def _text(database: Database) -> str:
    return "COALESCE(CAST(text AS TEXT), '')" if "text" in database.columns(TABLE) else "''"


def _range_names(database: Database, text_id: Coded, text: Coded) -> Coded:
    """The registered string where there is one, else the inline text."""
    ids = text_id.distinct.tolist()
    registered = database.strings(text_id.distinct)
    if not registered:
        return text
    if len(text.distinct) <= 1:  # no inline text besides
        other = text.distinct.tolist()[0] if len(text.distinct) else ""
        return text_id.mapped([registered.get(value, other) for value in ids])
    known = np.array([value in registered for value in ids], np.bool_)
    names = [*(registered.get(value, "") for value in ids), *text.distinct.tolist()]
    code = np.where(
        known[text_id.code], text_id.code.astype(np.int32), text.code.astype(np.int32) + len(ids)
    )
    return coded_as(names, code)


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


def _given(names: Mapping[tuple[int, ...], str], thread: Coded, *keys: Coded) -> Coded:
    """Name of each combination of a process and keys; `""` where none was given."""
    columns = [process_of(thread.distinct), *(key.distinct for key in keys)]
    if not names or not len(thread):
        return Coded(strings([""]), np.zeros(len(thread), np.int8))
    code = thread.code.astype(np.int64)
    for key in keys:
        code = code * len(key.distinct) + key.code
    short, found = factorized(code)
    parts: list[list[int]] = []
    for values in reversed(columns):
        parts.insert(0, values[found % len(values)].tolist())
        found = found // len(values)
    texts = [names.get(key, "") for key in zip(*parts, strict=True)]
    return coded_as(texts, short)


def _category_names(
    database: Database, thread: Coded, domain: Coded, category: Coded | None
) -> Coded:
    """Name of each range's category, or its number; `""` for none, which is also category 0."""
    if category is None:
        return Coded(strings([""]), np.zeros(len(thread), np.int8))
    numbers = ["" if value in {NULL, 0} else str(value) for value in category.distinct.tolist()]
    own = category.mapped(numbers)
    names = _given_names(database, _CATEGORY, ["domainId", "category"])
    given = _given(names, thread, domain, category)
    if not names:
        return own
    texts = [*given.distinct.tolist(), *own.distinct.tolist()]
    code = np.where(given == "", own.code.astype(np.int32) + len(given.distinct), given.code)
    return coded_as(texts, code)
