"""Writing an export: the whole file, or none."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path

from adscale.errors import CollectorError

from .rows import Rows


def write_export(path: Path, tables: Iterable[Rows]) -> None:
    """Writes tables to an SQLite file, replacing what is there.

    Raises:
        CollectorError: the folder cannot be written, or the disk is full; what was at ``path``
            is still there, and no other file is left behind.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.unlink(missing_ok=True)
        _fill(unfinished, tables)
        _flush(unfinished)
        os.replace(unfinished, path)  # noqa: PTH105 - says that it replaces
    except (OSError, sqlite3.OperationalError) as error:
        remedy = f"make room on the disk, and check that {path.parent} can be written"
        raise CollectorError(str(path), f"cannot be written ({error})", remedy) from None
    finally:
        with suppress(OSError):
            unfinished.unlink()


def _fill(path: Path, tables: Iterable[Rows]) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode = OFF")  # an unfinished file is thrown away
        database.execute("PRAGMA synchronous = OFF")
        for table, columns, rows in tables:
            database.execute(table.create_sql())
            names, marks = ", ".join(columns), ", ".join("?" for _ in columns)
            # all names come from schema.py
            insert = f"INSERT INTO {table.name} ({names}) VALUES ({marks})"  # noqa: S608
            database.executemany(insert, rows)
        database.commit()


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
