"""``python -m profiling``: measure, count memory, list methods."""

from __future__ import annotations

from adscale.interrupts import SAID, InterruptedByUser, end_at_interrupt

if __name__ == "__main__":
    end_at_interrupt()  # before what takes long to import

import os
import sys
from argparse import ArgumentParser, Namespace
from importlib import import_module
from typing import NoReturn

from adscale.command_line import (
    Parser,
    prepare_streams,
    restored_streams,
    run_command,
    told_of_missing,
)
from adscale.errors import one_line

from .ending import end_in_time
from .launcher import MeasurementFailedError
from .trail import error_place

SUBCOMMANDS = {
    "methods": ("study", "add_methods_parser"),
    "plan": ("study", "add_plan_parser"),
    "run": ("run", "add_parser"),
    "memory": ("memory", "add_parser"),
    "counts": ("counts", "add_parser"),
    "export": ("study", "add_export_parser"),
    "measure": ("measure", "add_parser"),
    "engine": ("engine", "add_parser"),
    "check": ("study", "add_check_parser"),
    "environment": ("study", "add_environment_parser"),
}
"""Module below ``cli`` and function that adds each. A study starts hundreds of these commands, so
only what is called is imported."""


def main(arguments: list[str] | None = None, program: str = "python -m profiling") -> int:
    """Runs a subcommand; a fault of the user's ends in one line and exit code 2."""
    prepare_streams()
    with told_of_missing("profiling"):
        return _main(sys.argv[1:] if arguments is None else arguments, program)


def _main(given: list[str], program: str) -> int:
    parser: ArgumentParser = Parser(prog=program, description=__doc__)
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    called = {name: SUBCOMMANDS[name] for name in given[:1] if name in SUBCOMMANDS}
    for module, add_parser in (called or SUBCOMMANDS).values():
        getattr(import_module(f".cli.{module}", __package__), add_parser)(subparsers)
    args = parser.parse_args(given)
    try:
        return run_command(lambda: _run(args), vars(args))
    except MeasurementFailedError as error:
        print(SAID if error.interrupted else f"error: {error}", file=sys.stderr)
        return error.returncode if error.returncode > 0 else 1


def _run(args: Namespace) -> int:
    """Runs a subcommand; what the user's code ends it by is told with its place."""
    try:
        with restored_streams():
            returncode: int = args.main(args)
    except (Exception, InterruptedByUser):
        raise
    except BaseException as ending:  # noqa: BLE001 - nothing of ours is none of Exception
        what = one_line(ending)
        if isinstance(ending, SystemExit):
            what = f"sys.exit({ending.code!r}) is called"
        print(f"error: {what} ({error_place(ending)}); take it out", file=sys.stderr)
        return 1
    return returncode


def run(arguments: list[str] | None = None, program: str = "python -m profiling") -> NoReturn:
    """Runs the command of this process, and ends it even if somebody's threads do not end.

    Args:
        arguments: of the command; None: those of this process.
        program: how it was called, for its help.
    """
    returncode = 1
    try:
        returncode = main(arguments, program)
    except SystemExit as ending:  # of argparse
        returncode = int(ending.code or 0)
        raise
    finally:
        os.dup2(2, 1)  # what a method prints when Python ends is no output of ours
        end_in_time(returncode)
    sys.exit(returncode)


if __name__ == "__main__":
    run()
