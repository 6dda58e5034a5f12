"""`memory`: the counts of a study as one table."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analysis.commands.arguments import Subparsers


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "memory",
        help="the counts of a study as one table",
        description="Counted bytes of each method's submodules at each resolution.",
    )
    parser.add_argument("counts", type=Path, nargs="+", metavar="memory.json")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="memory.csv")
    parser.set_defaults(run_command=_main)


def _main(options: argparse.Namespace) -> None:
    from analysis.memory_table import memory_table
    from analysis.tables import write_both

    write_both(memory_table(options.counts), options.output)
