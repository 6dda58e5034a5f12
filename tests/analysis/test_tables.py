"""Tables that are written whole, and read as they were written."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from adscale.errors import OutputError, ResultsError
from adscale.files import write_output
from adscale.resolution import square
from adscale.tables import schema_of
from analysis.columns import SIZE, size_values
from analysis.missing import add_missing
from analysis.tables import (
    Schema,
    make_table,
    read_csv,
    read_missing,
    read_parquet,
    write_both,
)

SCHEMA: Schema = {"name": "string", "count": "Int64", "mean_ms": "Float64"}
ROWS = [
    {"name": "NA", "count": 2**53 + 1, "mean_ms": 0.1},
    {"name": 'x, "$y"\n_z', "count": None, "mean_ms": None},
]


def test_round_trip(tmp_path: Path) -> None:
    table = make_table(ROWS, SCHEMA)
    write_both(table, tmp_path / "t.csv")
    pd.testing.assert_frame_equal(read_csv(tmp_path / "t.csv", SCHEMA), table)
    again, _ = read_parquet(tmp_path / "t.parquet", SCHEMA, "")
    pd.testing.assert_frame_equal(again, table)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["t.csv", "t.parquet"]


def test_a_table_without_rows_keeps_its_columns_and_types(tmp_path: Path) -> None:
    table = make_table([], SCHEMA)
    write_both(table, tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text() == "name,count,mean_ms\n"
    assert list(map(str, read_csv(tmp_path / "t.csv", SCHEMA).dtypes)) == list(SCHEMA.values())


def test_null_is_an_empty_field(tmp_path: Path) -> None:
    write_both(
        make_table([{"name": "a", "count": None, "mean_ms": None}], SCHEMA), tmp_path / "t.csv"
    )
    assert (tmp_path / "t.csv").read_text() == "name,count,mean_ms\na,,\n"


@pytest.mark.parametrize("end", [-1, -9, 22])
def test_a_table_that_was_cut_is_told(tmp_path: Path, end: int) -> None:
    """Also between two lines: the Parquet file beside it knows how many there were."""
    write_both(make_table([ROWS[0], ROWS[0]], SCHEMA), tmp_path / "t.csv")
    text = (tmp_path / "t.csv").read_text()
    kept = text[:end] if end != 22 else "".join(text.splitlines(keepends=True)[:2])
    (tmp_path / "t.csv").write_text(kept)
    with pytest.raises(ResultsError, match=r"is cut off.*; remove it and start the study again"):
        read_csv(tmp_path / "t.csv", SCHEMA)


def test_rows_of_what_is_missing_are_read_by_those_who_ask(tmp_path: Path) -> None:
    schema: Schema = {"method": "string", **schema_of(SIZE), "missing": "string"}
    table = make_table([{"method": "A", **size_values(square(64))}], schema)
    lost = [
        {
            "method": "B",
            **size_values(square(64)),
            "process": 1,
            "pass": "latency",
            "missing": "boom",
        },
        {"method": "B", **size_values(square(96)), "process": 2, "missing": "boom"},
    ]
    write_both(add_missing(table, lost), tmp_path / "t.csv")
    pd.testing.assert_frame_equal(read_csv(tmp_path / "t.csv", schema), table)
    missing = read_missing(tmp_path / "t.csv", schema)
    assert missing[["method", "side_px"]].to_numpy().tolist() == [["B", 64], ["B", 96]]
    assert missing["missing"].tolist() == [
        "missing: latency pass: boom",
        "missing: process 2: boom",
    ]
    fits = make_table([], {"method": "string", "missing": "string"})
    sides = [{"method": "B", **size_values(square(side)), "missing": "boom"} for side in (64, 96)]
    assert add_missing(fits, sides)["missing"].tolist() == ["missing: 64, 96 px: boom"]


def test_a_table_without_the_column_is_of_before_there_was_one(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("method\nA\n")
    table = read_csv(tmp_path / "t.csv", {"method": "string", "missing": "string"})
    assert table["missing"].isna().all()


@pytest.mark.parametrize("row", [{"name": "a", "count": 1}, {**ROWS[0], "extra": 1}])
def test_rows_must_fit_the_schema(row: dict[str, object]) -> None:
    with pytest.raises(KeyError):
        make_table([row], SCHEMA)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("old")

    def fail(temporary: Path) -> None:
        temporary.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match="No space left"):
        write_output(path, fail)
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["t.csv"]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        write_both(make_table(ROWS, SCHEMA), tmp_path / "file" / "t.csv")


def test_a_name_without_csv(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"does not end in .csv"):
        write_both(make_table(ROWS, SCHEMA), tmp_path / "t.parquet")


def test_tables_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match=r"No such file.*; name .*`make study` makes them"):
        read_csv(tmp_path / "t.csv", SCHEMA)
    (tmp_path / "t.csv").write_text("name,count\na,1\n")
    with pytest.raises(ResultsError, match="has no column mean_ms"):
        read_csv(tmp_path / "t.csv", SCHEMA)
    (tmp_path / "t.csv").write_text("name,count,mean_ms\na,many,1\n")
    with pytest.raises(ResultsError, match="not the expected table"):
        read_csv(tmp_path / "t.csv", SCHEMA)
    (tmp_path / "t.csv").write_text("")
    with pytest.raises(ResultsError, match="not the expected table"):
        read_csv(tmp_path / "t.csv", SCHEMA)
    (tmp_path / "t.parquet").write_text("PAR")
    with pytest.raises(ResultsError, match=r"cannot be read.*; mend it"):
        read_parquet(tmp_path / "t.parquet", SCHEMA, "mend it")
