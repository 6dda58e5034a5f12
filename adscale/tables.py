"""Types of the registry of tables: columns, tables, and the jobs that make them.

A table is declared once, in the module of the function that makes it (`analysis.registry` lists
them). Its subcommand, its rule in the workflow, its mark and caption in Snakemake's report, its
place on the page and its definitions in docs/ follow from the declaration. Declaring modules import
pandas, numpy and scipy inside functions only, so that the workflow reads them without these.

The report shows a result by its category and subcategory, in a row of its labels. Captions are
files in workflow/report/; Snakemake reads them when it makes the report, so editing them causes
no job.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Literal, TypedDict


def text_table(
    head: Sequence[str], rows: Iterable[Sequence[str]], left: Collection[str] = ()
) -> str:
    """Lines with aligned columns: names to the left, numbers to the right; no digit is changed.

    Args:
        head: title of each column.
        rows: a text per column, without line feeds.
        left: titles of the columns that are aligned to the left.
    """
    lines = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    aligned = [str.ljust if title in left else str.rjust for title in head]
    return "\n".join(
        "  ".join(
            align(text, width) for align, text, width in zip(aligned, line, widths, strict=True)
        ).rstrip()
        for line in lines
    )


CAPTION_FOLDER = PurePosixPath("../report")
"""From the rules, as Snakemake wants it."""


class Mark(TypedDict):
    """Arguments of Snakemake's ``report()``."""

    caption: str
    category: str
    subcategory: str
    labels: dict[str, str]


def mark(caption: str, category: str, subcategory: str, labels: dict[str, str]) -> Mark:
    """A mark whose caption is in ``workflow/report/<caption>.rst``."""
    return {
        "caption": str(CAPTION_FOLDER / f"{caption}.rst"),
        "category": category,
        "subcategory": subcategory,
        "labels": labels,
    }


def summary_mark() -> Mark:
    """The mark of the study in three lines."""
    return mark("summary", "Summary", "In three lines", {"file": "summary.txt"})


ColumnType = Literal["string", "Int64", "Float64", "boolean"]
"""Nullable pandas types: a missing value is null, never 0 and never NaN."""

Schema = Mapping[str, ColumnType]
"""Columns of a table in their order."""

UNITS = {
    "ms": "ms", "us": "µs", "s": "s", "bytes": "bytes", "px": "px", "mhz": "MHz", "c": "°C",
    "w": "W", "j": "J",
}  # fmt: skip
"""By the last part of a column's name."""


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: with its unit, such as `mean_ms`.
        type: of its values.
        definition: of its values, in Markdown on one line; columns that belong together share one.
        unit: of its values; empty where they have none.
    """

    name: str
    type: ColumnType
    definition: str
    unit: str = ""


Columns = tuple[Column, ...]


def _columns(kind: ColumnType, names: tuple[str, ...], means: str, unit: str | None) -> Columns:
    def own_unit(name: str) -> str:
        return UNITS.get(name.rpartition("_")[2], "") if unit is None else unit

    return tuple(Column(name, kind, means, own_unit(name)) for name in names)


def text(*names: str, means: str) -> Columns:
    """Columns of words."""
    return _columns("string", names, means, "")


def integer(*names: str, means: str, unit: str | None = None) -> Columns:
    """Columns of whole numbers; their unit is the end of their name if none is given."""
    return _columns("Int64", names, means, unit)


def real(*names: str, means: str, unit: str | None = None) -> Columns:
    """Columns of real numbers; their unit is the end of their name if none is given."""
    return _columns("Float64", names, means, unit)


def flag(*names: str, means: str) -> Columns:
    """Columns of yes or no."""
    return _columns("boolean", names, means, "")


def join(*groups: Columns) -> Columns:
    """All columns of some groups."""
    return tuple(column for group in groups for column in group)


def pick(columns: Columns, *names: str) -> Columns:
    """Some of the columns, in the order asked for."""
    by_name = {column.name: column for column in columns}
    return tuple(by_name[name] for name in names)


def names_of(columns: Columns) -> tuple[str, ...]:
    """Names of columns."""
    return tuple(column.name for column in columns)


def schema_of(columns: Columns) -> Schema:
    """Types of columns by their names, in their order."""
    return {column.name: column.type for column in columns}


MISSING = text(
    "missing",
    means="why there are no numbers: a measurement or count that failed, or a resolution that "
    "cannot be counted. Such a row has its names and nothing else, and no figure or fit reads it; "
    "null in all other rows",
)
"""The last column of every table."""


@dataclass(frozen=True)
class Table:
    """A table of a study, `results/tables/<name>.csv` with the Parquet file beside it.

    Attributes:
        name: without extension.
        row: what a row is, for docs/results.md.
        columns: in their order; `MISSING` is added.
        category: under which Snakemake's report files it.
        contents: label of it there, in a few words.
        caption: beneath it there: what it shows, and in a paragraph of its own whether that is
            measured, counted or extrapolated and by which clock; reStructuredText.
        page: of docs/ that defines its columns.
        in_report: whether the study's page reads it.
        not_in_report: columns that the page does not read.
    """

    name: str
    row: str
    columns: Columns
    category: str
    contents: str
    caption: str
    page: str = "definitions.md"
    in_report: bool = False
    not_in_report: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Add the column that every table has."""
        object.__setattr__(self, "columns", join(self.columns, MISSING))

    @cached_property
    def schema(self) -> Schema:
        """Types by the names of the columns, in their order."""
        return schema_of(self.columns)

    @property
    def file(self) -> str:
        """Its name in the folder of tables."""
        return f"{self.name}.csv"

    @property
    def mark(self) -> Mark:
        """How Snakemake's report files it."""
        labels = {"table": self.file, "contents": self.contents}
        return mark(f"table_{self.name}", self.category, "Tables", labels)


Source = Literal["table", "processes", "runs", "counts", "cpu_counts", "tables", "setting"]
"""Where a study takes an argument from: a table; folders of all processes, or of the first process
of each run; counts; those for a CPU, maybe none; the folder of tables; the configuration."""


@dataclass(frozen=True)
class Argument:
    """An argument of a job's subcommand, passed on to its functions by its name.

    Attributes:
        flag: such as `--extrapolate-to`; without dashes: it is positional.
        settings: further arguments of `argparse.ArgumentParser.add_argument`.
        source: where a study takes it from; None: it does not give it.
        reads: the table that is read from the file, or tables that are read from the folder.
    """

    flag: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    source: Source | None = None
    reads: tuple[Table, ...] = ()

    @property
    def name(self) -> str:
        """The name by which functions take it."""
        return self.flag.lstrip("-").replace("-", "_")

    @property
    def is_switch(self) -> bool:
        """Whether it has no value."""
        return self.settings.get("action") == "store_true"


def table_argument(table: Table, *, required: bool = True) -> Argument:
    """The argument that names a table's file, such as `--runtime`."""
    settings = {"type": Path, "required": required, "metavar": table.file}
    return Argument(f"--{table.name.replace('_', '-')}", settings, "table", (table,))


@dataclass(frozen=True)
class Output:
    """A table that a job makes, and the option that names its file.

    Attributes:
        table: the table.
        make: its function. It takes what the job's step returns, or all of the job's arguments by
            their names, and returns a `pandas.DataFrame` of the table's columns.
        option: names the file.
        beside: name of the file where the option is not given, beside the first output's;
            `{stem}` stands for the name of that. None: the table is then not made.
        help: of the option.
    """

    table: Table
    make: Callable[..., Any]
    option: str = "--output"
    beside: str | None = None
    help: str | None = None

    @property
    def name(self) -> str:
        """The name of the option among those parsed."""
        return self.option.lstrip("-").replace("-", "_")


@dataclass(frozen=True)
class TableJob:
    """A job that makes one or several tables: a subcommand, and a rule of the workflow.

    Attributes:
        command: of `python -m analysis`.
        rule: of the workflow.
        description: of the command; `adscale.parts.COMMANDS` has it in one line.
        arguments: of the command, without those of the outputs.
        outputs: the tables; the first one's option is `-o`.
        step: what several tables are made from, done once: it takes the arguments by their names
            (a table that was not named is None) and returns the arguments of the outputs'
            functions. None: each takes the arguments itself.
        warn: lines to print when all is written; takes what `step` returns.
        answer: what the command does, with its parsed options, where no output is named; None: the
            first output has to be named.
    """

    command: str
    rule: str
    description: str
    arguments: tuple[Argument, ...]
    outputs: tuple[Output, ...]
    step: Callable[..., tuple[Any, ...]] | None = None
    warn: Callable[..., Iterable[str]] | None = None
    answer: Callable[[Any], None] | None = None

    @property
    def module(self) -> str:
        """The module that declares it: that of its step, or of its only table's function."""
        return (self.step or self.outputs[0].make).__module__

    def made_by(self, table: Table) -> str:
        """The command that makes a table, in short."""
        options = [one.option for one in self.outputs[1:] if one.table == table]
        return " ".join([f"python -m analysis {self.command}", *options])
