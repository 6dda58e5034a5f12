"""`measured-memory`: the memory that the runs of a study took, with the count beside it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .arguments import Subparsers


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "measured-memory",
        help="measured memory as one table, with the count beside it",
        description="Measured bytes of each run's submodules and of the run, and what was counted.",
    )
    parser.add_argument(
        "runs", type=Path, nargs="+", metavar="RUN_DIR", help="folder with run.json"
    )
    parser.add_argument(
        "--counts", type=Path, nargs="+", default=(), metavar="memory.json", help="counts"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="memory_measured.csv")
    parser.set_defaults(run_command=_main)


def _main(options: argparse.Namespace) -> None:
    from ..measured_memory_table import measured_memory_table
    from ..tables import write_both

    write_both(measured_memory_table(options.runs, options.counts), options.output)
