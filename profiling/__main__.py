"""``python -m profiling``: measure, count memory, list methods."""

from __future__ import annotations

import argparse
import sys

from adscale.errors import UserError

from .cli import measure, memory, run, study
from .launcher import INTERRUPTED, MeasurementFailedError

SUBCOMMANDS = (
    study.add_methods_parser,
    study.add_plan_parser,
    run.add_parser,
    memory.add_parser,
    study.add_export_parser,
    measure.add_parser,
    study.add_check_parser,
    study.add_environment_parser,
)


def main(arguments: list[str] | None = None) -> int:
    """Runs a subcommand; a fault of the user's ends in one line and exit code 2."""
    parser = argparse.ArgumentParser(prog="python -m profiling", description=__doc__)
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    for add_parser in SUBCOMMANDS:
        add_parser(subparsers)
    args = parser.parse_args(arguments)
    try:
        returncode: int = args.main(args)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except MeasurementFailedError as error:
        if not error.printed and error.returncode not in INTERRUPTED:
            print(f"error: measurement: {error.problem}; see what it printed", file=sys.stderr)
        return error.returncode if error.returncode > 0 else 1
    except BrokenPipeError:  # the reader of a pipe has gone
        sys.stderr.close()
        return 1
    return returncode


if __name__ == "__main__":
    sys.exit(main())
