"""`python -m analysis`: from profiles and counts to tables, fits and figures."""

from __future__ import annotations

from adscale.interrupts import end_at_interrupt

if __name__ == "__main__":
    end_at_interrupt()  # before what takes long to import

import signal
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NoReturn

from adscale.command_line import Parser, prepare_streams, run_command, told_of_missing

from .commands import attribute, diff

if TYPE_CHECKING:
    from .commands.arguments import Subparsers

OF_PROFILES: Mapping[str, Callable[[Subparsers], None]] = {
    "attribute": attribute.add_parser,
    "diff": diff.add_parser,
}
"""Subcommands that read profiles: for them, the declarations of a study are not imported, which
takes as long as a small profile."""


def _add_parsers(subparsers: Subparsers, command: str | None) -> None:
    """Add the subcommands in the order in which a study calls them; or only one, where it is clear.

    Args:
        subparsers: to add them to.
        command: the first argument.
    """
    if command is not None and command in OF_PROFILES:
        OF_PROFILES[command](subparsers)
        return
    from .commands import checks, figures, report, tables
    from .gpu_check import command as gpu_check
    from .registry import TABLE_JOBS

    for add_parser in OF_PROFILES.values():
        add_parser(subparsers)
    for job in TABLE_JOBS:
        tables.add_parser(subparsers, job)
    # those that a study does not call
    figures.add_parser(subparsers)
    report.add_parser(subparsers)
    checks.add_compare_parser(subparsers)
    checks.add_parser(subparsers)
    gpu_check.add_parser(subparsers)


def main(arguments: Sequence[str] | None = None, program: str = "python -m analysis") -> int:
    """Run a subcommand; a fault of the user's ends in one line and exit code 2.

    Args:
        arguments: the subcommand, and what it is told; None: those of this process.
        program: how it was called, for its help.

    Returns:
        The subcommand's own exit code, 0 of those that have none.
    """
    prepare_streams()
    with told_of_missing("analysis"):
        return _main(sys.argv[1:] if arguments is None else arguments, program)


def _main(given: Sequence[str], program: str) -> int:
    parser: ArgumentParser = Parser(
        prog=program,
        description=__doc__,
        epilog="@FILE stands for the lines of a file, each an argument: for thousands of runs.",
        fromfile_prefix_chars="@",
    )
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_parsers(subparsers, given[0] if given else None)
    options = parser.parse_args(given)
    return run_command(lambda: options.run_command(options), vars(options), [signal.SIGTERM])


def run(arguments: Sequence[str] | None = None, program: str = "python -m analysis") -> NoReturn:
    """Run a subcommand as `main` does, and end this process."""
    sys.exit(main(arguments, program))


if __name__ == "__main__":
    run()
