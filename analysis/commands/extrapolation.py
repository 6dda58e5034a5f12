"""`extrapolation`: what the study assumed of memory, examined."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from .arguments import side_px

if TYPE_CHECKING:
    from .arguments import Subparsers


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "extrapolation",
        help="judge the study's extrapolation of memory by exact counts",
        description="Fit the study's parabola to counts from 256 to 1024 px and compare it with "
        "counts beyond.",
    )
    parser.add_argument("--memory", type=Path, required=True, metavar="memory.csv")
    parser.add_argument(
        "--extrapolate-to",
        type=side_px,
        required=True,
        metavar="PX",
        help="side length the study extrapolates to; judged at the next that is counted",
    )
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="memory_extrapolation.csv"
    )
    parser.set_defaults(run_command=_main)


def _main(options: argparse.Namespace) -> None:
    from ..fits.memory_extrapolation import memory_extrapolation_table
    from ..memory_table import MEMORY
    from ..tables import read_csv, write_both

    memory = read_csv(options.memory, MEMORY.schema)
    write_both(memory_extrapolation_table(memory, options.extrapolate_to), options.output)
