"""Tables: fixed columns with fixed types, CSV for people and Parquet beside it for programs."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd

from adscale.damage import damage
from adscale.errors import OutputError, ResultsError, reason_of, remedy_of
from adscale.files import note_input, write_output
from adscale.tables import MISSING, Schema, names_of

_OF_ALL = names_of(MISSING)


def make_table(rows: Sequence[Mapping[str, Any]], schema: Schema) -> pd.DataFrame:
    """A table of exactly the schema's columns and types, even without rows.

    Args:
        rows: a value per column; None is null.
        schema: the columns.

    Raises:
        KeyError: a row lacks a column, or has another one (a fault of the program).
        ResultsError: a whole number of a record needs more than 64 bits.
    """
    for row in rows:
        if {*row, *_OF_ALL} != {*schema, *_OF_ALL}:
            raise KeyError(*({*row, *_OF_ALL} ^ {*schema, *_OF_ALL}))
    columns = {name: _column(name, rows, kind) for name, kind in schema.items()}
    return pd.DataFrame(columns)


def _column(name: str, rows: Sequence[Mapping[str, Any]], kind: Any) -> Any:
    try:
        return pd.array([row.get(name) for row in rows], dtype=kind)
    except OverflowError:
        what = "a number needs more than 64 bits, which no measurement or count does"
        raise ResultsError(f"column {name}", what, "make the record of it again") from None


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write a table as `csv_text` has it."""
    write_output(path, lambda temporary: _exact(table).to_csv(temporary, **_CSV))


def csv_text(table: pd.DataFrame) -> str:
    """A table as CSV with line feeds; null is an empty field.

    Reals have 12 digits, whole numbers all of them, so that sums agree with their parts.
    """
    text: str = _exact(table).to_csv(**_CSV)
    return text


_CSV: dict[str, Any] = {"index": False, "lineterminator": "\n", "float_format": "%.12g"}
_LONG = 1e12
"""From here on whole numbers have more digits than `_CSV` writes."""


def _exact(table: pd.DataFrame) -> pd.DataFrame:
    """The table with long whole numbers as text, and without negative zeros."""
    reals = [name for name in table.columns if pd.api.types.is_float_dtype(table[name])]
    changed = {}
    for name in reals:
        column = table[name] + 0.0  # which makes 0.0 of -0.0
        is_long = (column.abs() >= _LONG).fillna(value=False).any()
        changed[name] = column.map(_real_text, na_action="ignore") if is_long else column
    return table.assign(**changed)


def _real_text(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else f"{value:.12g}"


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
    """Read a table that `write_csv` wrote, without the rows of what is missing.

    Raises:
        ResultsError: the file is missing, cut off, or does not hold the schema's columns.
    """
    table = _read_csv(path, schema)
    if "missing" in schema:
        table = table[table["missing"].isna()].reset_index(drop=True)
    return table


def read_missing(path: Path, schema: Schema) -> pd.DataFrame:
    """Read the rows of what is missing in a table.

    Raises:
        ResultsError: as `read_csv` does.
    """
    table = _read_csv(path, schema)
    return table[table["missing"].notna()].reset_index(drop=True)


def _read_csv(path: Path, schema: Schema) -> pd.DataFrame:
    _check_whole(path)
    note_input(path)
    try:
        # Only an empty field is null: a method may be called "NA".
        table = pd.read_csv(path, dtype=dict(schema), keep_default_na=False, na_values=[""])
    except OSError as error:
        what = f"cannot be opened ({reason_of(error)})"
        remedy = _MADE_BY if isinstance(error, FileNotFoundError) else remedy_of(error, _AGAIN)
        raise ResultsError(path, what, remedy) from error
    except (ValueError, TypeError, UnicodeDecodeError) as error:
        raise ResultsError(path, f"is not the expected table ({error})", _AGAIN) from error
    if "missing" in schema and "missing" not in table.columns:  # made before there was one
        table["missing"] = pd.array([None] * len(table), dtype="string")
    absent = [name for name in schema if name not in table.columns]
    if absent:
        raise ResultsError(path, f"has no column {', '.join(absent)}", _AGAIN)
    return table[list(schema)]


_AGAIN = "make the table again with python -m analysis"
_MADE_BY = "name a table of a study, or its folder; `make study` makes them"


def _check_whole(path: Path) -> None:
    """Refuse a table that was cut off; one beside its Parquet file may be cut between two lines."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    beside = path.with_suffix(".parquet")
    remedy = f"remove it and start the study again, or {_AGAIN}"
    with suppress(OSError, pa.ArrowException):
        fault = damage(path)
        if fault is not None:
            raise ResultsError(path, f"is not the expected table ({fault})", remedy)
        if path.suffix == ".csv" and beside.is_file():
            rows = pq.read_metadata(beside).num_rows
            with path.open(encoding="utf-8", newline="") as file:
                found = sum(1 for _ in csv.reader(file)) - 1
            if found < rows:
                cut = f"is cut off: {found} rows, {beside.name} beside it has {rows}"
                what = f"is not the expected table ({cut})"
                raise ResultsError(path, what, remedy)


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
