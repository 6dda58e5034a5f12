"""Reading exports: what differs between schemas, and files that are none."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from adscale.errors import ProfileError
from analysis.nsys.database import open_database
from analysis.nsys.reading import read_profile

THREAD = (7 << 24) | 9
OTHER_PROCESS = (8 << 24) | 9


def write_database(path: Path, *statements: str) -> Path:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(";\n".join(statements))
    return path


def nvtx_file(path: Path, *rows: str) -> Path:
    """An export with ranges; rows: start, end, type, text, textId, thread, endThread, domain."""
    return write_database(
        path,
        "CREATE TABLE StringIds (id INTEGER PRIMARY KEY, value TEXT)",
        "INSERT INTO StringIds VALUES (4, 'registered')",
        "CREATE TABLE NVTX_EVENTS (start INTEGER, end INTEGER, eventType INTEGER, text TEXT, "
        "textId INTEGER, globalTid INTEGER, endGlobalTid INTEGER, domainId INTEGER)",
        f"INSERT INTO NVTX_EVENTS VALUES {', '.join(rows)}",
    )


def test_names_are_registered_or_inline(tmp_path: Path) -> None:
    path = nvtx_file(
        tmp_path / "p.sqlite",
        f"(1, 2, 59, NULL, 4, {THREAD}, NULL, 0)",
        f"(3, 4, 70, 'inline', NULL, {THREAD}, NULL, 0)",
        f"(5, 6, 59, NULL, NULL, {THREAD}, NULL, 0)",
    )
    assert read_profile(path).ranges.labels() == ["registered", "inline", ""]


def test_styles_and_other_events(tmp_path: Path) -> None:
    kinds = {59: True, 60: False, 70: True, 71: False, 34: None, 39: None, 75: None}
    path = nvtx_file(
        tmp_path / "p.sqlite",
        *(f"(1, 2, {kind}, 'x', NULL, {THREAD}, NULL, 0)" for kind in kinds),
    )
    expected = [is_push_pop for is_push_pop in kinds.values() if is_push_pop is not None]
    assert read_profile(path).ranges.is_push_pop.tolist() == expected


def test_a_domain_belongs_to_its_process_and_the_first_name_counts(tmp_path: Path) -> None:
    path = nvtx_file(
        tmp_path / "p.sqlite",
        f"(0, NULL, 75, NULL, NULL, {THREAD}, NULL, 3)",
        f"(0, NULL, 75, 'first', NULL, {THREAD}, NULL, 3)",
        f"(0, NULL, 75, 'second', NULL, {THREAD}, NULL, 3)",
        f"(0, NULL, 75, 'other', NULL, {OTHER_PROCESS}, NULL, 3)",
        f"(1, 2, 59, 'a', NULL, {THREAD}, NULL, 3)",
        f"(1, 2, 59, 'b', NULL, {OTHER_PROCESS}, NULL, 3)",
        f"(1, 2, 59, 'c', NULL, {THREAD}, NULL, 0)",
    )
    assert read_profile(path).ranges.labels() == ["first:a", "other:b", "c"]


def test_open_ranges_end_at_the_largest_timestamp_of_a_range(tmp_path: Path) -> None:
    path = nvtx_file(
        tmp_path / "p.sqlite",
        f"(10, NULL, 59, 'open', NULL, {THREAD}, NULL, 0)",
        f"(20, 90, 59, 'closed', NULL, {THREAD}, NULL, 0)",
        f"(500, NULL, 34, 'a mark is no range', NULL, {THREAD}, NULL, 0)",
    )
    ranges = read_profile(path).ranges
    assert ranges.end_ns.tolist() == [90, 90]
    assert ranges.is_open.tolist() == [True, False]


def test_ranges_that_another_thread_ends_are_counted_and_left_out(tmp_path: Path) -> None:
    path = nvtx_file(
        tmp_path / "p.sqlite",
        f"(1, 2, 60, 'across', NULL, {THREAD}, {THREAD + 1}, 0)",
        f"(1, 2, 60, 'same', NULL, {THREAD}, NULL, 0)",
    )
    profile = read_profile(path)
    assert profile.ranges.labels() == ["same"]
    assert profile.cross_thread_ranges == 1


def test_columns_and_tables_that_older_schemas_lack(tmp_path: Path) -> None:
    path = write_database(
        tmp_path / "p.sqlite",
        "CREATE TABLE NVTX_EVENTS (start INTEGER, end INTEGER, eventType INTEGER, text TEXT, "
        "globalTid INTEGER)",
        f"INSERT INTO NVTX_EVENTS VALUES (-5, -1, 59, 'old', {THREAD})",
        "CREATE TABLE CUPTI_ACTIVITY_KIND_KERNEL (start INTEGER, end INTEGER, "
        "globalPid INTEGER, correlationId INTEGER)",
        "INSERT INTO CUPTI_ACTIVITY_KIND_KERNEL VALUES (1, 2, NULL, NULL)",
    )
    profile = read_profile(path)
    assert profile.ranges.labels() == ["old"]
    assert profile.ranges.start_ns.tolist() == [-5]
    assert profile.kernels.correlation.tolist() == [-1]
    assert profile.capture.schema_version is None
    assert "CUPTI_ACTIVITY_KIND_RUNTIME" not in profile.tables


@pytest.mark.parametrize("table", ["META_DATA_EXPORT", "EXPORT_META_DATA"])
def test_schema_version(tmp_path: Path, table: str) -> None:
    path = write_database(
        tmp_path / "p.sqlite",
        f"CREATE TABLE {table} (name TEXT, value TEXT)",
        f"INSERT INTO {table} VALUES ('EXPORT_SCHEMA_VERSION', '3.7.2')",
    )
    assert read_profile(path).capture.schema_version == "3.7.2"


def test_what_nsys_says_about_nvtx_is_kept_and_other_strings_are_not(tmp_path: Path) -> None:
    said = "Number of NVTX events collected: 0"
    path = write_database(
        tmp_path / "p.sqlite",
        "CREATE TABLE StringIds (id INTEGER PRIMARY KEY, value TEXT)",
        f"INSERT INTO StringIds VALUES (1, 'void kernel()'), (2, '{said}'), (3, 'NVTX_EVENTS')",
    )
    assert read_profile(path).capture.messages == (said,)


def test_a_column_that_cannot_be_missed(tmp_path: Path) -> None:
    path = write_database(tmp_path / "p.sqlite", "CREATE TABLE NVTX_EVENTS (start INTEGER)")
    with pytest.raises(ProfileError, match=r"NVTX_EVENTS has no column end, eventType, globalTid"):
        read_profile(path)


def test_text_where_integers_belong(tmp_path: Path) -> None:
    path = nvtx_file(tmp_path / "p.sqlite", f"('soon', 2, 59, 'a', NULL, {THREAD}, NULL, 0)")
    with pytest.raises(ProfileError, match="cannot be read"):
        read_profile(path)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match="No such file"):
        read_profile(tmp_path / "p.sqlite")


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "p.sqlite").touch()
    with pytest.raises(ProfileError, match="is empty"):
        read_profile(tmp_path / "p.sqlite")


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match="cannot be opened"):
        read_profile(tmp_path)


def test_a_report_that_was_not_exported(tmp_path: Path) -> None:
    path = tmp_path / "profile.nsys-rep"
    path.write_bytes(b"\x0a\x7fNSYS" * 40)
    with pytest.raises(ProfileError, match=r"no SQLite file; .*nsys export --type sqlite"):
        read_profile(path)


@pytest.mark.parametrize("kept_bytes", [20, 100, 5000, -1])
def test_a_truncated_file(tmp_path: Path, kept_bytes: int) -> None:
    path = nvtx_file(
        tmp_path / "p.sqlite", *(f"(1, 2, 59, 'a', NULL, {THREAD}, NULL, 0)" for _ in range(2000))
    )
    path.write_bytes(path.read_bytes()[:kept_bytes])
    with pytest.raises(ProfileError, match="truncated"):
        read_profile(path)


def test_a_damaged_file(tmp_path: Path) -> None:
    path = nvtx_file(
        tmp_path / "p.sqlite", *(f"(1, 2, 59, 'a', NULL, {THREAD}, NULL, 0)" for _ in range(2000))
    )
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(ProfileError, match="cannot be read"):
        read_profile(path)


def test_another_programs_database(tmp_path: Path) -> None:
    path = write_database(tmp_path / "p.sqlite", "CREATE TABLE moz_places (id INTEGER)")
    with pytest.raises(ProfileError, match="none of the tables of an nsys export"):
        read_profile(path)


def test_the_file_is_not_changed(tmp_path: Path) -> None:
    path = nvtx_file(tmp_path / "a b#c?.sqlite", f"(1, 2, 59, 'a', NULL, {THREAD}, NULL, 0)")
    before = path.read_bytes()
    path.chmod(0o444)
    assert len(read_profile(path).ranges) == 1
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_messages_are_one_line(tmp_path: Path) -> None:
    error = ProfileError(tmp_path, "two\nlines", "mend\nit")
    assert "\n" not in str(error)


def test_the_file_cannot_be_changed(tmp_path: Path) -> None:
    path = nvtx_file(tmp_path / "p.sqlite", f"(1, 2, 59, 'a', NULL, {THREAD}, NULL, 0)")
    with pytest.raises(ProfileError, match="readonly"), open_database(path) as database:
        database._connection.execute("DELETE FROM NVTX_EVENTS")
