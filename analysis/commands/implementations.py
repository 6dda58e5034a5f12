"""`implementations`: what the optimised implementations gain."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .arguments import Subparsers


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "implementations",
        help="what optimised implementations gain over the references",
        description="Sets the two implementations of each method side by side, per submodule.",
    )
    parser.add_argument("--runtime", type=Path, required=True, metavar="runtime.csv")
    parser.add_argument("--memory", type=Path, required=True, metavar="memory.csv")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="implementations.csv")
    parser.set_defaults(run_command=_main)


def _main(options: argparse.Namespace) -> None:
    from ..implementation_table import implementation_table
    from ..memory_table import MEMORY_COLUMNS
    from ..runtime_table import RUNTIME_COLUMNS
    from ..tables import read_csv, write_both

    runtime = read_csv(options.runtime, RUNTIME_COLUMNS)
    memory = read_csv(options.memory, MEMORY_COLUMNS)
    write_both(implementation_table(runtime, memory), options.output)
