"""The subcommands that make tables, one for each job of the registry."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adscale.errors import ArgumentError
from adscale.files import output_file
from adscale.parts import COMMANDS
from adscale.tables import Argument, Output, TableJob

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from .arguments import Subparsers


def add_parser(subparsers: Subparsers, job: TableJob) -> None:
    """Add the subcommand of a job."""
    parser = subparsers.add_parser(
        job.command, help=COMMANDS["analysis"][job.command], description=job.description
    )
    for argument in job.arguments:
        parser.add_argument(argument.flag, **argument.settings)
    first, *others = job.outputs
    parser.add_argument(
        "-o",
        first.option,
        type=output_file(".csv"),
        required=job.answer is None,
        metavar=first.table.file,
    )
    for output in others:
        help_text = output.help
        if output.beside is not None:
            help_text = help_text or f"where its table goes (default: {output.beside} beside it)"
        parser.add_argument(
            output.option, type=output_file(".csv"), metavar=output.table.file, help=help_text
        )
    parser.set_defaults(run_command=lambda options: run_job(job, options))


def run_job(job: TableJob, options: argparse.Namespace) -> None:
    """Make the tables of a job that were asked for, and write them.

    Raises:
        ArgumentError: options contradict each other.
        ResultsError: a table that is read is missing or is not what it should be.
        OutputError: nothing can be written where it was asked for.
    """
    from ..missing import add_missing, missing_of_job
    from ..tables import write_both

    first: Path | None = getattr(options, job.outputs[0].name)
    if first is None:
        _answer(job, options)
        return
    missing = missing_of_job(job, vars(options))
    arguments = {one.name: _value(one, getattr(options, one.name)) for one in job.arguments}
    positional = job.step(**arguments) if job.step else ()
    named = {} if job.step else arguments
    for output in job.outputs:
        path = _path(output, getattr(options, output.name), first)
        if path is not None:
            table: pd.DataFrame = output.make(*positional, **named)
            write_both(add_missing(table, missing), path)
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
