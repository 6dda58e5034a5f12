"""`report`: the study in one page that needs no network."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .arguments import Subparsers


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "report",
        help="the study in one page",
        description="One HTML file with all tables and interactive figures; it needs no network.",
    )
    parser.add_argument("tables", type=Path, metavar="TABLES", help="folder of the study's tables")
    parser.add_argument("--title", default="adscale: cost over image resolution")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="report.html")
    parser.set_defaults(run_command=_main)


def _main(options: argparse.Namespace) -> None:
    from ..report.content import read_content
    from ..report.page import render
    from ..tables import write_atomically

    page = render(read_content(options.tables, options.title))
    write_atomically(options.output, lambda path: _write(path, page))


def _write(path: Path, page: str) -> None:
    path.write_text(page, encoding="utf-8")
