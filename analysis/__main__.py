"""`python -m analysis`: from profiles and counts to tables, fits and figures."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from analysis.commands import (
    attribute,
    claims,
    compare,
    extrapolation,
    feasible,
    figures,
    fit,
    flops,
    implementations,
    measured_memory,
    memory,
    summarize,
)
from analysis.errors import UserError

COMMANDS = (
    attribute,
    summarize,
    memory,
    measured_memory,
    implementations,
    flops,
    fit,
    extrapolation,
    feasible,
    figures,
    compare,
    claims,
)
"""In the order in which a study calls them, then what is called by hand."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand; a fault of the user's ends in one line and exit code 2."""
    parser = argparse.ArgumentParser(prog="python -m analysis", description=__doc__)
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_parser(subparsers)
    options = parser.parse_args(arguments)
    try:
        options.run_command(options)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader of a pipe has gone
        sys.stderr.close()
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
