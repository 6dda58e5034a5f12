"""The pages that follow from the registries: definitions of columns, lists, captions.

``make docs`` writes them anew (``python -m analysis.describe``); a test fails where a file differs.
In a page of docs/, what stands between two markers is made, the rest is written by hand.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

from adscale.describe import schema_text as record_schema
from adscale.figures import FigureKind
from adscale.files import write_text
from adscale.run_record import SCHEMA_VERSION
from adscale.tables import Column, Columns, Table, TableJob

from .comparison.profile_diff import DIFF
from .comparison.table import COMPARISON
from .figures.draw import FIGURES
from .json_output import SCHEMA_VERSIONS
from .json_schemas import schema_file, schema_text
from .registry import TABLE_JOBS, TABLES

CHECKOUT = Path(__file__).parents[1]
DOCS = CHECKOUT / "docs"
CAPTIONS = CHECKOUT / "workflow" / "report"
WIDTH = 100
"""Characters in a line of a caption."""

_BLOCK = re.compile(r"(?<=<!-- made: )(\w+)( -->\n).*?(?=\n<!-- end -->)", re.DOTALL)


def described() -> dict[Path, str]:
    """Return the content of each file that follows from the registry, by its path."""
    captions = {
        CAPTIONS / f"table_{output.table.name}.rst": caption(job, output.table)
        for job in TABLE_JOBS
        for output in job.outputs
    }
    captions |= {CAPTIONS / f"{kind.begins}.rst": figure_caption(kind) for kind in FIGURES}
    pages = {"results.md", "comparison.md", "diff.md", *(table.page for table in TABLES)}
    schemas = {
        DOCS / "schemas" / schema_file(name, version): schema_text(name)
        for name, version in SCHEMA_VERSIONS.items()
    }
    memory = DOCS / "schemas" / schema_file("memory", SCHEMA_VERSION)
    schemas[memory] = record_schema("memory")
    return {**captions, **schemas, **{DOCS / page: _page(DOCS / page) for page in sorted(pages)}}


def caption(job: TableJob, table: Table) -> str:
    """The caption of a table in Snakemake's report, as reStructuredText."""
    where = (
        f"Columns are defined in ``docs/{table.page}``. Made by ``python -m analysis "
        f"{job.command}``; the same table is there as Parquet."
    )
    return _wrapped([*table.caption.split("\n\n"), where])


def figure_caption(kind: FigureKind) -> str:
    """The caption of figures of a kind in Snakemake's report, as reStructuredText."""
    files = [f"``{table.file}``" for table in kind.reads]
    named = " and ".join(filter(None, [", ".join(files[:-1]), files[-1]]))
    made = (
        f"From {named} in ``results/tables``. What is drawn is in the CSV file of the same name "
        "beside the figure; the text beneath it says on what it was measured, or for what it was "
        "counted. Made by ``python -m analysis figures``."
    )
    return _wrapped([*kind.caption.split("\n\n"), made])


def _wrapped(paragraphs: Iterable[str]) -> str:
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
    """Return what a row of each table is, as Markdown."""
    rows = [f"| `{table.file}` | {table.row} |" for table in TABLES]
    return "\n".join(["| table | a row is |", "|---|---|", *rows])


def figures_list() -> str:
    """Return what figures of each kind show, and how their names go on, as Markdown."""
    rows = [f"| `{kind.begins}_*` | {kind.shows} | {', '.join(kind.labels)} |" for kind in FIGURES]
    head = ["| figure | shows, over the resolution | its name goes on with |", "|---|---|---|"]
    return "\n".join([*head, *rows])


def _page(path: Path) -> str:
    """A page with what is made in it."""
    tables = {
        "comparison": COMPARISON,
        "diff": DIFF,
        **{table.name: table.columns for table in TABLES},
    }
    lists = {"tables": tables_list, "figures": figures_list}
    known: list[Column] = []

    def block(match: re.Match[str]) -> str:
        name = match[1]
        if name in lists:
            return f"{name}{match[2]}\n{lists[name]()}\n"
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
