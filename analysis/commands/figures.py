"""`figures`: the figures of a study."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from .arguments import json_text

if TYPE_CHECKING:
    from .arguments import Subparsers

TABLES = {
    "runtime": "runtime.csv",
    "memory": "memory.csv",
    "memory-methods": "memory_methods.csv",
    "fits": "fits.csv",
    "fit-models": "fit_models.csv",
    "fit-curves": "fit_curves.csv",
    "implementations": "implementations.csv",
    "memory-extrapolation": "memory_extrapolation.csv",
}
"""Option and name of each table that is read."""


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "figures",
        help="draw the figures of a study",
        description="Every figure as PDF and PNG, with its data as CSV beside it.",
    )
    for option, table in TABLES.items():
        parser.add_argument(f"--{option}", type=Path, required=True, metavar=table)
    parser.add_argument(
        "--feasibility", type=Path, metavar="feasibility.csv",
        help="for the figures of GPUs and sensors; without it there are none",
    )  # fmt: skip
    parser.add_argument(
        "--runs", type=Path, metavar="runs.csv",
        help="for captions: how the runs were executed, and why some were not steady",
    )  # fmt: skip
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    parser.add_argument(
        "--only", metavar="NAME", action="append", help="draw this figure only; may be repeated"
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


def _main(options: argparse.Namespace) -> None:
    from ..feasibility.tables import FEASIBILITY
    from ..figures.canvas import Style
    from ..figures.draw import StudyTables, draw_figures, study_figures
    from ..fits.memory_extrapolation import MEMORY_EXTRAPOLATION
    from ..fits.tables import FIT_CURVES, FIT_MODELS, FITS
    from ..hardware import Hardware
    from ..memory_table import MEMORY, MEMORY_METHODS
    from ..ratios import IMPLEMENTATIONS
    from ..runs_table import RUNS
    from ..runtime_table import RUNTIME
    from ..tables import read_csv

    style = Style.from_json(json_text("--style", options.style))
    hardware = Hardware.from_json(json_text("--hardware", options.hardware))
    tables = StudyTables(
        runtime=read_csv(options.runtime, RUNTIME.schema),
        memory=read_csv(options.memory, MEMORY.schema),
        methods=read_csv(options.memory_methods, MEMORY_METHODS.schema),
        fits=read_csv(options.fits, FITS.schema),
        fit_models=read_csv(options.fit_models, FIT_MODELS.schema),
        fit_curves=read_csv(options.fit_curves, FIT_CURVES.schema),
        implementations=read_csv(options.implementations, IMPLEMENTATIONS.schema),
        extrapolation=read_csv(options.memory_extrapolation, MEMORY_EXTRAPOLATION.schema),
        feasibility=read_csv(options.feasibility, FEASIBILITY.schema)
        if options.feasibility
        else None,
        runs=read_csv(options.runs, RUNS.schema) if options.runs else None,
    )
    figures = study_figures(tables, hardware, style)
    draw_figures(figures, options.output, style, options.only or ())
