"""Opening an export, and asking what it holds before reading from it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from adscale.errors import ProfileError

from .bulk import Advance, Field, Query, Reader, connect, read_columns
from .records import Column

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
        path: the file.
        connection: an open, read-only connection.
        reader: what bulk columns are read with.
        advance: told of the rows that bulk reading has passed.
    """

    def __init__(
        self, path: Path, connection: sqlite3.Connection, reader: Reader, advance: Advance
    ) -> None:
        self.path = path
        self._connection = connection
        self._reader = reader
        self._advance = advance
        rows = connection.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")
        self.tables = frozenset(str(row[0]) for row in rows)

    def columns(self, table: str) -> frozenset[str]:
        """Names of the table's columns; empty where there is no such table."""
        return frozenset(self._nullable(table))

    def value(self, table: str, column: str, other: int = -1) -> str:
        """SQL for an integer of a table; `other` where there is no such column, or NULL in it."""
        nullable = self._nullable(table)
        if column not in nullable:
            return str(other)
        return f'COALESCE("{column}", {other})' if nullable[column] else f'"{column}"'

    def complete(self, table: str, *columns: str) -> str:
        """A condition that none of these columns is NULL; `""` where none can be."""
        nullable = self._nullable(table)
        return " AND ".join(f'"{column}" IS NOT NULL' for column in columns if nullable[column])

    def _nullable(self, table: str) -> dict[str, bool]:
        """Whether each column may hold NULL."""
        rows = self._connection.execute(f'PRAGMA table_info("{table}")')
        return {str(row[1]): not row[3] for row in rows}

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

    def read(self, fields: Sequence[Field], table: str, where: str = "") -> list[Column]:
        """Columns of a large table, in the order of the rowids."""
        query = self.query(fields, table, where)
        return read_columns(self.path, query, self._reader, self._advance)

    def query(self, fields: Sequence[Field], table: str, where: str = "") -> Query:
        """Return what to read from a table, in parts if its rows have ids."""
        first, last = self.row_ids(table)
        return Query(table, tuple(fields), where, first, last)

    def row_ids(self, table: str) -> tuple[int | None, int]:
        """The smallest and the largest rowid; None where there is none to part the table by."""
        if not self.has_row_ids(table):
            return None, 0
        first = self.rows(["MIN(rowid)"], table)[0][0]  # each alone is a look-up, both are a scan
        last = self.rows(["MAX(rowid)"], table)[0][0]
        return (None, 0) if first is None else (int(first), int(last))

    def expected_rows(self, tables: Sequence[str]) -> int:
        """Rows of tables, of those that exist; more than there are where rows were removed."""
        ids = [self.row_ids(table) for table in tables if table in self.tables]
        return sum(last - first + 1 for first, last in ids if first is not None)

    def has_row_ids(self, table: str) -> bool:
        """Whether the rows have ids: views and tables WITHOUT ROWID have none."""
        if self.rows(["type"], "sqlite_master", f"name = '{table}'") != [("table",)]:
            return False
        try:
            self.rows(["rowid"], table, "0")
        except sqlite3.OperationalError:
            return False
        return True


@contextmanager
def open_database(
    path: Path, reader: Reader = "auto", advance: Advance = lambda _rows: None
) -> Iterator[Database]:
    """Open an export for reading only; it is never changed.

    Args:
        path: the SQLite file.
        reader: what bulk columns are read with.
        advance: told of the rows that bulk reading has passed.

    Raises:
        ProfileError: the file is missing, empty, truncated, locked, or no export of nsys.
    """
    _check_file(path)
    try:
        with closing(connect(path)) as connection:
            database = Database(path, connection, reader, advance)
            if not database.tables & _KNOWN_TABLES:
                what = "this SQLite file holds none of the tables of an nsys export"
                raise ProfileError(path, what, _REMEDY)
            yield database
    except (sqlite3.Error, OverflowError, ValueError, TypeError) as error:
        # the latter mean text or real numbers in columns of integers: damaged or foreign
        is_locked = "locked" in str(error)
        remedy = "close the program that writes to it, or copy the file" if is_locked else _REMEDY
        raise ProfileError(path, f"the profile cannot be read ({error})", remedy) from error


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
