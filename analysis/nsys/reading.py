"""Reading the records of a profile, whichever schema it was exported in.

Tables and columns are probed, never assumed: exports of 2020 to 2026 differ in both.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from analysis.nsys.database import Database, open_database
from analysis.nsys.range_reading import read_ranges
from analysis.nsys.records import Calls, Operations, Profile

_PREFIX = "CUPTI_ACTIVITY_KIND_"


def read_profile(path: Path) -> Profile:
    """Read an nsys export (or a file in its schema).

    Args:
        path: the SQLite file; opened read-only.

    Raises:
        ProfileError: the file is missing, empty, truncated, or no export of nsys.
    """
    with open_database(path) as database:
        ranges, cross_thread_ranges = read_ranges(database)
        kernels = _operations(database, f"{_PREFIX}KERNEL")
        return Profile(
            path=path,
            tables=database.tables,
            schema_version=_schema_version(database),
            ranges=ranges,
            cross_thread_ranges=cross_thread_ranges,
            calls=_calls(database),
            kernels=kernels,
            copies=_operations(database, f"{_PREFIX}MEMCPY"),
            memsets=_operations(database, f"{_PREFIX}MEMSET"),
            whole_graphs=_count(database, f"{_PREFIX}GRAPH_TRACE"),
            kernel_names=_strings_of(database, kernels),
            messages=_messages(database),
        )


def _calls(database: Database) -> Calls:
    table = f"{_PREFIX}RUNTIME"
    if table not in database.tables:
        return Calls(*(np.empty(0, np.int64) for _ in range(4)))
    database.require(table, "start", "end", "globalTid", "correlationId")
    columns = ["start", '"end"', "globalTid", "COALESCE(correlationId, -1)"]
    where = '"end" IS NOT NULL AND globalTid IS NOT NULL'
    return Calls(*database.integers(columns, table, where))


def _operations(database: Database, table: str) -> Operations:
    if table not in database.tables:
        return Operations(*(np.empty(0, np.int64) for _ in range(5)))
    database.require(table, "start", "end", "globalPid", "correlationId")
    named = sorted({"demangledName", "shortName"} & database.columns(table))
    nullable = ["globalPid", "correlationId", *named[:1]]
    columns = ["start", '"end"', *(f"COALESCE({column}, -1)" for column in nullable)]
    columns += [] if named else ["-1"]
    return Operations(*database.integers(columns, table, '"end" IS NOT NULL'))


def _count(database: Database, table: str) -> int:
    if table not in database.tables:
        return 0
    return int(database.rows(["COUNT(*)"], table)[0][0])


def _strings_of(database: Database, kernels: Operations) -> dict[int, str]:
    used = np.unique(kernels.name_id)
    names = {int(name_id): f"kernel {name_id}" for name_id in used}
    if "StringIds" in database.tables:
        rows = database.rows(["id", "value"], "StringIds")
        names.update((int(row[0]), str(row[1])) for row in rows if row[0] in names)
    return names


def _messages(database: Database) -> tuple[str, ...]:
    if "StringIds" not in database.tables:
        return ()
    about_events = ("events collected", "compatib", "extension", "support")
    matching = " OR ".join(f"value LIKE '%{word}%'" for word in about_events)
    where = f"value LIKE '%NVTX%' AND value LIKE '% % %' AND ({matching})"
    return tuple(str(row[0]) for row in database.rows(["value"], "StringIds", where, "id"))


def _schema_version(database: Database) -> str | None:
    for table in ("META_DATA_EXPORT", "EXPORT_META_DATA"):
        if {"name", "value"} <= database.columns(table):
            for row in database.rows(["value"], table, "name = 'EXPORT_SCHEMA_VERSION'"):
                return str(row[0])
    return None
