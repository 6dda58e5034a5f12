"""Columns through the standard library's sqlite3, row by row."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .arrow_reader import Chunk
from .columns import Int64s

CHUNK_ROWS = 65_536


def connect(path: Path) -> sqlite3.Connection:
    """Open a file for reading only; text that is no UTF-8 is read all the same.

    Raises:
        sqlite3.Error: it cannot be opened.
    """
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    connection.text_factory = lambda text: text.decode("utf-8", "replace")
    return connection


def row_chunks(path: Path, sql: str, texts: Sequence[bool]) -> Iterator[Chunk]:
    """The columns of a query, some rows at a time.

    Args:
        path: the SQLite file; opened read-only.
        sql: a query without NULL in its result.
        texts: whether each column is text; the others are integers.

    Raises:
        sqlite3.Error: the file cannot be read.
        TypeError: a column of integers holds something else.
    """
    with closing(connect(path)) as connection:
        cursor = connection.execute(sql)
        while rows := cursor.fetchmany(CHUNK_ROWS):
            columns = zip(zip(*rows, strict=True), texts, strict=True)
            yield [
                _strings(column) if is_text else _integers(column) for column, is_text in columns
            ]


def _integers(column: tuple[Any, ...]) -> Int64s:
    values = np.array(column)
    if values.dtype != np.int64:
        strange = next(value for value in column if not isinstance(value, int))
        raise TypeError(f"{strange!r} where an integer belongs")
    return values


def _strings(column: tuple[Any, ...]) -> npt.NDArray[Any]:
    values = np.empty(len(column), dtype=object)
    values[:] = column
    return values
