"""Many rows of a table at once: in parts of the rowids, through Arrow where that works.

ADBC's SQLite driver fills columns without making a Python object of each value, which is some ten
times faster than `sqlite3`. It guesses the types of columns from the first rows and knows few of
SQLite's liberties; whatever it refuses is read again by `sqlite3`, which decides what is an error.
"""

from __future__ import annotations

import os
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from .columns import Coded, Column, Growing, Int64s, Kind, reduced, strings

Chunk = list[npt.NDArray[Any] | Coded]
"""Columns of some rows: integers, or encoded integers and strings."""

BATCH_ROWS = 65_536
"""Rows that a reader takes at once."""


class UnsuitedError(Exception):
    """The driver is absent, failed, or made of a column something else than was asked for."""


def read_only(path: Path, *, without_locks: bool = False) -> str:
    """The URI under which SQLite opens a file for reading only.

    Args:
        path: the file.
        without_locks: take no locks, for file systems that have none; nobody may write to it.
    """
    return f"{path.resolve().as_uri()}?mode=ro{'&immutable=1' if without_locks else ''}"


def arrow_chunks(uri: str, sql: str, texts: Sequence[bool]) -> Iterator[Chunk]:
    """The columns of a query, some rows at a time.

    Args:
        uri: of the SQLite file, see `read_only`.
        sql: a query without NULL in its result.
        texts: whether each column is text; the others are integers.

    Raises:
        UnsuitedError: read it another way.
    """
    try:
        import adbc_driver_sqlite
        import pyarrow as pa
        from adbc_driver_manager import AdbcConnection, AdbcStatement, Error
    except ImportError as error:
        raise UnsuitedError(str(error)) from error
    try:
        # Not through the driver's DB-API: where a query fails in its first rows, closing the
        # statement fails as well (driver 1.12). A cursor then counts as open and is closed again
        # when it is collected, which raises where nobody can catch it. Here each handle is closed
        # once, also where closing the one inside it failed.
        with (
            adbc_driver_sqlite.connect(uri) as database,
            AdbcConnection(database) as connection,
            AdbcStatement(connection) as statement,
        ):
            statement.set_options(**{"adbc.sqlite.query.batch_rows": str(BATCH_ROWS)})
            statement.set_sql_query(sql)
            stream, _ = statement.execute_query()
            # the statement must outlive its results
            with closing(pa.RecordBatchReader.from_stream(stream)) as batches:
                for batch in batches:
                    if batch.num_rows:
                        columns = zip(batch.columns, texts, strict=True)
                        yield [_column(column, is_text) for column, is_text in columns]
    except (Error, pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise UnsuitedError(str(error)) from error


def _column(column: Any, is_text: bool) -> npt.NDArray[Any] | Coded:
    import pyarrow as pa

    expected = pa.string() if is_text else pa.int64()
    if column.type != expected or column.null_count:
        raise UnsuitedError(f"{column.type} instead of {expected}")
    if is_text:
        encoded = column.dictionary_encode()
        return Coded(strings(encoded.dictionary.to_pylist()), _values(encoded.indices))
    return _values(column)


def _values(column: Any) -> npt.NDArray[Any]:
    """The numbers of a column without null; `to_numpy` imports pandas wherever it is found."""
    return np.from_dlpack(column)


CHUNK_ROWS = 65_536


def connect(uri: str) -> sqlite3.Connection:
    """Open a file for reading only; text that is no UTF-8 is read all the same.

    Args:
        uri: of the SQLite file, see `read_only`.

    Raises:
        sqlite3.Error: it cannot be opened.
    """
    connection = sqlite3.connect(uri, uri=True)
    connection.text_factory = lambda text: text.decode("utf-8", "replace")
    return connection


def row_chunks(uri: str, sql: str, texts: Sequence[bool]) -> Iterator[Chunk]:
    """The columns of a query, some rows at a time.

    Args:
        uri: of the SQLite file, see `read_only`.
        sql: a query without NULL in its result.
        texts: whether each column is text; the others are integers.

    Raises:
        sqlite3.Error: the file cannot be read.
        TypeError: a column of integers holds something else.
    """
    with closing(connect(uri)) as connection:
        cursor = connection.execute(sql)
        while rows := cursor.fetchmany(CHUNK_ROWS):
            columns = zip(zip(*rows, strict=True), texts, strict=True)
            yield [
                Coded.of_texts(column) if is_text else _integers(column)
                for column, is_text in columns
            ]


def _integers(column: tuple[Any, ...]) -> Int64s:
    values = np.array(column)
    if values.dtype != np.int64:
        strange = next(value for value in column if not isinstance(value, int))
        raise TypeError(f"{strange!r} where an integer belongs")
    return values


Reader = Literal["auto", "sqlite3"]
Advance = Callable[[int], None]
"""Is told of every number of rows that have been passed; called from several threads."""

READERS: tuple[Reader, ...] = ("auto", "sqlite3")
ROWS_PER_PART = 500_000
"""Rowids that one thread reads in one go, at least."""

MOST_PARTS = 64
"""However wide apart the rowids lie."""

THREADS = min(2, os.cpu_count() or 1)
"""SQLite's readers hold each other up; more than two threads gain little."""


class Field(NamedTuple):
    """A column to read.

    Attributes:
        sql: expression; never NULL.
        kind: `int64` and `narrow` are integers, `coded` are integers of few different values.
    """

    sql: str
    kind: Kind = "int64"


@dataclass(frozen=True)
class Query:
    """The columns to read from one table.

    Attributes:
        table: its name.
        fields: columns.
        where: condition, `""` for none.
        first_row: smallest rowid; None where rows have no ids to part them by.
        last_row: largest rowid.
    """

    table: str
    fields: tuple[Field, ...]
    where: str
    first_row: int | None
    last_row: int

    def parts(self) -> Iterator[tuple[str, int]]:
        """SQL of each part, and the number of rowids in it."""
        columns = ", ".join(field.sql for field in self.fields)
        select = f'SELECT {columns} FROM "{self.table}"'  # noqa: S608 (names are this package's)
        conditions = [f"({self.where})"] if self.where else []
        if self.first_row is None:
            yield " WHERE ".join([select, *conditions]), 0
            return
        size = max(ROWS_PER_PART, -(-(self.last_row - self.first_row + 1) // MOST_PARTS))
        for first in range(self.first_row, self.last_row + 1, size):
            last = min(first + size - 1, self.last_row)
            within = [*conditions, f"rowid BETWEEN {first} AND {last}"]
            yield f"{select} WHERE {' AND '.join(within)}", last - first + 1


def read_columns(uri: str, query: Query, reader: Reader, advance: Advance) -> list[Column]:
    """Read the columns of a query, in the order of the rowids.

    Args:
        uri: of the SQLite file, see `read_only`.
        query: what to read.
        reader: `sqlite3` leaves the Arrow driver aside.
        advance: told of the progress.

    Raises:
        sqlite3.Error: the file cannot be read.
        TypeError: a column holds what is no integer.
    """
    rowids = sum(count for _, count in query.parts())
    columns = [Growing(field.kind, rowids) for field in query.fields]
    for chunks in _parts(uri, query, reader, advance):
        for chunk in chunks:
            for column, values in zip(columns, chunk, strict=True):
                column.append(values)
    return [column.column() for column in columns]


def discard_columns(uri: str, query: Query, reader: Reader) -> None:
    """Read the columns of a query and keep nothing: what reading alone costs."""
    for _chunks in _parts(uri, query, reader, lambda _rows: None):
        pass


def _parts(uri: str, query: Query, reader: Reader, advance: Advance) -> Iterator[list[Chunk]]:
    """The parts of a query in their order, each as its chunks; few are there at a time."""

    def read(part: tuple[str, int]) -> list[Chunk]:
        chunks = _read_part(uri, part[0], query.fields, reader)
        advance(part[1])
        return chunks

    parts = query.parts()
    # sqlite3 holds the lock of Python for nearly every row: threads would only take turns
    threads = THREADS if reader == "auto" else 1
    with ThreadPoolExecutor(threads) as pool:
        waiting = deque(pool.submit(read, part) for part in islice(parts, threads + 1))
        while waiting:
            yield waiting.popleft().result()
            waiting.extend(pool.submit(read, part) for part in islice(parts, 1))


def _read_part(uri: str, sql: str, fields: Sequence[Field], reader: Reader) -> list[Chunk]:
    texts = [field.kind == "text" for field in fields]
    if reader == "auto":
        try:
            return [_reduced(chunk, fields) for chunk in arrow_chunks(uri, sql, texts)]
        except UnsuitedError:
            pass
    return [_reduced(chunk, fields) for chunk in row_chunks(uri, sql, texts)]


def _reduced(chunk: Chunk, fields: Sequence[Field]) -> Chunk:
    """The columns as they are kept; here, since several threads read."""
    return [
        values if isinstance(values, Coded) else reduced(values, field.kind)
        for values, field in zip(chunk, fields, strict=True)
    ]
