"""Exports of nsys in Arrow and Parquet, copied into SQLite.

They have the tables and columns of the SQLite export. Integers are unsigned there or of other
widths, and of a single Arrow file the tables follow each other, a stream each, whose metadata have
the name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from adscale.errors import ProfileError

from .fingerprint import SYSTEM_ENTRIES, SYSTEM_TABLE

_WANTED = ("NVTX_", "CUPTI_", "META_DATA_", "EXPORT_META_DATA", "GPU_METRICS", "TARGET_INFO_GPU")
_WANTED_TABLES = ("StringIds", "ANALYSIS_DETAILS", "DIAGNOSTIC_EVENT", SYSTEM_TABLE)
_TABLE_NAME = b"table_name"
_ROWS = 1 << 16


class _Table(NamedTuple):
    """A table of an export.

    Attributes:
        name: of the table.
        schema: of its columns, as the export has them.
        batches: its rows.
    """

    name: str
    schema: Any
    batches: Iterator[Any]


def copy_tables(path: Path, files: Sequence[Path], output: Path, kind: str) -> None:
    """Write the tables of an export into a new SQLite file, of those that we read.

    Args:
        path: the export.
        files: it, or those in it.
        output: the file to write.
        kind: `parquet`, `arrow folder` or `arrow`.

    Raises:
        ProfileError: a file is damaged, or a table cannot be copied.
    """
    import pyarrow as pa
    from adbc_driver_manager import Error

    remedy = "export the report again: nsys export REPORT.nsys-rep"
    try:
        _copy(output, _parquet(files) if kind == "parquet" else _arrow(files))
    except (pa.ArrowException, Error, UnicodeDecodeError) as error:
        what = f"the export cannot be read ({' '.join(str(error).split())})"
        raise ProfileError(path, what, remedy) from error


def _parquet(files: Sequence[Path]) -> Iterator[_Table]:
    import pyarrow.parquet as pq

    for file in files:
        if file.suffix == ".parquet" and _is_wanted(file.stem):
            with pq.ParquetFile(file) as opened:
                yield _Table(file.stem, opened.schema_arrow, opened.iter_batches(_ROWS))


def _arrow(files: Sequence[Path]) -> Iterator[_Table]:
    """The streams of files, one after the other in each."""
    import pyarrow as pa

    for file in files:
        with pa.OSFile(str(file)) as opened:
            while opened.tell() < opened.size():
                with pa.ipc.open_stream(opened) as stream:
                    named = (stream.schema.metadata or {}).get(_TABLE_NAME)
                    name = named.decode() if named else file.stem
                    if _is_wanted(name):
                        yield _Table(name, stream.schema, iter(stream))
                    for _rest in stream:  # what follows begins behind its end
                        pass


def _is_wanted(name: str) -> bool:
    return name.startswith(_WANTED) or name in _WANTED_TABLES


def _copy(output: Path, tables: Iterator[_Table]) -> None:
    import adbc_driver_sqlite
    import pyarrow as pa
    from adbc_driver_manager import AdbcConnection, AdbcStatement

    with (
        adbc_driver_sqlite.connect(str(output)) as database,
        AdbcConnection(database) as connection,
    ):
        # nobody else has this file, and it is renamed when it is whole
        for pragma in ("journal_mode = OFF", "synchronous = OFF"):
            _execute(connection, f"PRAGMA {pragma}")
        for table in tables:
            schema = _stored(table.schema)
            _execute(connection, _create(table.name, schema, pa))
            if not len(schema):
                continue
            rows = (_cast(batch, schema, table.name) for batch in table.batches)
            with AdbcStatement(connection) as statement:
                statement.set_options(
                    **{
                        "adbc.ingest.target_table": table.name,
                        "adbc.ingest.mode": "adbc.ingest.mode.append",
                    }
                )
                statement.bind_stream(pa.RecordBatchReader.from_batches(schema, rows))
                statement.execute_update()


def _execute(connection: Any, sql: str) -> None:
    from adbc_driver_manager import AdbcStatement

    with AdbcStatement(connection) as statement:
        statement.set_sql_query(sql)
        statement.execute_update()


def _stored(schema: Any) -> Any:
    """The columns that SQLite gets: integers, real numbers and texts; others are left out."""
    import pyarrow as pa

    fields = []
    for field in schema:
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
            stored = pa.int64()
        elif pa.types.is_floating(kind):
            stored = pa.float64()
        elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
            stored = pa.string()
        else:
            continue
        fields.append(pa.field(field.name, stored, field.nullable))
    return pa.schema(fields)


def _create(name: str, schema: Any, pa: Any) -> str:
    kinds = {pa.int64(): "INTEGER", pa.float64(): "REAL", pa.string(): "TEXT"}
    columns = []
    for field in schema:
        constraint = "" if field.nullable else " NOT NULL"
        if name == "StringIds" and field.name == "id":
            constraint += " PRIMARY KEY"
        columns.append(f"{_quoted(field.name)} {kinds[field.type]}{constraint}")
    return f"CREATE TABLE {_quoted(name)} ({', '.join(columns) or 'nothing INTEGER'})"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _cast(batch: Any, schema: Any, table: str) -> Any:
    import pyarrow as pa

    columns = []
    for field in schema:
        column = batch.column(batch.schema.get_field_index(field.name))
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        # numbers above 2**63 become negative, as in SQLite
        columns.append(column.cast(field.type, safe=not pa.types.is_uint64(column.type)))
    made = pa.RecordBatch.from_arrays(columns, schema=schema)
    if table == SYSTEM_TABLE:  # the recorder's whole environment, in which there may be secrets
        import pyarrow.compute as pc

        known = pa.array(sorted(SYSTEM_ENTRIES))
        return made.filter(pc.is_in(made.column("name"), value_set=known))
    return made
