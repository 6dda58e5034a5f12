"""Columns through ADBC's SQLite driver, which reads into Arrow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Chunk = list[npt.NDArray[Any]]
"""Columns of some rows: int64 or strings."""

BATCH_ROWS = 65_536


class UnsuitedError(Exception):
    """The driver is absent, failed, or made of a column something else than was asked for."""


def arrow_chunks(path: Path, sql: str, texts: Sequence[bool]) -> Iterator[Chunk]:
    """The columns of a query, some rows at a time.

    Args:
        path: the SQLite file; opened read-only.
        sql: a query without NULL in its result.
        texts: whether each column is text; the others are integers.

    Raises:
        UnsuitedError: read it another way.
    """
    try:
        import pyarrow as pa
        from adbc_driver_manager import Error
        from adbc_driver_sqlite import dbapi
    except ImportError as error:
        raise UnsuitedError(str(error)) from error
    try:
        uri = f"{path.resolve().as_uri()}?mode=ro"
        with dbapi.connect(uri) as connection, connection.cursor() as cursor:
            rows = {"adbc.sqlite.query.batch_rows": str(BATCH_ROWS)}
            cursor.adbc_statement.set_options(**rows)
            cursor.execute(sql)
            for batch in cursor.fetch_record_batch():
                if batch.num_rows:
                    columns = zip(batch.columns, texts, strict=True)
                    yield [_column(column, is_text) for column, is_text in columns]
    except (Error, pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise UnsuitedError(str(error)) from error


def _column(column: Any, is_text: bool) -> npt.NDArray[Any]:
    import pyarrow as pa

    expected = pa.string() if is_text else pa.int64()
    if column.type != expected or column.null_count:
        raise UnsuitedError(f"{column.type} instead of {expected}")
    if is_text:
        encoded = column.dictionary_encode()
        texts = np.array(encoded.dictionary.to_pylist(), dtype=object)
        strings: npt.NDArray[Any] = texts[encoded.indices.to_numpy()]
        return strings
    values: npt.NDArray[Any] = column.to_numpy(zero_copy_only=True)
    return values
