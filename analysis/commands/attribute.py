"""`attribute`: kernel times of the ranges of a profile."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.errors import ArgumentError

if TYPE_CHECKING:
    from analysis.commands.arguments import Subparsers
    from analysis.nsys.records import Profile
    from analysis.runs.record import Run

_DESCRIPTION = """Give each kernel to the ranges that enclose its launch on the launching thread.
Without --run: a table of the ranges of any nsys export, as text, JSON or Parquet.
With --run: one row per range of one of our runs, as Parquet."""


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "attribute", help="kernel times of the ranges of a profile", description=_DESCRIPTION
    )
    parser.add_argument("profile", type=Path, metavar="PROFILE.sqlite", help="an nsys export")
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print JSON instead of a table")
    output.add_argument("-o", "--output", type=Path, metavar="FILE.parquet", help="write Parquet")
    parser.add_argument("--run", type=Path, metavar="run.json", help="what the profile recorded")
    parser.set_defaults(run_command=_main)


def _main(options: argparse.Namespace) -> None:
    if options.run and not options.output:
        what = "the ranges of a run are written as Parquet, and no file is named"
        raise ArgumentError("--run", what, "add -o ranges.parquet")
    from analysis.nsys.reading import read_profile

    if options.run:
        _write_run(options)
    else:
        _show_profile(read_profile(options.profile), options)


def _write_run(options: argparse.Namespace) -> None:
    from analysis.nsys.reading import read_profile
    from analysis.runs.coverage import uncovered_share, uncovered_warning
    from analysis.runs.range_table import run_ranges
    from analysis.runs.record import read_run
    from analysis.tables import write_parquet

    run = read_run(options.run)
    found = run_ranges(run, read_profile(options.profile))
    metadata: dict[str, str] = {}
    if found.coverage is not None:
        metadata = found.coverage.as_metadata()
        _warn(run, found.coverage.warning())
    else:
        _warn(run, uncovered_warning(uncovered_share(found.table)))
    write_parquet(found.table, options.output, metadata)


def _warn(run: Run, warning: str | None) -> None:
    if warning:
        print(f"warning: {run.name}: {warning}", file=sys.stderr)


def _show_profile(profile: Profile, options: argparse.Namespace) -> None:
    from analysis.profile_table import profile_table
    from analysis.tables import write_parquet

    table, coverage = profile_table(profile)
    if options.output:
        write_parquet(table, options.output, {"coverage": coverage.as_json()})
    elif options.json:
        print(f'{{"coverage": {coverage.as_json()},')
        print(f'"ranges": {table.to_json(orient="records", indent=1, double_precision=15)}}}')
    else:
        from analysis.profile_text import print_profile

        print_profile(table, coverage)
