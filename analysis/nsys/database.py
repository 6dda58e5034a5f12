"""Opening an export, and asking what it holds before reading from it."""

from __future__ import annotations

import errno
import fcntl
import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from adscale.errors import ProfileError, reason_of, remedy_of
from adscale.files import note_input

from .bulk import Advance, Field, Query, Reader, connect, read_columns, read_only
from .columns import Column, Int64s

NULL = int(np.iinfo(np.int64).min)
"""Stands for NULL in a column of integers."""

_MAGIC = b"SQLite format 3\0"
_KNOWN_TABLES = (
    "StringIds",
    "NVTX_EVENTS",
    "META_DATA_EXPORT",
    "EXPORT_META_DATA",
    "CUPTI_ACTIVITY_KIND_RUNTIME",
    "CUPTI_ACTIVITY_KIND_KERNEL",
)
_REMEDY = "export the report again: nsys export --type sqlite -o NEW.sqlite REPORT.nsys-rep"


class Database:
    """Columns of an export, read only where they exist.

    A table is asked for by its plain name; where the export has it with a version behind that, as
    in `NVTX_EVENTS_V2`, this one is meant.

    Args:
        path: the file.
        uri: under which it is read, see `read_only`.
        connection: an open, read-only connection.
        reader: what bulk columns are read with.
        advance: told of the rows that bulk reading has passed.
    """

    def __init__(
        self, path: Path, uri: str, connection: sqlite3.Connection, reader: Reader, advance: Advance
    ) -> None:
        self.path = path
        self.uri = uri
        self._connection = connection
        self._reader = reader
        self._advance = advance
        rows = connection.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")
        self.tables = frozenset(str(row[0]) for row in rows)
        self._actual_names: dict[str, str | None] = {"sqlite_master": "sqlite_master"}

    def has(self, table: str) -> bool:
        """Whether the export holds a table.

        Raises:
            ProfileError: it cannot be told which table is meant.
        """
        if table not in self._actual_names:
            self._actual_names[table] = self._find(table)
        return self._actual_names[table] is not None

    def _actual(self, table: str) -> str:
        return (self._actual_names[table] or table) if self.has(table) else table

    def _find(self, table: str) -> str | None:
        """What a table is called in this export."""
        version = re.compile(rf"{re.escape(table)}_?V\d+", re.IGNORECASE)  # not MEMCPY2 of MEMCPY
        found = sorted(name for name in self.tables if version.fullmatch(name))
        found += [table] * (table in self.tables)
        if len(found) > 1:
            filled = [name for name in found if self._has_rows(name)]
            if len(filled) > 1:
                what = f"the profile holds the tables {' and '.join(filled)}, and each has rows"
                raise ProfileError(self.path, what, f"which of them counts is unknown; {_REMEDY}")
            found = filled or found[-1:]
        unknown = sorted(name for name in self.tables if name.startswith(f"{table}_"))
        if unknown and not found:
            what = f"the table {unknown[0]} is unknown, and there is no table {table}"
            raise ProfileError(self.path, what, "export with another version of nsys")
        return found[0] if found else None

    def _has_rows(self, actual: str) -> bool:
        return bool(self._connection.execute(f'SELECT 1 FROM "{actual}" LIMIT 1').fetchall())  # noqa: S608

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
        rows = self._connection.execute(f'PRAGMA table_info("{self._actual(table)}")')
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
        self, columns: Sequence[str], table: str, where: str = "", order: str = ""
    ) -> list[tuple[Any, ...]]:
        """Rows of a query, of which no part comes from outside this package.

        Args:
            columns: names of columns, or expressions.
            table: the table.
            where: condition.
            order: what to sort by.
        """
        clauses = ["SELECT", ", ".join(columns), "FROM", f'"{self._actual(table)}"']
        clauses += ["WHERE", where] if where else []
        clauses += ["ORDER BY", order] if order else []
        return self._connection.execute(" ".join(clauses)).fetchall()

    def strings(self, ids: Int64s) -> dict[int, str]:
        """The registered strings with these ids, of those that exist."""
        wanted = set(ids.tolist()) - {NULL}
        if not wanted or not {"id", "value"} <= self.columns("StringIds"):
            return {}
        few = len(wanted) <= 500
        where = f"id IN ({', '.join(map(str, wanted))})" if few else ""
        rows = self.rows(["id", "CAST(value AS TEXT)"], "StringIds", where)
        return {row[0]: row[1] for row in rows if row[0] in wanted and row[1] is not None}

    def read(self, fields: Sequence[Field], table: str, where: str = "") -> list[Column]:
        """Columns of a large table, in the order of the rowids."""
        query = self.query(fields, table, where)
        return read_columns(self.uri, query, self._reader, self._advance)

    def query(self, fields: Sequence[Field], table: str, where: str = "") -> Query:
        """Return what to read from a table, in parts if its rows have ids."""
        first, last = self.row_ids(table)
        return Query(self._actual(table), tuple(fields), where, first, last)

    def row_ids(self, table: str) -> tuple[int | None, int]:
        """The smallest and the largest rowid; None where there is none to part the table by."""
        if not self.has_row_ids(table):
            return None, 0
        first = self.rows(["MIN(rowid)"], table)[0][0]  # each alone is a look-up, both are a scan
        last = self.rows(["MAX(rowid)"], table)[0][0]
        return (None, 0) if first is None else (int(first), int(last))

    def expected_rows(self, tables: Sequence[str]) -> int:
        """Rows of tables, of those that exist; more than there are where rows were removed."""
        ids = [self.row_ids(table) for table in tables if self.has(table)]
        return sum(last - first + 1 for first, last in ids if first is not None)

    def has_row_ids(self, table: str) -> bool:
        """Whether the rows have ids: views and tables WITHOUT ROWID have none."""
        actual = self._actual(table)
        if self.rows(["type"], "sqlite_master", f"name = '{actual}'") != [("table",)]:
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
    note_input(path)
    try:
        uri = _readable(path)
        with closing(connect(uri)) as connection:
            database = Database(path, uri, connection, reader, advance)
            if not any(database.has(table) for table in _KNOWN_TABLES):
                what = "this SQLite file holds none of the tables of an nsys export"
                raise ProfileError(path, what, _REMEDY)
            yield database
    except (sqlite3.Error, OverflowError, ValueError, TypeError) as error:
        # the latter mean text or real numbers in columns of integers: damaged or foreign
        is_locked = "locked" in str(error)
        remedy = "close the program that writes to it, then try again" if is_locked else _REMEDY
        raise ProfileError(path, f"the profile cannot be read ({error})", remedy) from error


def _readable(path: Path) -> str:
    """The URI by which a file is read: with SQLite's locks, unless the file system has none.

    A finished export is written by nobody, so that it can be read without.

    Raises:
        ProfileError: there are no locks, and the file may be written to right now.
        sqlite3.Error: it cannot be read.
    """
    uri = read_only(path)
    try:
        with closing(connect(uri)) as connection:
            connection.execute("SELECT 1 FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        problem = _lock_problem(path)
        if problem is None:
            raise
        beside = [Path(f"{path}{end}") for end in ("-wal", "-journal")]
        unfinished = [file.name for file in beside if file.exists() and file.stat().st_size]
        if unfinished:
            what = f"the file system has no locks ({problem}), and {unfinished[0]} is not empty"
            raise ProfileError(path, what, "copy the file to a local disk") from None
        return read_only(path, without_locks=True)
    return uri


def _lock_problem(path: Path) -> str | None:
    """Why the file system gives no locks; None where it does, or where another program has one."""
    with path.open("rb") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:
            return None if error.errno in (errno.EAGAIN, errno.EACCES) else error.strerror
    return None


def _check_file(path: Path) -> None:
    """Refuse what SQLite would accept silently: an empty file, or one cut off at its end."""
    if path.is_fifo():  # nothing waits for it
        remedy = "write it into a file, and name that"
        raise ProfileError(path, "is a pipe, and a profile is read at many places", remedy)
    try:
        with path.open("rb") as file:
            header = file.read(100)
        size_bytes = path.stat().st_size
    except OSError as error:
        what = f"the profile cannot be opened ({reason_of(error)})"
        remedy = remedy_of(error, "name the .sqlite file of an nsys export")
        raise ProfileError(path, what, remedy) from error
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
