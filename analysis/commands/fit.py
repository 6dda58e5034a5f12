"""`fit`: laws of growth with the study's model beside them, and what they say beyond the points."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from adscale.errors import ArgumentError

from .arguments import side_px

if TYPE_CHECKING:
    from .arguments import Subparsers


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "fit",
        help="fit the growth and extrapolate it",
        description="Fit laws of growth and the study's model (y = b0 + b1 s + b2 s², s: side in "
        "px) to every series and extrapolate them. Three tables: predictions, all laws, curves.",
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
        "--beyond-limit",
        action="store_true",
        help="predict times beyond 10 times the pixels of the largest measured resolution, too",
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
    for option, table in (("models", "fit_models.csv"), ("curves", "fit_curves.csv")):
        parser.add_argument(
            f"--{option}",
            type=Path,
            metavar=table,
            help=f"where its table goes (default: {table} beside the other)",
        )
    parser.set_defaults(run_command=_main)


def _main(options: argparse.Namespace) -> None:
    if options.runtime is None and options.memory is None:
        raise ArgumentError("fit", "no table is named", "give --runtime, --memory, or both")
    from itertools import chain

    from ..fits.curves_table import fit_curves_table
    from ..fits.fitted import fit_all
    from ..fits.models_table import fit_models_table
    from ..fits.series import memory_series, runtime_series
    from ..fits.table import fits_table
    from ..memory_table import MEMORY
    from ..runtime_table import RUNTIME
    from ..tables import read_csv, write_both

    to_px, output = options.extrapolate_to, options.output
    runtime = read_csv(options.runtime, RUNTIME.schema) if options.runtime else None
    memory = read_csv(options.memory, MEMORY.schema) if options.memory else None
    series = [runtime_series(runtime, memory)] if runtime is not None else []
    if memory is not None:
        series.append(memory_series(memory, runtime, options.resolutions, to_px))
    fitted = fit_all(chain(*series), beyond_limit=options.beyond_limit)
    write_both(fits_table(fitted, to_px), output)
    models = options.models or output.with_name("fit_models.csv")
    curves = options.curves or output.with_name("fit_curves.csv")
    write_both(fit_models_table(fitted, to_px), models)
    write_both(fit_curves_table(fitted, to_px), curves)
