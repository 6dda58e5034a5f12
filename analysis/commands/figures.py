"""`figures`: the figures of a study."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.errors import ArgumentError

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
    from analysis.figures.draw import draw_figures, study_figures
    from analysis.figures.style import Style
    from analysis.fits.table import FITS_COLUMNS
    from analysis.memory_table import MEMORY_COLUMNS
    from analysis.runtime_table import RUNTIME_COLUMNS
    from analysis.tables import read_csv

    style = Style.from_json(_style_text(options.style))
    runtime = read_csv(options.runtime, RUNTIME_COLUMNS)
    memory = read_csv(options.memory, MEMORY_COLUMNS)
    fits = read_csv(options.fits, FITS_COLUMNS)
    figures = study_figures(runtime, memory, fits, style)
    draw_figures(figures, options.output, style, options.only or ())


def _style_text(argument: str | None) -> str | None:
    """The JSON text of `--style`, which may also name a file."""
    if argument is None or argument.lstrip().startswith("{"):
        return argument
    try:
        return Path(argument).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        remedy = "name a JSON file, or give the JSON text itself"
        raise ArgumentError("--style", f"{argument} cannot be read ({error})", remedy) from error
