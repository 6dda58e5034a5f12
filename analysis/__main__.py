"""`python -m analysis`: from profiles and counts to tables, fits and figures."""

from __future__ import annotations

from adscale.interrupts import end_at_interrupt

if __name__ == "__main__":
    end_at_interrupt()  # before what takes long to import

import sys
from argparse import ArgumentParser
from collections.abc import Sequence

from adscale.command_line import Parser, prepare_streams, run_command

from .commands import attribute, checks, diff, figures, report, tables
from .gpu_check import command as gpu_check
from .registry import TABLE_JOBS

COMMANDS = (
    figures.add_parser,
    report.add_parser,
    diff.add_parser,
    checks.add_compare_parser,
    checks.add_parser,
    gpu_check.add_parser,
)
"""Subcommands that are no job of the registry."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand; a fault of the user's ends in one line and exit code 2.

    Returns:
        The subcommand's own exit code, 0 of those that have none.
    """
    prepare_streams()
    parser: ArgumentParser = Parser(
        prog="python -m analysis",
        description=__doc__,
        epilog="@FILE stands for the lines of a file, each an argument: for thousands of runs.",
        fromfile_prefix_chars="@",
    )
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    # in the order in which a study calls them; then those that it does not call
    attribute.add_parser(subparsers)
    for job in TABLE_JOBS:
        tables.add_parser(subparsers, job)
    for add_parser in COMMANDS:
        add_parser(subparsers)
    options = parser.parse_args(arguments)
    return run_command(lambda: options.run_command(options), vars(options))


if __name__ == "__main__":
    sys.exit(main())
