"""Whatever a file holds: results, or one clear line and exit code 2; no traceback, no hang."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analysis import nsys
from analysis.__main__ import main
from analysis.nsys.bulk import READERS
from tests.analysis.reference import TABLES, USUAL, Events, Operation, Range
from tests.analysis.reference import Call as Launch
from tests.gpu_profiles import GpuRun, record

Analysis = Callable[..., tuple[int, str, str]]
RUN = GpuRun("M", 256, ("teacher", "student"), lambda name, image: 4000)
THREAD = (1 << 24) | 1
READ_TABLES = ("NVTX_EVENTS", "StringIds", "CUPTI_ACTIVITY_KIND_RUNTIME", *TABLES.values())
FUZZ = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A profile with a bit of everything."""
    operations = [
        Operation(kind, 1 << 24, 10 * k, 10 * k + 5, k, 0, 7, "gemm", None)
        for k, kind in enumerate(list(TABLES) * 50)
    ]
    calls = [Launch(THREAD, k, k, k) for k in range(200)]
    ranges = [Range(THREAD, k, k + 9, 59, "a", 1, bool(k % 2), False) for k in range(0, 200, 10)]
    path = tmp_path_factory.mktemp("sound") / "p.sqlite"
    return Events(ranges, calls, operations).write(path).read_bytes()


def ends_well(path: Path, capsys: pytest.CaptureFixture[str], *more: str) -> int:
    """Run `attribute` with both readers; the exit code, that of the error if one refuses."""
    codes = []
    for reader in READERS:
        code = main(["attribute", str(path), "--reader", reader, *more])
        out, err = capsys.readouterr()
        if code:
            assert code == 2
            assert out == ""
            assert err.startswith("error: ")
            assert err.count("\n") == 1
        codes.append(code)
    assert codes[0] == codes[1]
    return codes[0]


@FUZZ
@given(data=st.binary(max_size=300), has_header=st.booleans())
def test_random_bytes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], data: bytes, has_header: bool
) -> None:
    path = tmp_path / "p.sqlite"
    path.write_bytes((b"SQLite format 3\0" if has_header else b"") + data)
    assert ends_well(path, capsys) == 2


@FUZZ
@given(kept=st.floats(0, 1, exclude_max=True))
def test_truncated_anywhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], sound: bytes, kept: float
) -> None:
    path = tmp_path / "p.sqlite"
    path.write_bytes(sound[: int(kept * len(sound))])
    assert ends_well(path, capsys) == 2


@FUZZ
@given(
    places=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=9)),
                    min_size=1, max_size=30),
)  # fmt: skip
def test_bytes_overwritten(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    sound: bytes,
    places: list[tuple[float, bytes]],
) -> None:
    content = bytearray(sound)
    for place, data in places:
        at = int(place * (len(sound) - len(data)))
        content[at : at + len(data)] = data
    path = tmp_path / "p.sqlite"
    path.write_bytes(content)
    ends_well(path, capsys, "--kernels")


def altered(path: Path, content: bytes, *statements: str) -> Path:
    path.write_bytes(content)
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)
    return path


@pytest.mark.parametrize("table", READ_TABLES)
def test_a_table_is_absent_or_empty(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], sound: bytes, table: str
) -> None:
    for statement in (f"DELETE FROM {table}", f"DROP TABLE {table}"):
        path = altered(tmp_path / "p.sqlite", sound, statement)
        for more in ([], ["--kernels"], ["--by", "stream"], ["--by", "thread"], ["--json"]):
            assert ends_well(path, capsys, *more) == 0


def columns_of(table: str) -> list[str]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(USUAL.sql)
        columns = connection.execute(f"PRAGMA table_info({table})").fetchall()
    return [name for _, name, _, _, _, key in columns if not key]  # SQLite does not drop a key


def columns_to_drop() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each column that our reader names, by itself; all others of a table together."""
    folder = Path(nsys.__file__).parent
    reader = "\n".join(file.read_text(encoding="utf-8") for file in folder.glob("*.py"))
    for table in READ_TABLES:
        named = [column for column in columns_of(table) if f'"{column}"' in reader]
        yield from ((table, (column,)) for column in named)
        if unnamed := tuple(column for column in columns_of(table) if column not in named):
            yield table, unnamed


@pytest.mark.parametrize(("table", "columns"), [*columns_to_drop()], ids=str)
def test_a_column_is_absent(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    sound: bytes,
    table: str,
    columns: tuple[str, ...],
) -> None:
    path = tmp_path / "p.sqlite"
    altered(path, sound, *(f'ALTER TABLE {table} DROP COLUMN "{column}"' for column in columns))
    needed = {"start", "end", "globalTid", "correlationId", "eventType"}
    assert ends_well(path, capsys, "--by", "stream") == (2 if needed & {*columns} else 0)


@pytest.mark.parametrize(
    ("table", "column"),
    [
        *(("NVTX_EVENTS", c) for c in ("start", "end", "eventType", "globalTid", "domainId")),
        *(("NVTX_EVENTS", c) for c in ("textId", "text", "category", "endGlobalTid")),
        *(("CUPTI_ACTIVITY_KIND_RUNTIME", c) for c in ("start", "end", "globalTid")),
        *((t, c) for t in TABLES.values() for c in ("start", "globalPid", "correlationId")),
        *((t, c) for t in TABLES.values() for c in ("deviceId", "streamId", "contextId")),
        ("CUPTI_ACTIVITY_KIND_KERNEL", "demangledName"),
        ("StringIds", "value"),
    ],
)
@pytest.mark.parametrize(
    ("value", "where"),
    [
        *((value, "") for value in ("'text'", "0.5", "X'FF'", "9223372036854775807", "-1")),
        # one row alone: SQLite gives the others their right type
        *((value, " WHERE rowid = (SELECT MAX(rowid) FROM {})") for value in ("'text'", "X'FF'")),
    ],
)
def test_wrong_types_and_wild_values(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    sound: bytes,
    table: str,
    column: str,
    value: str,
    where: str,
) -> None:
    statement = f'UPDATE {table} SET "{column}" = {value}{where.format(table)}'
    path = altered(tmp_path / "p.sqlite", sound, statement)
    ends_well(path, capsys, "--by", "device")


def test_a_locked_file(tmp_path: Path, analysis: Analysis) -> None:
    path = tmp_path / "p.sqlite"
    record(RUN).write(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        code, out, err = analysis("attribute", path)
    assert (code, out) == (2, "")
    assert "database is locked" in err
    assert "close the program that writes to it" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("name", ["META_DATA_EXPORT", "StringIds"])
def test_known_tables_with_foreign_columns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    path = tmp_path / "p.sqlite"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"CREATE TABLE {name} (something REAL)")
        connection.execute(f"INSERT INTO {name} VALUES (1.5)")
    assert ends_well(path, capsys) == 0


def test_a_folder_and_a_pipe_of_nothing(tmp_path: Path, capsys: Any) -> None:
    assert ends_well(tmp_path, capsys) == 2
    assert ends_well(Path("/dev/null"), capsys) == 2
    os.mkfifo(tmp_path / "p.sqlite")
    assert ends_well(tmp_path / "p.sqlite", capsys) == 2
