"""Both ways to read columns: the same results, whatever a file holds."""

from __future__ import annotations

import gc
import sqlite3
import warnings
from contextlib import closing
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adscale.errors import ProfileError
from analysis.nsys import bulk
from analysis.nsys.bulk import UnsuitedError, arrow_chunks, read_only
from analysis.nsys.reading import read_profile
from analysis.nsys.records import Coded, Growing, Profile
from tests.gpu_profiles import GpuRun, record

RUN = GpuRun("M", 256, ("teacher", "student"), lambda name, image: 4000)
KERNEL = "CUPTI_ACTIVITY_KIND_KERNEL"
COLUMNS = "start, end, globalPid, correlationId"


def assert_same(first: Any, second: Any) -> None:
    """Dataclasses of arrays, compared element by element."""
    assert type(first) is type(second)
    if isinstance(first, np.ndarray):
        assert first.tolist() == second.tolist()
    elif isinstance(first, Coded):
        assert first[:].tolist() == second[:].tolist()
    elif isinstance(first, tuple):
        for one, other in zip(first, second, strict=True):
            assert_same(one, other)
    elif hasattr(first, "__dataclass_fields__"):
        for column in fields(first):
            assert_same(getattr(first, column.name), getattr(second, column.name))
    else:
        assert first == second


def both(path: Path) -> Profile:
    found = [read_profile(path, reader=reader, with_streams=True) for reader in bulk.READERS]
    assert_same(*found)
    return found[0]


def changed(path: Path, *statements: str) -> Path:
    record(RUN).write(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(";\n".join(statements))
    return path


def kernels_table(path: Path, *rows: str, declared: str = COLUMNS, end: str = "") -> Path:
    """An export with a table of kernels that is declared as told."""
    path.unlink(missing_ok=True)
    values = [f"INSERT INTO {KERNEL} VALUES {', '.join(rows)}"] if rows else []
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(";\n".join([f"CREATE TABLE {KERNEL} ({declared}) {end}", *values]))
    return path


@pytest.mark.fixtures
def test_the_same_of_every_real_profile(real_profile: Path) -> None:
    both(real_profile)


def test_the_arrow_driver_reads_a_profile_without_help(tmp_path: Path) -> None:
    """So that comparing the readers compares two, not the fallback with itself."""
    record(RUN).write(tmp_path / "p.sqlite")
    (chunk,) = arrow_chunks(
        read_only(tmp_path / "p.sqlite"), f"SELECT start FROM {KERNEL}", [False]
    )
    assert len(chunk[0]) == 56


@pytest.mark.parametrize("rows", [1, 3, 10, 1000])
def test_in_parts_of_any_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    record(RUN).write(tmp_path / "p.sqlite")
    whole = read_profile(tmp_path / "p.sqlite")
    monkeypatch.setattr(bulk, "ROWS_PER_PART", rows)
    monkeypatch.setattr(bulk, "MOST_PARTS", 10**6)
    assert_same(whole, read_profile(tmp_path / "p.sqlite"))
    both(tmp_path / "p.sqlite")


def test_rows_were_removed_and_ids_lie_far_apart(tmp_path: Path) -> None:
    path = changed(
        tmp_path / "p.sqlite",
        f"DELETE FROM {KERNEL} WHERE rowid % 3 = 0",
        f"UPDATE {KERNEL} SET rowid = rowid * 1000000000000",
        f"UPDATE {KERNEL} SET rowid = -5 WHERE rowid = 1000000000000",
    )
    assert len(both(path).kernels) == 56 - 56 // 3


def test_columns_that_are_null_at_first(tmp_path: Path) -> None:
    """The driver takes the types of columns from the first rows."""
    path = tmp_path / "p.sqlite"
    null, known = [f"({k}, {k + 1}, NULL, NULL)" for k in range(9)], ["(9, 10, 5, 6)"]
    kernels = both(kernels_table(path, *null, *known)).kernels
    assert kernels.correlation.tolist() == [-1] * 9 + [6]


def test_names_of_ranges_that_begin_late_and_are_no_utf8(tmp_path: Path) -> None:
    statements = [
        "INSERT INTO NVTX_EVENTS (start, end, eventType, globalTid, text) "
        f"VALUES ({k}, {k + 1}, 59, 7, {text})"
        for k, text in enumerate(["NULL", "''", "CAST(X'FF41' AS TEXT)", "'ü'", "12", "X'42'"])
    ]
    names = both(changed(tmp_path / "p.sqlite", *statements)).ranges.name.tolist()
    assert names[-6:] == ["", "", "�A", "ü", "12", "B"]


def test_a_view_and_a_table_without_row_ids(tmp_path: Path) -> None:
    declared = "start INTEGER PRIMARY KEY, end INTEGER, globalPid INTEGER, correlationId INTEGER"
    path = kernels_table(
        tmp_path / "p.sqlite", "(1, 2, 3, 4), (5, 6, 7, 8)", declared=declared, end="WITHOUT ROWID"
    )
    with closing(sqlite3.connect(path)) as connection, connection:
        copied = "SELECT start, end, globalPid, correlationId"
        connection.execute(f"CREATE VIEW CUPTI_ACTIVITY_KIND_MEMCPY AS {copied} FROM {KERNEL}")
    profile = both(path)
    assert profile.kernels.start_ns.tolist() == profile.copies.start_ns.tolist() == [1, 5]


def test_rows_in_another_order_are_sorted_by_time(tmp_path: Path) -> None:
    path = kernels_table(tmp_path / "p.sqlite", "(5, 6, 1, 1), (1, 9, 2, 2), (3, 4, 3, 3)")
    kernels = both(path).kernels
    assert kernels.start_ns.tolist() == [1, 3, 5]
    assert kernels.correlation.tolist() == [2, 3, 1]
    assert kernels.process[:].tolist() == [2, 3, 1]


def test_integers_of_64_bits(tmp_path: Path) -> None:
    large = 2**63 - 1
    path = kernels_table(tmp_path / "p.sqlite", f"(-5, {large}, {-large}, {large}), (1, 2, 3, 4)")
    kernels = both(path).kernels
    assert kernels.correlation.tolist() == [large, 4]
    assert kernels.process[:].tolist() == [-large, 3]
    assert kernels.end_ns.tolist() == [large, 2]


@pytest.mark.parametrize("value", ["'soon'", "1.5", "X'00'"])
@pytest.mark.parametrize("row", [0, 40])
@pytest.mark.parametrize("column", ["start", "end", "globalPid", "correlationId"])
def test_what_is_no_integer_is_refused(tmp_path: Path, value: str, row: int, column: str) -> None:
    rows = [f"({k}, {k + 1}, 1, {k})" for k in range(50)]
    path = kernels_table(tmp_path / "p.sqlite", *rows)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"UPDATE {KERNEL} SET {column} = {value} WHERE rowid = {row + 1}")
    messages = []
    for reader in bulk.READERS:
        with pytest.raises(ProfileError, match="where an integer belongs") as caught:
            read_profile(path, reader=reader)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


def test_the_arrow_driver_refuses_what_it_cannot_tell(tmp_path: Path) -> None:
    path = kernels_table(tmp_path / "p.sqlite", "(1, 2, NULL, 'x')")
    for sql in (f"SELECT globalPid FROM {KERNEL}", f"SELECT correlationId FROM {KERNEL}"):
        with pytest.raises(UnsuitedError):
            list(arrow_chunks(read_only(path), sql, [False]))
    with pytest.raises(UnsuitedError):
        list(arrow_chunks(read_only(tmp_path / "absent.sqlite"), "SELECT 1", [False]))


@pytest.mark.parametrize("damaged", [0.1, 0.9])
def test_of_a_damaged_table_nothing_stays_open_or_fails_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damaged: float
) -> None:
    """Driver 1.12 also fails to close a statement that failed in its first rows."""
    path = kernels_table(tmp_path / "p.sqlite", *(f"({k}, 0, 0, 0)" for k in range(9000)))
    monkeypatch.setattr("analysis.nsys.bulk.BATCH_ROWS", 3000)
    content = bytearray(path.read_bytes())
    page = int(damaged * len(content)) // 4096 * 4096
    content[page : page + 100] = b"\xff" * 100
    path.write_bytes(content)
    unraisable: list[Any] = []
    monkeypatch.setattr("sys.unraisablehook", lambda found: unraisable.append(found.exc_value))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the driver warns of what it could not close
        with pytest.raises(UnsuitedError, match="malformed"):
            list(arrow_chunks(read_only(path), f"SELECT start FROM {KERNEL}", [False]))
        gc.collect()
    assert unraisable == []
    assert path not in {file.resolve() for file in Path("/proc/self/fd").iterdir()}


def test_growing_columns_take_any_integers() -> None:
    narrow, coded = Growing("narrow", 2), Growing("coded", 0)
    parts = [np.array(part, np.int64) for part in ([1, 2], [], [2**40], [-3])]
    parts += [np.arange(300, dtype=np.int64), np.full(4, 7, np.int64)]
    for part in parts:
        narrow.append(part)
        coded.append(part)
    expected = np.concatenate(parts).tolist()
    assert narrow.column().tolist() == expected
    assert coded.column()[:].tolist() == expected
    assert len(set(coded.column().distinct.tolist())) == len(coded.column().distinct)


def test_growing_columns_of_many_values() -> None:
    generator = np.random.default_rng(0)
    column = Growing("coded", 10)
    parts = [
        generator.integers(0, 1_000, 3_000),
        generator.integers(500, 5_000_000, 60_000),
        np.full(5, 2**40),
        np.r_[generator.integers(-400, 400, 60_000), np.iinfo(np.int64).min],
    ]
    for part in parts:
        column.append(part)
    found = column.column()
    assert isinstance(found, Coded)
    assert found.tolist() == np.concatenate(parts).tolist()
    assert len(set(found.distinct.tolist())) == len(found.distinct)


def test_columns_of_codes_are_like_arrays() -> None:
    column = Coded.of(np.array(["b", "a", "b", ""], object))
    assert column.tolist() == ["b", "a", "b", ""]
    assert (column == "b").tolist() == [True, False, True, False]
    assert np.append(column, "c").tolist() == ["b", "a", "b", "", "c"]
    renamed = column.mapped([{"b": "x", "a": "x", "": "y"}[text] for text in column.distinct])
    assert renamed.tolist() == ["x", "x", "x", "y"]
    assert len(renamed.distinct) == 2


def test_progress_reaches_its_end(tmp_path: Path) -> None:
    record(RUN).write(tmp_path / "p.sqlite")
    told: list[tuple[int, int]] = []
    read_profile(tmp_path / "p.sqlite", on_progress=lambda done, total: told.append((done, total)))
    assert told[-1][0] == told[-1][1] > 100
    assert [done for done, _ in told] == sorted(done for done, _ in told)
