"""`summarize`: the runs of a study as one table."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analysis.commands.arguments import Subparsers


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "summarize",
        help="the runs of a study as one table",
        description="Times per image of each run's submodules, with confidence intervals.",
    )
    parser.add_argument(
        "runs",
        type=Path,
        nargs="+",
        metavar="RUN_DIR",
        help="folder with run.json and ranges.parquet",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="runtime.csv")
    parser.set_defaults(run_command=_main)


def _main(options: argparse.Namespace) -> None:
    from analysis.runtime_table import runtime_table
    from analysis.tables import write_both

    write_both(runtime_table(options.runs), options.output)
