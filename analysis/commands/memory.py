"""`memory`: the counts of a study as two tables."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .arguments import Subparsers


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "memory",
        help="the counts of a study as two tables",
        description="Counted bytes at each resolution: of each method's submodules, and of the "
        "whole methods.",
    )
    parser.add_argument("counts", type=Path, nargs="+", metavar="memory.json")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="memory.csv")
    parser.add_argument(
        "--methods",
        type=Path,
        metavar="memory_methods.csv",
        help="table of the whole methods (default: beside the other, its name with _methods)",
    )
    parser.set_defaults(run_command=_main)


def _main(options: argparse.Namespace) -> None:
    from ..memory_counts import read_counts
    from ..memory_methods_table import memory_methods_table
    from ..memory_table import memory_table
    from ..tables import write_both

    counts = read_counts(options.counts)
    output: Path = options.output
    methods = options.methods or output.with_name(f"{output.stem}_methods{output.suffix}")
    write_both(memory_table(counts), output)
    write_both(memory_methods_table(counts), methods)
