"""Reading NVTX ranges: their names, their domains, and where they end."""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.nsys.database import Database
from analysis.nsys.records import Ranges, process_of

PUSH_POP_TYPES = (59, 70)
"""Event types of push/pop ranges, with an inline message and with a registered one."""

START_END_TYPES = (60, 71)
"""Event types of start/end ranges."""

_DOMAIN_CREATED = 75
_RANGE_TYPES = ", ".join(str(kind) for kind in (*PUSH_POP_TYPES, *START_END_TYPES))


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
    if "NVTX_EVENTS" not in database.tables:
        return _as_columns([], {}), 0
    database.require("NVTX_EVENTS", "start", "end", "eventType", "globalTid")
    columns = ["e.rowid", "e.start", 'e."end"', "e.globalTid", "e.eventType"]
    columns += [_optional(database, "domainId"), _optional(database, "endGlobalTid")]
    is_range = f"e.eventType IN ({_RANGE_TYPES}) AND e.globalTid IS NOT NULL"
    rows = database.rows([*columns, _text(database)], _source(database), is_range, "e.rowid")
    last_ns = max((max(row[1], row[1] if row[2] is None else row[2]) for row in rows), default=0)
    own = [row for row in rows if row[6] is None]
    closed = [(*row[:2], last_ns if row[2] is None else row[2], *row[3:]) for row in own]
    is_open = np.array([row[2] is None for row in own], dtype=np.bool_)
    return _as_columns(closed, _domain_names(database), is_open), len(rows) - len(own)


def _optional(database: Database, column: str) -> str:
    return f"e.{column}" if column in database.columns("NVTX_EVENTS") else "NULL"


def _is_registered(database: Database) -> bool:
    return "StringIds" in database.tables and "textId" in database.columns("NVTX_EVENTS")


def _text(database: Database) -> str:
    """SQL for the text of an event `e`, or NULL."""
    texts = ["s.value"] if _is_registered(database) else []
    return f"COALESCE({', '.join([*texts, _optional(database, 'text'), 'NULL'])})"


def _source(database: Database) -> str:
    join = "LEFT JOIN StringIds AS s ON s.id = e.textId" if _is_registered(database) else ""
    return f"NVTX_EVENTS AS e {join}"


def _domain_names(database: Database) -> dict[tuple[int, int], str]:
    """Names of the domains by (process, domain id); the first row that names one counts.

    Two rows for one domain happen when a library registers it twice; nsys fails on them.
    """
    if "domainId" not in database.columns("NVTX_EVENTS"):
        return {}
    columns = ["e.globalTid", "e.domainId", _text(database)]
    created = f"e.eventType = {_DOMAIN_CREATED} AND e.globalTid IS NOT NULL"
    rows = database.rows(columns, _source(database), created, "e.rowid DESC")
    threads = np.array([row[0] for row in rows], dtype=np.int64)
    processes = process_of(threads).tolist()
    return {
        (process, row[1]): str(row[2])
        for process, row in zip(processes, rows, strict=True)
        if row[2] is not None
    }


def _as_columns(
    rows: list[tuple[Any, ...]],
    domain_names: dict[tuple[int, int], str],
    is_open: np.typing.NDArray[np.bool_] | None = None,
) -> Ranges:
    numbers = np.array([row[:5] for row in rows], dtype=np.int64).reshape(-1, 5)
    processes = process_of(numbers[:, 3]).tolist()
    domains = np.empty(len(rows), dtype=object)
    domains[:] = [
        domain_names.get((process, row[5]), "")
        for process, row in zip(processes, rows, strict=True)
    ]
    names = np.empty(len(rows), dtype=object)
    names[:] = ["" if row[7] is None else str(row[7]) for row in rows]
    return Ranges(
        row_id=numbers[:, 0],
        start_ns=numbers[:, 1],
        end_ns=numbers[:, 2],
        thread=numbers[:, 3],
        is_push_pop=np.isin(numbers[:, 4], PUSH_POP_TYPES),
        is_open=np.zeros(len(rows), np.bool_) if is_open is None else is_open,
        domain=domains,
        name=names,
    )
