"""`conclude`: the study in three lines."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .arguments import Subparsers


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "conclude",
        help="the study in three lines",
        description="What is fastest where and how sure that is; how many measurements are to be "
        "doubted; where to look on. docs/definitions.md has the rules.",
    )
    parser.add_argument("tables", type=Path, metavar="TABLES", help="folder of the study's tables")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="summary.txt", help="default: printed only"
    )
    parser.set_defaults(run_command=_main)


def _main(options: argparse.Namespace) -> None:
    from ..conclusion import three_lines
    from ..feasibility.tables import FEASIBILITY
    from ..runs_table import RUNS
    from ..runtime_table import RUNTIME
    from ..tables import read_csv, write_atomically

    lines = three_lines(
        read_csv(options.tables / "runtime.csv", RUNTIME.schema),
        read_csv(options.tables / "runs.csv", RUNS.schema),
        read_csv(options.tables / "feasibility.csv", FEASIBILITY.schema),
        options.tables.parent,
    )
    text = "\n".join(lines)
    if options.output is None:
        print(text)
        return
    write_atomically(options.output, lambda path: _write(path, text))


def _write(path: Path, text: str) -> None:
    path.write_text(f"{text}\n", encoding="utf-8")
