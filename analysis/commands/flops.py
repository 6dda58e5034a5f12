"""`flops`: at which rate the counted work is done in the measured time."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .arguments import Subparsers


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "flops",
        help="at which rate a device does the counted work",
        description="GFLOP/s of each submodule: FLOP counted over time measured.",
    )
    parser.add_argument("--runtime", type=Path, required=True, metavar="runtime.csv")
    parser.add_argument("--memory", type=Path, required=True, metavar="memory.csv")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="flops.csv")
    parser.set_defaults(run_command=_main)


def _main(options: argparse.Namespace) -> None:
    from ..flops_table import flops_table
    from ..memory_table import MEMORY_COLUMNS
    from ..runtime_table import RUNTIME_COLUMNS
    from ..tables import read_csv, write_both

    runtime = read_csv(options.runtime, RUNTIME_COLUMNS)
    memory = read_csv(options.memory, MEMORY_COLUMNS)
    write_both(flops_table(runtime, memory), options.output)
