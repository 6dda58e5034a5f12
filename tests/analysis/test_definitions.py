"""The pages of docs/ and the captions follow from the registry, and define every column."""

from __future__ import annotations

from pathlib import Path

import pytest

from adscale.tables import Schema, Table
from analysis.describe import CAPTIONS, described
from analysis.profiles.kernel_table import KERNEL_COLUMNS
from analysis.profiles.range_table import PROFILE_COLUMNS
from analysis.registry import TABLES
from tests.conftest import CHECKOUT

DOCS = CHECKOUT / "docs"


@pytest.mark.parametrize("file", described(), ids=lambda file: file.name)
def test_pages_and_captions_are_those_of_the_registry(file: Path) -> None:
    assert file.read_text(encoding="utf-8") == described()[file], "make docs writes it anew"


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_column_is_defined_on_the_page_of_its_table(table: Table) -> None:
    text = (DOCS / table.page).read_text(encoding="utf-8")
    assert f"<!-- made: {table.name} -->" in text
    assert [name for name in table.schema if f"`{name}`" not in text] == []
    assert all(column.definition for column in table.columns)


def test_every_table_is_listed_and_has_a_caption() -> None:
    text = (DOCS / "results.md").read_text(encoding="utf-8")
    assert [table.file for table in TABLES if f"`{table.file}`" not in text] == []
    captions = {file.stem for file in CAPTIONS.glob("table_*.rst")}
    assert captions == {f"table_{table.name}" for table in TABLES}


@pytest.mark.parametrize("schema", [PROFILE_COLUMNS, KERNEL_COLUMNS])
def test_every_column_of_profiles_is_defined(schema: Schema) -> None:
    text = (DOCS / "attribution.md").read_text(encoding="utf-8")
    assert [name for name in schema if f"`{name}`" not in text] == []
