"""`figures`: the figures of a study."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analysis.commands.arguments import Subparsers


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "figures",
        help="draw the figures of a study",
        description="Every figure as PDF and PNG, with its data as CSV beside it.",
    )
    parser.add_argument("--runtime", type=Path, required=True, metavar="runtime.csv")
    parser.add_argument("--memory", type=Path, required=True, metavar="memory.csv")
    parser.add_argument("--fits", type=Path, required=True, metavar="fits.csv")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    parser.add_argument(
        "--only", metavar="NAME", action="append", help="draw this figure only; may be repeated"
    )
    parser.add_argument(
        "--style",
        metavar="JSON",
        help="width_mm, font_pt, png_dpi: a JSON file, or the JSON text itself",
    )
    parser.set_defaults(run_command=_main)


def _main(options: argparse.Namespace) -> None:
    from analysis.figures.draw import draw_figures
    from analysis.figures.style import read_style

    style = read_style(options.style)
    draw_figures(options.runtime, options.memory, options.fits, options.output, style, options.only)
