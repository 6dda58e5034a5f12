"""`figures`: the figures of a study."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from adscale.parts import COMMANDS
from adscale.tables import table_argument

from ..figures.draw import TABLES
from .arguments import json_text

if TYPE_CHECKING:
    from .arguments import Subparsers

OPTIONAL = {
    "feasibility": "for the figures of GPUs and sensors; without it there are none",
    "runs": "for captions: how the runs were executed, and why some were not steady",
}
"""Tables that may be left out, and what they are for."""

MOST_JOBS = 64

_ARGUMENTS = {table.name: table_argument(table, required=table.name not in OPTIONAL)
              for table in TABLES}  # fmt: skip


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "figures",
        help=COMMANDS["analysis"]["figures"],
        description="Every figure as PDF and PNG, with its data as CSV beside it.",
    )
    for name, argument in _ARGUMENTS.items():
        parser.add_argument(argument.flag, **argument.settings, help=OPTIONAL.get(name))
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    parser.add_argument(
        "--only", metavar="NAME", action="append", help="draw this figure only; may be repeated"
    )
    parser.add_argument(
        "--planned",
        metavar="NAME",
        nargs="+",
        default=(),
        help="figures that are drawn in any case: those without any number say so",
    )
    parser.add_argument(
        "--jobs",
        type=_jobs,
        default=1,
        metavar="N",
        help="draw in so many processes (default: %(default)s)",
    )
    parser.add_argument(
        "--style",
        metavar="JSON",
        help="width_mm, font_pt, png_dpi: a JSON file, or the JSON text itself",
    )
    parser.add_argument(
        "--hardware",
        metavar="JSON",
        help="gpus and sensors to draw as lines, as in the configuration: a JSON file, or the JSON "
        "text itself (default: no lines)",
    )
    parser.set_defaults(run_command=_main)


def _jobs(text: str) -> int:
    if text.isdecimal() and 1 <= int(text) <= MOST_JOBS:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no number of processes, 1 to {MOST_JOBS}")


def _main(options: argparse.Namespace) -> None:
    from ..figures.canvas import Style
    from ..figures.draw import draw_figures, study_figures
    from ..hardware import Hardware
    from ..missing import read_rows
    from ..tables import read_csv

    style = Style.from_json(json_text("--style", options.style))
    hardware = Hardware.from_json(json_text("--hardware", options.hardware))
    files = {table: getattr(options, _ARGUMENTS[table.name].name) for table in TABLES}
    tables = {table.name: read_csv(file, table.schema) for table, file in files.items() if file}
    missing = {table.name: read_rows(file, table) for table, file in files.items() if file}
    figures = study_figures(tables, hardware, style, missing, options.planned)
    draw_figures(figures, options.output, style, options.only or (), options.jobs)
