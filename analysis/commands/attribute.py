"""`attribute`: kernel times of the ranges of a profile."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from adscale.errors import ArgumentError
from adscale.files import output_file, write_output
from adscale.parts import COMMANDS

from .arguments import add_formats
from .questions import add_questions, count, is_asked, levels, question_of

if TYPE_CHECKING:
    import pyarrow as pa

    from ..nsys.records import Profile
    from ..profiles.coverage import ProfileCoverage
    from ..profiles.record import Run
    from ..profiles.work import ProfileWork
    from .arguments import Subparsers

_DESCRIPTION = """Give each kernel to the ranges that enclose its launch on the launching thread.
Without --run: a table of the ranges of any nsys export, as text, CSV, JSON or Parquet; the ending
of the output's name says which.
With --run: one row per range of one of our runs, as Parquet, and with --kernel-table one row per
submodule and kernel name.
All columns are defined in docs/attribution.md."""


TIMELINES = (".trace.json", ".trace.json.gz")
"""Endings of timelines."""


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "attribute", help=COMMANDS["analysis"]["attribute"], description=_DESCRIPTION
    )
    parser.add_argument("profile", type=Path, metavar="PROFILE.sqlite", help="an nsys export")
    output = add_formats(parser)
    output.add_argument(
        "-o",
        "--output",
        type=output_file(".parquet", ".csv", ".json", ".html", *TIMELINES),
        metavar="FILE.parquet",
        help="write Parquet; CSV or JSON if the name ends in .csv or .json; a page with a flame "
        "graph if it ends in .html; a timeline for Perfetto if it ends in .trace.json or "
        ".trace.json.gz",
    )
    _add_details(parser)
    parser.add_argument(
        "--all",
        action="store_true",
        help="print every row; without it the text has those with the most time "
        "(all other outputs have every row)",
    )
    parser.add_argument("--run", type=Path, metavar="run.json", help="what the profile recorded")
    parser.add_argument(
        "--kernel-table",
        type=output_file(".parquet"),
        metavar="kernels.parquet",
        help="with --run: write the kernels of its submodules as well",
    )
    parser.add_argument(
        "--reader",
        choices=("auto", "sqlite3"),
        default="auto",
        help="sqlite3: do without the Arrow driver; slower, same results",
    )
    parser.add_argument(
        "--keep-going",
        action="store_true",
        help="with --run: take note of a failure beside it, and end without an error",
    )
    parser.set_defaults(run_command=_main)


def _add_details(parser: argparse.ArgumentParser) -> None:
    detail = parser.add_mutually_exclusive_group()
    detail.add_argument(
        "--kernels",
        nargs="?",
        type=_names,
        const=5,
        metavar="N",
        help="the N kernels (5; 0 for all) with the most time in each range, by name; "
        "as CSV and Parquet instead of the ranges",
    )
    detail.add_argument(
        "--copies",
        action="store_true",
        help="the memory copies in each range by their direction, with bytes and rate; as CSV and "
        "Parquet instead of the ranges",
    )
    detail.add_argument(
        "--by",
        choices=("thread", "device", "stream", "category"),
        help="tell the rows of a range apart by this as well",
    )
    parser.add_argument(
        "--depth",
        type=levels,
        metavar="N",
        help="show ranges on the outermost N levels (0 for all; default: 32 in the text, else all)",
    )
    parser.add_argument(
        "--sort",
        metavar="COLUMN",
        help="order the rows by a column, such as busy or calls, the largest first (default: as "
        "the ranges first occur)",
    )
    parser.add_argument(
        "--top",
        type=count,
        metavar="N",
        help="only the first N rows by --sort (default: by the time of kernels, else of the host); "
        "holds for every output",
    )
    add_questions(parser)


def _names(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no number of kernel names, such as 5")
    return int(text)


def _main(options: argparse.Namespace) -> None:
    if options.run and not options.output:
        what = "the ranges of a run are written as Parquet, and no file is named"
        raise ArgumentError("--run", what, "add -o ranges.parquet")
    if options.run and options.output.ending != ".parquet":
        what = f"the ranges of a run are written as Parquet, not to {options.output}"
        raise ArgumentError("--run", what, "name the output X.parquet")
    if options.run and (_of_any_profile(options) or is_asked(options)):
        what = (
            "--by, --kernels, --copies, --depth, --sort, --top, --all and questions are for tables "
            "of any profile"
        )
        raise ArgumentError("--run", what, "leave one of them out")
    if options.kernel_table and not options.run:
        what = "is a table of the submodules of a run, and no run is named"
        raise ArgumentError("--kernel-table", what, "add --run run.json, or use --kernels")
    if options.keep_going and not options.run:
        raise ArgumentError("--keep-going", "is for a run of a study", "leave it out")
    if options.run:
        from adscale.failure import or_note

        record = options.run if options.keep_going else None
        or_note(record, lambda: _write_run(options), lambda: _write_nothing(options))
    else:
        _show_profile(options)


def _of_any_profile(options: argparse.Namespace) -> bool:
    """Whether something is asked for that a table of a run does not have."""
    given = (options.by, options.kernels, options.depth, options.sort, options.top)
    return any(one is not None for one in given) or options.copies or options.all


def _read(options: argparse.Namespace) -> Profile:
    from adscale.progress import progress_bar

    from ..nsys.reading import read_profile

    with progress_bar(f"reading {options.profile.name}") as on_progress:
        return read_profile(
            options.profile,
            reader=options.reader,
            with_streams=options.by in {"device", "stream"} or _is_timeline(options),
            with_categories=options.by == "category",
            on_progress=on_progress,
        )


def _write_run(options: argparse.Namespace) -> None:
    from ..profiles.coverage import uncovered_share, uncovered_warning
    from ..profiles.range_table import run_ranges
    from ..profiles.record import read_run
    from ..tables import write_parquet

    run = read_run(options.run)
    if run.record.request.collector == "none":
        what = "is the record of the latency pass, which has no profile"
        raise ArgumentError(f"--run {options.run}", what, "name run.json, beside it")
    found = run_ranges(run, _read(options))
    metadata: dict[str, str] = {}
    if found.coverage is not None:
        metadata = found.coverage.as_metadata()
        _warn(run, found.coverage.warning())
    else:
        _warn(run, uncovered_warning(uncovered_share(found.table, run.submodule_paths)))
    if options.kernel_table:
        write_parquet(found.kernels, options.kernel_table)
    write_parquet(found.table, options.output, metadata)


def _write_nothing(options: argparse.Namespace) -> None:
    """Tables without rows, where none are of an earlier measurement."""
    from ..profiles.kernel_table import RUN_KERNEL_COLUMNS
    from ..profiles.range_table import RANGE_COLUMNS
    from ..tables import make_table, write_parquet

    for path, columns in (
        (options.output, RANGE_COLUMNS), (options.kernel_table, RUN_KERNEL_COLUMNS),
    ):  # fmt: skip
        if path is not None and not path.exists():
            write_parquet(make_table([], columns), path)


def _warn(run: Run, warning: str | None) -> None:
    if warning:
        print(f"warning: {run.name}: {warning}", file=sys.stderr)


def _show_profile(options: argparse.Namespace) -> None:
    from ..profiles.coverage import ProfileCoverage
    from ..profiles.order import ordered
    from ..profiles.work import without_forgotten, work_of

    profile = without_forgotten(_read(options))
    work = work_of(profile, question=question_of(options) if is_asked(options) else None)
    is_text = not (options.json or options.csv or options.output)
    most = ((32 if is_text else 0) if options.depth is None else options.depth) or None
    coverage = ProfileCoverage(work, most)
    if _is_timeline(options):
        from ..profiles.timeline import write_timeline

        write_timeline(work, options.output, most)
        _tell_warnings(coverage)
        return
    tables = _tables(work, options, most, coverage)
    tables, sorted_by = ordered(tables, options.sort, options.top)
    if is_text:
        from ..profiles.text import MOST_ROWS, print_profile

        rows = None if options.all or options.top else MOST_ROWS
        print_profile(tables, coverage, rows, sorted_by)
    elif options.output and options.output.ending == ".html":
        from ..profiles.page import profile_page

        _save(options.output, profile_page(work, tables, coverage, most))
        _tell_warnings(coverage)
    else:
        _write(options, tables, coverage)


def _is_timeline(options: argparse.Namespace) -> bool:
    """Whether a timeline is asked for.

    Raises:
        ArgumentError: together with what orders or adds to tables.
    """
    if not options.output or options.output.ending not in TIMELINES:
        return False
    for option in ("by", "kernels", "copies", "sort", "top", "run"):
        if getattr(options, option) not in (None, False):
            what = f"is for tables, and {options.output} is a timeline"
            raise ArgumentError(f"--{option}", what, "leave it out, or name a table")
    return True


def _tell_warnings(coverage: ProfileCoverage) -> None:
    for warning in coverage.warnings():
        print(f"warning: {warning}", file=sys.stderr)


def _tables(
    work: ProfileWork, options: argparse.Namespace, most: int | None, coverage: ProfileCoverage
) -> dict[str, pa.Table]:
    """The ranges, and what else is asked for; why energies are unknown goes to the coverage."""
    from ..nsys.power import read_power
    from ..profiles.copy_table import copy_table
    from ..profiles.energy_table import with_energy
    from ..profiles.kernel_table import kernel_table
    from ..profiles.range_table import profile_table

    ranges = profile_table(work, options.by, most)
    samples, problem = read_power(work.profile.path, options.reader)
    if options.by is None and (samples is not None or problem):
        ranges = with_energy(ranges, work, samples, most)
        coverage.power_problem = problem
    tables = {"ranges": ranges}
    if options.kernels is not None:
        tables["kernels"] = kernel_table(work, options.kernels or None, most)
    if options.copies:
        tables["copies"] = copy_table(work, most)
    return tables


def _write(
    options: argparse.Namespace, tables: dict[str, pa.Table], coverage: ProfileCoverage
) -> None:
    import json

    from ..arrow import csv_text, write_parquet
    from ..profiles.text import json_text

    table = list(tables.values())[-1]
    ending = options.output.ending if options.output else None
    if ending == ".parquet":
        write_parquet(table, options.output, {"coverage": json.dumps(coverage.as_dict())})
    elif ending == ".csv":
        _save(options.output, csv_text(table))
    elif ending == ".json":
        _save(options.output, f"{json_text(tables, coverage)}\n")
    elif options.csv:
        print(csv_text(table), end="")
    else:
        print(json_text(tables, coverage))
    if options.csv or ending == ".csv":  # it has no place for notes
        for note in coverage.notes():
            print(note, file=sys.stderr)
    else:
        _tell_warnings(coverage)


def _save(path: Path, text: str) -> None:
    write_output(path, lambda file: file.write_bytes(text.encode("utf-8")))
