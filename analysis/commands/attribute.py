"""`attribute`: kernel times of the ranges of a profile."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from adscale.errors import ArgumentError
from adscale.files import output_file, write_output
from adscale.parts import COMMANDS

from .answers import TIMELINES, answer, is_text, is_timeline, most_levels, read
from .arguments import add_formats, add_inputs
from .questions import add_questions, count, is_asked, levels

if TYPE_CHECKING:
    import pyarrow as pa

    from ..profiles.coverage import ProfileCoverage
    from ..profiles.ranks import RanksCoverage
    from ..profiles.record import Run
    from .arguments import Subparsers

_DESCRIPTION = """Give each kernel to the ranges that enclose its launch on the launching thread.
Without --run: a table of the ranges of any nsys profile, as text, CSV, JSON or Parquet; the ending
of the output's name says which. Several profiles, such as those of the ranks of a program, stand
side by side.
With --run: one row per range of one of our runs, as Parquet, and with --kernel-table one row per
submodule and kernel name.
All columns are defined in docs/attribution.md."""


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "attribute", help=COMMANDS["analysis"]["attribute"], description=_DESCRIPTION
    )
    parser.add_argument(
        "profile",
        type=Path,
        nargs="+",
        metavar="PROFILE",
        help="a report of nsys (.nsys-rep, .qdrep), or an export of it: SQLite, Arrow, or a folder "
        "of Parquet or Arrow files",
    )
    add_inputs(parser)
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
    parser.add_argument(
        "--no-cache",
        action="store_true",
        help="neither use nor keep in the user's cache what was attributed of a large profile",
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
    detail.add_argument(
        "--cross-thread",
        choices=("launch", "process"),
        help="ranges that another thread ended, and as inferred from the times the work that other "
        "threads of the process launched while a range was open: outside of their own ranges "
        "(launch), or all (process); as CSV and Parquet instead of the ranges",
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
    if options.run and len(options.profile) > 1:
        what = f"is of one profile, and {len(options.profile)} are named"
        raise ArgumentError("--run", what, "name the profile of the run")
    if options.run and (_of_any_profile(options) or is_asked(options)):
        what = (
            "--by, --kernels, --copies, --cross-thread, --depth, --sort, --top, --all and "
            "questions are for tables of any profile"
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
    given = (
        options.by, options.kernels, options.cross_thread, options.depth, options.sort, options.top,
    )  # fmt: skip
    return any(one is not None for one in given) or options.copies or options.all


def _write_run(options: argparse.Namespace) -> None:
    from ..nsys.inputs import sqlite_of
    from ..profiles.range_table import run_ranges
    from ..profiles.record import read_run
    from ..profiles.run_coverage import uncovered_share, uncovered_warning
    from ..tables import write_parquet

    run = read_run(options.run)
    if run.record.request.collector == "none":
        what = "is the record of the latency pass, which has no profile"
        raise ArgumentError(f"--run {options.run}", what, "name run.json, beside it")
    (path,) = options.profile
    found = run_ranges(run, read(path, sqlite_of(path, options.exports), options))
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
    from ..profiles.order import ordered
    from ..profiles.text import MOST_ROWS, print_profile, reasons_of

    if len(options.profile) > 1:
        _show_several(options)
        return
    if _is_drawn(options):
        _draw(options)
        return
    only = answer(options.profile[0], options)
    tables, sorted_by = ordered(only.tables, options.sort, options.top)
    if is_text(options):
        rows = None if options.all or options.top else MOST_ROWS
        print_profile(tables, only.coverage, rows, sorted_by)
    else:
        _write(options, tables, only.coverage, reasons_of(only.coverage))


def _show_several(options: argparse.Namespace) -> None:
    """The ranges of several profiles side by side."""
    from ..profiles.ranks import RanksCoverage, merged, ordered_ranks, print_ranks
    from ..profiles.text import MOST_ROWS

    if len({path.resolve() for path in options.profile}) < len(options.profile):
        raise ArgumentError("attribute", "a profile is named twice", "name each profile once")
    if _is_drawn(options):
        what = f"holds one profile, and {len(options.profile)} are named"
        raise ArgumentError(f"-o {options.output}", what, "name one, or write a table")
    answers = [answer(path, options) for path in options.profile]
    tables, sorted_by = ordered_ranks(merged(answers, options.by), options.sort, options.top)
    ranks = RanksCoverage(answers)
    if is_text(options):
        rows = None if options.all or options.top else MOST_ROWS
        print_ranks(tables, ranks, rows, sorted_by)
    else:
        _write(options, tables, ranks, ranks.reasons(), {"profiles": ranks.each()})


def _is_drawn(options: argparse.Namespace) -> bool:
    """Whether a page or a timeline is asked for."""
    is_page = options.output is not None and options.output.ending == ".html"
    return is_page or is_timeline(options)


def _draw(options: argparse.Namespace) -> None:
    from ..profiles.coverage import ProfileCoverage
    from .answers import tables_of, work_of_profile

    work = work_of_profile(options.profile[0], options)
    most = most_levels(options)
    coverage = ProfileCoverage.of(work, most)
    if is_timeline(options):
        from ..profiles.timeline import write_timeline

        write_timeline(work, options.output, most)
    else:
        from ..profiles.order import ordered
        from ..profiles.page import profile_page

        tables = tables_of(work, options, most, coverage)
        tables, _ = ordered(tables, options.sort, options.top)
        _save(options.output, profile_page(work, tables, coverage, most))
    _tell_warnings(coverage)


def _detail(options: argparse.Namespace) -> str:
    """The table that CSV and Parquet hold."""
    if options.kernels is not None:
        return "kernels"
    if options.cross_thread:
        return "cross_thread"
    return "copies" if options.copies else "ranges"


def _tell_warnings(coverage: ProfileCoverage | RanksCoverage) -> None:
    for warning in coverage.warnings():
        print(f"warning: {warning}", file=sys.stderr)


def _write(
    options: argparse.Namespace,
    tables: dict[str, pa.Table],
    coverage: ProfileCoverage | RanksCoverage,
    reasons: dict[str, str],
    more: dict[str, object] | None = None,
) -> None:
    import json

    from ..arrow import csv_text, write_parquet
    from ..profiles.text import json_text

    table = tables[_detail(options)]
    ending = options.output.ending if options.output else None
    if ending == ".parquet":
        told = {"coverage": coverage.as_dict(), **(more or {})}
        texts = {name: json.dumps(value) for name, value in told.items()}
        write_parquet(table, options.output, texts)
    elif ending == ".csv":
        _save(options.output, csv_text(table))
    elif ending == ".json":
        _save(options.output, f"{json_text(tables, coverage, reasons, more)}\n")
    elif options.csv:
        print(csv_text(table), end="")
    else:
        print(json_text(tables, coverage, reasons, more))
    if options.csv or ending == ".csv":  # it has no place for notes
        for note in coverage.notes():
            print(note, file=sys.stderr)
    else:
        _tell_warnings(coverage)


def _save(path: Path, text: str) -> None:
    write_output(path, lambda file: file.write_bytes(text.encode("utf-8")))
