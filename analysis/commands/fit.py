"""`fit`: the study's model of growth, and its prediction beyond the measured sizes."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.commands.arguments import side_px
from analysis.errors import ArgumentError

if TYPE_CHECKING:
    from analysis.commands.arguments import Subparsers


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "fit",
        help="fit the growth and extrapolate it",
        description="Fit y = b0 + b1 s + b2 s² (s: side in px) to every series and extrapolate it.",
    )
    parser.add_argument("--runtime", type=Path, metavar="runtime.csv")
    parser.add_argument("--memory", type=Path, metavar="memory.csv")
    parser.add_argument(
        "--extrapolate-to",
        type=side_px,
        required=True,
        metavar="PX",
        help="side length to predict",
    )
    parser.add_argument(
        "--resolutions",
        type=side_px,
        nargs="+",
        metavar="PX",
        help="resolutions whose counts of memory are fitted "
        "(default: those at which the method was run)",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="fits.csv")
    parser.set_defaults(run_command=_main)


def _main(options: argparse.Namespace) -> None:
    if options.runtime is None and options.memory is None:
        raise ArgumentError("fit", "no table is named", "give --runtime, --memory, or both")
    from itertools import chain

    from analysis.fits.series import memory_series, runtime_series
    from analysis.fits.table import fits_table
    from analysis.memory_table import MEMORY_COLUMNS
    from analysis.runtime_table import RUNTIME_COLUMNS
    from analysis.tables import read_csv, write_both

    to_px = options.extrapolate_to
    runtime = read_csv(options.runtime, RUNTIME_COLUMNS) if options.runtime else None
    series = [runtime_series(runtime)] if runtime is not None else []
    if options.memory:
        memory = read_csv(options.memory, MEMORY_COLUMNS)
        series.append(memory_series(memory, runtime, options.resolutions, to_px))
    write_both(fits_table(chain(*series), to_px), options.output)
