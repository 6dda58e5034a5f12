"""The subcommands that a study calls: a job of tables each, figures, the page, three lines."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adscale.errors import ArgumentError
from adscale.files import write_output
from adscale.tables import Argument, Output, TableJob, table_argument

from ..figures.draw import TABLES
from .arguments import json_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from .arguments import Subparsers


def add_table_parser(subparsers: Subparsers, job: TableJob) -> None:
    """Add the subcommand of a job."""
    parser = subparsers.add_parser(job.command, help=job.help, description=job.description)
    for argument in job.arguments:
        parser.add_argument(argument.flag, **argument.settings)
    first, *others = job.outputs
    parser.add_argument(
        "-o", first.option, type=Path, required=job.answer is None, metavar=first.table.file
    )
    for output in others:
        help_text = output.help
        if output.beside is not None:
            help_text = help_text or f"where its table goes (default: {output.beside} beside it)"
        parser.add_argument(output.option, type=Path, metavar=output.table.file, help=help_text)
    parser.set_defaults(run_command=lambda options: run_job(job, options))


def run_job(job: TableJob, options: argparse.Namespace) -> None:
    """Make the tables of a job that were asked for, and write them.

    Raises:
        ArgumentError: options contradict each other.
        ResultsError: a table that is read is missing or is not what it should be.
        OutputError: nothing can be written where it was asked for.
    """
    from ..tables import write_both

    first: Path | None = getattr(options, job.outputs[0].name)
    if first is None:
        _answer(job, options)
        return
    arguments = {one.name: _value(one, getattr(options, one.name)) for one in job.arguments}
    positional = job.step(**arguments) if job.step else ()
    named = {} if job.step else arguments
    for output in job.outputs:
        path = _path(output, getattr(options, output.name), first)
        if path is not None:
            table: pd.DataFrame = output.make(*positional, **named)
            write_both(table, path)
    for line in _warnings(job, positional):
        print(f"warning: {line}", file=sys.stderr)


def _answer(job: TableJob, options: argparse.Namespace) -> None:
    for output in job.outputs[1:]:
        if getattr(options, output.name) is not None:
            raise ArgumentError(output.option, "comes with a table", "name -o, too")
    assert job.answer is not None, "the option is required"
    job.answer(options)


def _value(argument: Argument, given: Any) -> Any:
    """Return what a job's function takes: the table itself where its file was named."""
    if argument.source != "table" or given is None:
        return given
    from ..tables import read_csv

    return read_csv(given, argument.reads[0].schema)


def _path(output: Output, given: Path | None, first: Path) -> Path | None:
    """Where a table goes; None: it is not asked for."""
    if given is not None or output.beside is None:
        return given
    return first.with_name(output.beside.format(stem=first.stem))


def _warnings(job: TableJob, positional: tuple[Any, ...]) -> Iterator[str]:
    yield from job.warn(*positional) if job.warn else ()


OPTIONAL = {
    "feasibility": "for the figures of GPUs and sensors; without it there are none",
    "runs": "for captions: how the runs were executed, and why some were not steady",
}
"""Tables that may be left out, and what they are for."""

_ARGUMENTS = {table.name: table_argument(table, required=table.name not in OPTIONAL)
              for table in TABLES}  # fmt: skip


def add_figures_parser(subparsers: Subparsers) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "figures",
        help="draw the figures of a study",
        description="Every figure as PDF and PNG, with its data as CSV beside it.",
    )
    for name, argument in _ARGUMENTS.items():
        parser.add_argument(argument.flag, **argument.settings, help=OPTIONAL.get(name))
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    parser.add_argument(
        "--only", metavar="NAME", action="append", help="draw this figure only; may be repeated"
    )
    parser.add_argument(
        "--style",
        metavar="JSON",
        help="width_mm, font_pt, png_dpi: a JSON file, or the JSON text itself",
    )
    parser.add_argument(
        "--hardware",
        metavar="JSON",
        help="gpus and sensors to draw as lines, as in the configuration: a JSON file, or the JSON "
        "text itself (default: no lines)",
    )
    parser.set_defaults(run_command=_main)


def _main(options: argparse.Namespace) -> None:
    from ..figures.canvas import Style
    from ..figures.draw import draw_figures, study_figures
    from ..hardware import Hardware
    from ..tables import read_csv

    style = Style.from_json(json_text("--style", options.style))
    hardware = Hardware.from_json(json_text("--hardware", options.hardware))
    files = {table: getattr(options, _ARGUMENTS[table.name].name) for table in TABLES}
    tables = {table.name: read_csv(file, table.schema) for table, file in files.items() if file}
    figures = study_figures(tables, hardware, style)
    draw_figures(figures, options.output, style, options.only or ())


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommands."""
    report = subparsers.add_parser(
        "report",
        help="the study in one page",
        description="One HTML file with all tables and interactive figures; it needs no network.",
    )
    _add_tables(report)
    report.add_argument("--title", default="adscale: cost over image resolution")
    report.add_argument("-o", "--output", type=Path, required=True, metavar="report.html")
    report.set_defaults(run_command=_report)
    conclude = subparsers.add_parser(
        "conclude",
        help="the study in three lines",
        description="What is fastest where and how sure that is; how many measurements are to be "
        "doubted; where to look on. docs/definitions.md has the rules.",
    )
    _add_tables(conclude)
    conclude.add_argument(
        "-o", "--output", type=Path, metavar="summary.txt", help="default: printed only"
    )
    conclude.set_defaults(run_command=_conclude)


def _add_tables(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("tables", type=Path, metavar="TABLES", help="folder of the study's tables")


def _report(options: argparse.Namespace) -> None:
    from ..report.page import read_content, render

    _write(options.output, render(read_content(options.tables, options.title)))


def _conclude(options: argparse.Namespace) -> None:
    from ..feasibility.tables import FEASIBILITY
    from ..report.summary import three_lines
    from ..runs_table import RUNS
    from ..runtime_table import RUNTIME
    from ..tables import read_csv

    folder: Path = options.tables
    runtime, runs, feasibility = (
        read_csv(folder / table.file, table.schema) for table in (RUNTIME, RUNS, FEASIBILITY)
    )
    text = "\n".join(three_lines(runtime, runs, feasibility, folder.parent))
    if options.output is None:
        print(text)
    else:
        _write(options.output, f"{text}\n")


def _write(path: Path, text: str) -> None:
    write_output(path, lambda file: file.write_text(text, encoding="utf-8"))
