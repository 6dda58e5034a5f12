"""Tables of the commands that read profiles: typed Arrow columns with nulls.

Whoever reads a profile needs no pandas: importing it takes longer than a small profile, and it
would have to be installed for nothing else.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from adscale.files import write_output
from adscale.tables import ColumnType, Schema

TYPES: Mapping[ColumnType, pa.DataType] = {
    "string": pa.string(),
    "Int64": pa.int64(),
    "Float64": pa.float64(),
    "boolean": pa.bool_(),
}


def arrow_table(columns: Mapping[str, Any], schema: Schema) -> pa.Table:
    """A table of exactly the schema's columns, in its order.

    Args:
        columns: values by name, of one length; NaN and None are null.
        schema: the columns; whole numbers may come as reals.

    Raises:
        KeyError: a column is missing (a fault of the program).
    """
    return pa.table({name: _column(columns[name], TYPES[kind]) for name, kind in schema.items()})


def _column(values: Any, kind: pa.DataType) -> pa.Array:
    """Values as Arrow has them, from buffers: `pa.array` imports pandas wherever it is found."""
    if pa.types.is_string(kind):
        return _strings(list(values))
    given = np.array(values, np.float64) if isinstance(values, list) else values
    valid = None
    if given.dtype.kind == "f" and (unknown := np.isnan(given)).any():
        valid = ~unknown
        given = np.where(valid, given, 0)
    if pa.types.is_boolean(kind):
        content = np.packbits(given.astype(np.bool_), bitorder="little")
    else:
        content = np.ascontiguousarray(given, np.int64 if kind == pa.int64() else np.float64)
    return pa.Array.from_buffers(kind, len(given), [_bits(valid), pa.py_buffer(content)])


def _strings(values: list[str | None]) -> pa.Array:
    texts = [b"" if value is None else value.encode("utf-8", "replace") for value in values]
    ends = np.cumsum([0, *map(len, texts)], dtype=np.int64)
    content, valid = pa.py_buffer(b"".join(texts)), None
    if None in values:
        valid = np.array([value is not None for value in values])
    is_long = ends[-1] >= 2**31  # which offsets of 32 bits do not reach
    offsets = pa.py_buffer(ends if is_long else ends.astype(np.int32))
    kind = pa.large_string() if is_long else pa.string()
    return pa.Array.from_buffers(kind, len(values), [_bits(valid), offsets, content])


def _bits(valid: Any) -> pa.Buffer | None:
    """A bit for each value that is not null; None where none is."""
    return None if valid is None else pa.py_buffer(np.packbits(valid, bitorder="little"))


def nulls(table: pa.Table, names: Iterator[str] | tuple[str, ...]) -> pa.Table:
    """The table with null in every row of some columns."""
    for name in names:
        at = table.column_names.index(name)
        empty = pa.nulls(len(table), table.schema.field(name).type)
        table = table.set_column(at, name, empty)
    return table


def with_columns(table: pa.Table, columns: Mapping[str, Any], schema: Schema) -> pa.Table:
    """The table with further columns, or others in the place of its own.

    Args:
        table: the table.
        columns: values by name; NaN and None are null.
        schema: their types.
    """
    for name, values in columns.items():
        column = _column(values, TYPES[schema[name]])
        if name in table.column_names:
            table = table.set_column(table.column_names.index(name), name, column)
        else:
            table = table.append_column(name, column)
    return table


def rows_at(table: pa.Table, positions: Any) -> pa.Table:
    """The rows at some positions, in that order."""
    return table.take(_column(positions, pa.int64()))


def reals(table: pa.Table, name: str) -> Any:
    """A column of numbers as an array of reals, NaN for null."""
    return np.array(table.column(name).to_pylist(), np.float64)


_LONG = 1e12
"""From here on whole numbers have more digits than `%.12g` writes."""
_ROWS = 10_000


def csv_text(table: pa.Table) -> str:
    """A table as CSV with line feeds; null is an empty field.

    Reals have 12 digits, whole numbers all of them, so that sums agree with their parts.
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(table.column_names)
    columns = [_texts(column) for column in table.columns]
    rows = zip(*columns, strict=True)
    while part := list(islice(rows, _ROWS)):
        writer.writerows(part)
    return file.getvalue()


def _texts(column: pa.ChunkedArray) -> Iterator[Any]:
    values = column.to_pylist()
    if not pa.types.is_floating(column.type):
        return ("" if value is None else value for value in values)
    return ("" if value is None else _real_text(value) for value in values)


def _real_text(value: float) -> str:
    value += 0.0  # which makes 0.0 of -0.0
    return str(int(value)) if abs(value) >= _LONG and value.is_integer() else f"{value:.12g}"


def write_parquet(table: pa.Table, path: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write a table as Parquet, with texts of one's own in the schema's metadata."""
    import pyarrow.parquet as pq

    if metadata:
        table = table.replace_schema_metadata({**(table.schema.metadata or {}), **metadata})
    write_output(path, lambda temporary: pq.write_table(table, temporary))
