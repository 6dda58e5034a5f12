"""Tables: fixed columns with fixed types, CSV for people and Parquet beside it for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from adscale.errors import OutputError, ResultsError
from adscale.files import note_input, write_output
from adscale.tables import Schema


def make_table(rows: Sequence[Mapping[str, Any]], schema: Schema) -> pd.DataFrame:
    """A table of exactly the schema's columns and types, even without rows.

    Args:
        rows: a value per column; None is null.
        schema: the columns.

    Raises:
        KeyError: a row lacks a column, or has another one (a fault of the program).
    """
    for row in rows:
        if row.keys() != schema.keys():
            raise KeyError(*(row.keys() ^ schema.keys()))
    columns = {
        name: pd.array([row[name] for row in rows], dtype=kind) for name, kind in schema.items()
    }
    return pd.DataFrame(columns)


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV with line feeds; null is an empty field, reals have 12 digits."""
    write_output(
        path,
        lambda temporary: table.to_csv(
            temporary, index=False, lineterminator="\n", float_format="%.12g"
        ),
    )


def write_parquet(
    table: pd.DataFrame, path: Path, metadata: Mapping[str, str] | None = None
) -> None:
    """Write a table as Parquet, with texts of one's own in the schema's metadata."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = pa.Table.from_pandas(table, preserve_index=False)
    if metadata:
        columns = columns.replace_schema_metadata({**(columns.schema.metadata or {}), **metadata})
    write_output(path, lambda temporary: pq.write_table(columns, temporary))


def write_both(table: pd.DataFrame, csv_path: Path) -> None:
    """Write the CSV file and the Parquet file of the same name beside it.

    Raises:
        OutputError: the name does not end in .csv, or nothing can be written there.
    """
    if csv_path.suffix != ".csv":
        raise OutputError(csv_path, "the table's name does not end in .csv", "name it X.csv")
    write_parquet(table, csv_path.with_suffix(".parquet"))
    write_csv(table, csv_path)


def read_csv(path: Path, schema: Schema) -> pd.DataFrame:
    """Read a table that `write_csv` wrote.

    Raises:
        ResultsError: the file is missing or does not hold the schema's columns.
    """
    remedy = "make the table again with python -m analysis"
    note_input(path)
    try:
        # Only an empty field is null: a method may be called "NA".
        table = pd.read_csv(path, dtype=dict(schema), keep_default_na=False, na_values=[""])
    except OSError as error:
        raise ResultsError(path, f"cannot be opened ({error.strerror})", remedy) from error
    except (ValueError, TypeError, UnicodeDecodeError) as error:
        raise ResultsError(path, f"is not the expected table ({error})", remedy) from error
    missing = [name for name in schema if name not in table.columns]
    if missing:
        raise ResultsError(path, f"has no column {', '.join(missing)}", remedy)
    return table[list(schema)]


def read_parquet(path: Path, schema: Schema, remedy: str) -> tuple[pd.DataFrame, dict[str, str]]:
    """Read a Parquet table and the texts in its metadata.

    Raises:
        ResultsError: the file is missing, is no Parquet, or lacks columns.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    note_input(path)
    try:
        columns = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise ResultsError(path, f"cannot be read ({error})", remedy) from error
    missing = [name for name in schema if name not in columns.column_names]
    if missing:
        raise ResultsError(path, f"has no column {', '.join(missing)}", remedy)
    texts = {key.decode(): value.decode() for key, value in (columns.schema.metadata or {}).items()}
    return columns.to_pandas()[list(schema)].astype(dict(schema)), texts
