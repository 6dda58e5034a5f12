"""Columns through ADBC's SQLite driver, which reads into Arrow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
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
        import adbc_driver_sqlite
        import pyarrow as pa
        from adbc_driver_manager import AdbcConnection, AdbcStatement, Error
    except ImportError as error:
        raise UnsuitedError(str(error)) from error
    try:
        uri = f"{path.resolve().as_uri()}?mode=ro"
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
