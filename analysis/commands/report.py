"""`report` and `conclude`: the study in one page that needs no network, and in three lines."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from adscale.files import output_file, write_output
from adscale.parts import COMMANDS

if TYPE_CHECKING:
    from .arguments import Subparsers


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommands."""
    report = subparsers.add_parser(
        "report",
        help=COMMANDS["analysis"]["report"],
        description="One HTML file with all tables and interactive figures; it needs no network.",
    )
    _add_tables(report)
    report.add_argument("--title", default="adscale: cost over image resolution")
    report.add_argument(
        "-o", "--output", type=output_file(".html"), required=True, metavar="report.html"
    )
    report.set_defaults(run_command=_report)
    conclude = subparsers.add_parser(
        "conclude",
        help=COMMANDS["analysis"]["conclude"],
        description="What is fastest where and how sure that is; how many measurements are to be "
        "doubted; where to look on. docs/definitions.md has the rules.",
    )
    _add_tables(conclude)
    conclude.add_argument(
        "-o",
        "--output",
        type=output_file(".txt"),
        metavar="summary.txt",
        help="default: printed only",
    )
    conclude.set_defaults(run_command=_conclude)


def _add_tables(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "tables",
        type=Path,
        metavar="TABLES",
        help="folder of the study's tables, or of its results",
    )


def _report(options: argparse.Namespace) -> None:
    from ..report.page import read_content, render

    _write(options.output, render(read_content(_folder(options.tables), options.title)))


def _conclude(options: argparse.Namespace) -> None:
    from ..feasibility.tables import FEASIBILITY
    from ..report.summary import missing_sentences, three_lines
    from ..runs_table import RUNS
    from ..runtime_table import RUNTIME
    from ..tables import read_csv

    folder = _folder(options.tables)
    runtime, runs, feasibility = (
        read_csv(folder / table.file, table.schema) for table in (RUNTIME, RUNS, FEASIBILITY)
    )
    missing = list(missing_sentences(folder, named=3))
    text = "\n".join(three_lines(runtime, runs, feasibility, folder.parent, missing))
    if options.output is None:
        print(text)
    else:
        _write(options.output, f"{text}\n")


def _folder(named: Path) -> Path:
    """The folder of the tables, also where that of all results is named."""
    below = named / "tables"
    return below if below.is_dir() and not (named / "runtime.csv").is_file() else named


def _write(path: Path, text: str) -> None:
    write_output(path, lambda file: file.write_text(text, encoding="utf-8"))
