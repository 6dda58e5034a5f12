"""Opening an export, and asking what it holds before reading from it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from analysis.errors import ProfileError
from analysis.nsys.records import Int64s

_MAGIC = b"SQLite format 3\0"
_KNOWN_TABLES = frozenset(
    {
        "StringIds",
        "NVTX_EVENTS",
        "META_DATA_EXPORT",
        "EXPORT_META_DATA",
        "CUPTI_ACTIVITY_KIND_RUNTIME",
        "CUPTI_ACTIVITY_KIND_KERNEL",
    }
)
_REMEDY = "export the report again: nsys export --type sqlite --force-overwrite true REPORT"


class Database:
    """Columns of an export, read only where they exist.

    Args:
        path: the file, for messages.
        connection: an open, read-only connection.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        rows = connection.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")
        self.tables = frozenset(str(row[0]) for row in rows)

    def columns(self, table: str) -> frozenset[str]:
        """Names of the table's columns; empty where there is no such table."""
        rows = self._connection.execute(f'PRAGMA table_info("{table}")')
        return frozenset(str(row[1]) for row in rows)

    def require(self, table: str, *columns: str) -> None:
        """Refuse a table that lacks a column without which it cannot be understood.

        Raises:
            ProfileError: a column is missing.
        """
        missing = sorted(set(columns) - self.columns(table))
        if missing:
            what = f"table {table} has no column {', '.join(missing)}"
            raise ProfileError(self.path, what, f"is this an nsys export? {_REMEDY}")

    def rows(
        self, columns: Sequence[str], source: str, where: str = "", order: str = ""
    ) -> list[tuple[Any, ...]]:
        """Rows of a query, of which no part comes from outside this package.

        Args:
            columns: names of columns, or expressions.
            source: a table, or tables joined.
            where: condition.
            order: what to sort by.
        """
        clauses = ["SELECT", ", ".join(columns), "FROM", source]
        clauses += ["WHERE", where] if where else []
        clauses += ["ORDER BY", order] if order else []
        return self._connection.execute(" ".join(clauses)).fetchall()

    def integers(self, columns: Sequence[str], source: str, where: str) -> list[Int64s]:
        """The columns of a query of integers without NULL, each an array of its rows."""
        rows = np.array(self.rows(columns, source, where), dtype=np.int64).reshape(-1, len(columns))
        return [np.ascontiguousarray(rows[:, column]) for column in range(len(columns))]


@contextmanager
def open_database(path: Path) -> Iterator[Database]:
    """Open an export for reading only; it is never changed.

    Raises:
        ProfileError: the file is missing, empty, truncated, or no export of nsys.
    """
    _check_file(path)
    try:
        uri = f"{path.resolve().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            database = Database(path, connection)
            if not database.tables & _KNOWN_TABLES:
                what = "this SQLite file holds none of the tables of an nsys export"
                raise ProfileError(path, what, _REMEDY)
            yield database
    except (sqlite3.Error, OverflowError, ValueError, TypeError) as error:
        # numpy's errors mean text or real numbers in columns of integers: damaged or foreign
        raise ProfileError(path, f"the profile cannot be read ({error})", _REMEDY) from error


def _check_file(path: Path) -> None:
    """Refuse what SQLite would accept silently: an empty file, or one cut off at its end."""
    try:
        with path.open("rb") as file:
            header = file.read(100)
        size_bytes = path.stat().st_size
    except OSError as error:
        what = f"the profile cannot be opened ({error.strerror})"
        raise ProfileError(path, what, "name the .sqlite file of an nsys export") from error
    if not header:
        raise ProfileError(path, "the profile is empty", _REMEDY)
    if not header.startswith(_MAGIC):
        raise ProfileError(path, "this is no SQLite file", _REMEDY)
    expected_bytes = _recorded_size_bytes(header)
    if len(header) < 100 or size_bytes < expected_bytes:
        what = f"the profile is truncated ({size_bytes} of {expected_bytes} bytes)"
        raise ProfileError(path, what, _REMEDY)


def _recorded_size_bytes(header: bytes) -> int:
    """Size that the header states (https://sqlite.org/fileformat2.html#the_database_header)."""
    page_bytes = int.from_bytes(header[16:18], "big")
    page_bytes = 65536 if page_bytes == 1 else page_bytes
    page_count_is_valid = header[24:28] == header[92:96]
    return page_bytes * int.from_bytes(header[28:32], "big") if page_count_is_valid else 0
