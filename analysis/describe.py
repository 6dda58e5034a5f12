"""The pages that follow from the registry: definitions of columns, lists of tables, captions.

``make docs`` writes them anew (``python -m analysis.describe``); a test fails where a file differs.
In a page of docs/, what stands between two markers is made, the rest is written by hand.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

from adscale.files import write_text
from adscale.tables import Column, Columns, Table, TableJob

from .comparison.table import COMPARISON
from .registry import TABLE_JOBS, TABLES

CHECKOUT = Path(__file__).parents[1]
DOCS = CHECKOUT / "docs"
CAPTIONS = CHECKOUT / "workflow" / "report"
WIDTH = 100
"""Characters in a line of a caption."""

_BLOCK = re.compile(r"(?<=<!-- made: )(\w+)( -->\n).*?(?=\n<!-- end -->)", re.DOTALL)


def described() -> dict[Path, str]:
    """What each file should hold that follows from the registry, by its path."""
    captions = {
        CAPTIONS / f"table_{output.table.name}.rst": caption(job, output.table)
        for job in TABLE_JOBS
        for output in job.outputs
    }
    pages = {"results.md", "comparison.md", *(table.page for table in TABLES)}
    return {**captions, **{DOCS / page: _page(DOCS / page) for page in sorted(pages)}}


def caption(job: TableJob, table: Table) -> str:
    """The caption of a table in Snakemake's report, as reStructuredText."""
    where = (
        f"Columns are defined in ``docs/{table.page}``. Made by ``python -m analysis "
        f"{job.command}``; the same table is there as Parquet."
    )
    paragraphs = [*table.caption.split("\n\n"), where]
    wrapped = (textwrap.fill(" ".join(each.split()), WIDTH) for each in paragraphs)
    return "\n\n".join(wrapped) + "\n"


def columns_table(columns: Columns, known: Iterable[Column] = ()) -> str:
    """Definitions of a table's columns, as Markdown.

    Args:
        columns: of the table.
        known: columns that are defined above on the page.
    """
    above = set(known)
    rows = [
        f"| {_names(group)} | {group[0].unit} | {_escaped(group[0].definition)} |"
        for group in _groups(column for column in columns if column not in above)
    ]
    again = [column for column in columns if column in above]
    also = [f"\nAnd, as above: {_names(again)}."] if again else []
    return "\n".join(["| column | unit | meaning |", "|---|---|---|", *rows, *also])


def tables_list() -> str:
    """What a row of each table is, as Markdown."""
    rows = [f"| `{table.file}` | {table.row} |" for table in TABLES]
    return "\n".join(["| table | a row is |", "|---|---|", *rows])


def _page(path: Path) -> str:
    """A page with what is made in it."""
    tables = {"comparison": COMPARISON, **{table.name: table.columns for table in TABLES}}
    known: list[Column] = []

    def block(match: re.Match[str]) -> str:
        name = match[1]
        if name == "tables":
            return f"{name}{match[2]}\n{tables_list()}\n"
        text = columns_table(tables[name], known)
        known.extend(tables[name])
        return f"{name}{match[2]}\n{text}\n"

    return _BLOCK.sub(block, path.read_text(encoding="utf-8"))


def _groups(columns: Iterable[Column]) -> Iterator[list[Column]]:
    """Neighbours with the same definition."""
    for _, group in groupby(columns, key=lambda column: (column.unit, column.definition)):
        yield list(group)


def _names(columns: Iterable[Column]) -> str:
    return ", ".join(f"`{column.name}`" for column in columns)


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    for file, content in described().items():
        write_text(file, content)
