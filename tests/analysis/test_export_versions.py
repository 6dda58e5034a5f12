"""Exports of every schema give the same numbers, whatever the order of their rows."""

from __future__ import annotations

import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis.nsys.reading import read_profile
from analysis.profiles.copy_table import copy_table
from analysis.profiles.kernel_table import kernel_table
from analysis.profiles.range_table import profile_table
from analysis.profiles.work import ProfileWork, without_forgotten, work_of
from tests.analysis.builders import frame
from tests.analysis.conftest import FIXTURES
from tests.nsys_schema import EXPORTS, schema_of_export
from tests.version_profiles import PAGE, compare, page, write_profile

REAL = sorted(FIXTURES.rglob("*.sqlite"))


@pytest.mark.parametrize("version", EXPORTS)
def test_every_version_gives_what_the_rule_says(version: str, tmp_path: Path) -> None:
    compare(tmp_path, EXPORTS[version])


def test_the_page_has_the_matrix() -> None:
    """If not: `python -m tests.version_profiles`, which compares all of it and writes the table."""
    assert page() == PAGE.read_text("utf-8")


@pytest.mark.fixtures
@pytest.mark.parametrize("path", REAL, ids=[path.stem for path in REAL])
def test_the_schemas_are_those_of_real_exports(path: Path, tmp_path: Path) -> None:
    """Every table of a real export has the same columns in a generated one, in the same order."""
    version, nsys, tables = schema_of_export(path)
    known = EXPORTS[version]
    assert nsys == known.nsys
    *_, generated = schema_of_export(write_profile(tmp_path, known))
    assert not set(tables) & set(known.reconstructed)
    for table, columns in tables.items():
        assert list(generated[table].items()) == list(columns.items())


TABLES = ("NVTX_EVENTS", *(f"CUPTI_ACTIVITY_KIND_{kind}" for kind in
          ("RUNTIME", "KERNEL", "MEMCPY", "MEMSET", "GRAPH_TRACE")))  # fmt: skip


def shuffle_rows(path: Path, seed: int) -> None:
    """Puts the rows of each table that is read into a random order."""
    order = random.Random(seed)
    with closing(sqlite3.connect(path)) as connection, connection:
        for table in TABLES:
            if not connection.execute(
                "SELECT 1 FROM sqlite_master WHERE name = ?", [table]
            ).fetchall():
                continue
            rows = connection.execute(f"SELECT * FROM {table}").fetchall()
            order.shuffle(rows)
            connection.execute(f"DELETE FROM {table}")
            if rows:
                marks = ", ".join("?" * len(rows[0]))
                connection.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)


def work_in(path: Path) -> ProfileWork:
    return work_of(without_forgotten(read_profile(path)))


def has_equal_ranges(work: ProfileWork) -> bool:
    ranges = work.profile.ranges
    intervals = pd.DataFrame(
        {"thread": ranges.thread[:], "start": ranges.start_ns, "end": ranges.end_ns}
    )
    return bool(intervals.duplicated().any())


def tables_of(work: ProfileWork) -> list[pd.DataFrame]:
    """The tables in an order that does not depend on that of the rows."""
    tables = [
        frame(make) for make in (profile_table(work), kernel_table(work, None), copy_table(work))
    ]
    return [table.sort_values(list(table.columns[:2])).reset_index(drop=True) for table in tables]


def by_name(table: pd.DataFrame) -> Any:
    """Sums over all ranges of a name, wherever they lie; exclusive time only as a whole."""
    names = table["path"].str.split(" > ").str[-1]
    summed = ["calls", "host_ms", "kernels", "kernel_sum_ms", "busy_ms", "copies", "copy_bytes"]
    return table.groupby(names)[summed].sum(), table["exclusive_ms"].sum()


@pytest.mark.fixtures
@pytest.mark.parametrize("path", REAL, ids=[path.stem for path in REAL])
def test_a_real_profile_with_its_rows_shuffled_gives_the_same(path: Path, tmp_path: Path) -> None:
    shuffled = tmp_path / "shuffled.sqlite"
    shutil.copyfile(path, shuffled)
    shuffle_rows(shuffled, seed=23)
    before, after = work_in(path), work_in(shuffled)
    if has_equal_ranges(before):  # who of equal ranges lies in whom follows from the rows
        (sums, exclusive), (sums_after, exclusive_after) = (
            by_name(tables_of(work)[0]) for work in (before, after)
        )
        pd.testing.assert_frame_equal(sums, sums_after)
        assert exclusive == pytest.approx(exclusive_after)
    else:
        for first, second in zip(tables_of(before), tables_of(after), strict=True):
            pd.testing.assert_frame_equal(first, second)
