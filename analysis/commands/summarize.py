"""`summarize`: the runs of a study as tables."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .arguments import Subparsers

_DESCRIPTION = """Times per image of each run's submodules, with confidence intervals.
Several folders may be processes of one run: their rows are those of all of them together.
All columns are defined in docs/definitions.md."""


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "summarize", help="the runs of a study as tables", description=_DESCRIPTION
    )
    parser.add_argument(
        "folders",
        type=Path,
        nargs="+",
        metavar="RUN_DIR",
        help="folder of a process, with run.json and ranges.parquet; latency.json where it is",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="runtime.csv")
    parser.add_argument(
        "--runs", type=Path, metavar="runs.csv", help="write how each run went, and on what"
    )
    parser.add_argument(
        "--kernels",
        type=Path,
        metavar="kernels.csv",
        help="write the kernels of the submodules on a GPU, from kernels.parquet in the folders",
    )
    parser.add_argument(
        "--no-latency",
        action="store_true",
        help="leave out what was measured without a profiler (latency.json)",
    )
    parser.set_defaults(run_command=_main)


def _main(options: argparse.Namespace) -> None:
    from ..kernels_table import kernels_table
    from ..profiles.study_runs import read_study_runs
    from ..runs_table import runs_table
    from ..runtime_table import profiler_warning, runtime_table
    from ..tables import write_both

    runs = read_study_runs(options.folders, with_latency=not options.no_latency)
    tables = [(runtime_table, options.output)]
    tables += [(runs_table, options.runs)] if options.runs else []
    tables += [(kernels_table, options.kernels)] if options.kernels else []
    for make, path in tables:
        write_both(make(runs), path)
    for run in runs:
        warning = profiler_warning(run)
        if warning:
            print(f"warning: {run.first.name}: {warning}", file=sys.stderr)
