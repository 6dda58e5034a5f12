"""`diff`: what changed from one profile, or several, to another."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from adscale.errors import ArgumentError
from adscale.files import output_file, write_output
from adscale.parts import COMMANDS

from .arguments import add_formats, add_inputs, add_margin
from .questions import add_questions, count, is_asked, levels, question_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..comparison.profile_diff import Diff
    from ..comparison.profile_gate import Gate
    from ..comparison.profile_sides import ProfileFigures
    from .arguments import Subparsers

GATE_FAILS = 3
"""Exit code where a condition of --fail-if is met."""

_DESCRIPTION = """Set the ranges of profile B beside those of A: what changed, per process, call and
image, what appeared and what vanished, those that moved most first. Several profiles on each side
(--a A1 A2 --b B1 B2) give verdicts over processes. With --fail-if it is a gate: exit code 3 where a
range moved too far. Any two profiles can be compared. docs/diff.md has the columns."""


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "diff", help=COMMANDS["analysis"]["diff"], description=_DESCRIPTION
    )
    profile = "a report of nsys, or an export of it, as for attribute"
    parser.add_argument("before", type=Path, nargs="?", metavar="A", help=profile)
    parser.add_argument("after", type=Path, nargs="?", metavar="B", help=profile)
    for name in ("a", "b"):
        side = name.upper()
        parser.add_argument(
            f"--{name}", type=Path, nargs="+", metavar=side,
            help=f"profiles of {side}, each a process",
        )  # fmt: skip
    add_inputs(parser)
    _add_outputs(parser)
    parser.add_argument("--kernels", action="store_true", help="kernels by name in each range")
    parser.add_argument(
        "--figure", metavar="COLUMN", help="only this one, such as busy or host (default: all)"
    )
    parser.add_argument(
        "--per",
        choices=("process", "call", "image"),
        default="process",
        help="what changes, their order, verdicts and conditions are divided by (%(default)s)",
    )
    parser.add_argument(
        "--image",
        metavar="RANGE",
        help="the range of an image, or of a step (default: ranges called image, in any domain)",
    )
    add_margin(parser)
    parser.add_argument(
        "--depth", type=levels, metavar="N", help="ranges on the outermost N levels (0: all)"
    )
    parser.add_argument("--top", type=count, metavar="N", help="the N rows that moved most")
    parser.add_argument("--all", action="store_true", help="print every row that changed")
    _add_gate(parser)
    add_questions(parser)
    parser.set_defaults(run_command=_main)


def _add_outputs(parser: argparse.ArgumentParser) -> None:
    output = add_formats(parser)
    output.add_argument(
        "-o",
        "--output",
        type=output_file(".html", ".json", ".csv", ".parquet"),
        metavar="FILE.html",
        help="write a page, or JSON, CSV or Parquet if the name ends in .json, .csv or .parquet; "
        "the text is printed as well",
    )


def _add_gate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--fail-if",
        action="append",
        metavar="CONDITION",
        help="exit code 3 where a row meets it: 'busy > +5 %%', 'host per call > 0.2 ms', "
        "'busy > 5 %% and busy > 1 ms'; may be given several times",
    )
    parser.add_argument(
        "--confident",
        action="store_true",
        help="with --fail-if: judge intervals over the processes, not the change as measured",
    )
    parser.add_argument(
        "--unclear-passes",
        action="store_true",
        help="with --fail-if: let rows pass whose outcome is unclear",
    )


def _main(options: argparse.Namespace) -> int:
    from ..comparison.profile_diff import diff_rows, make_diff
    from ..comparison.profile_gate import judge_gate
    from ..comparison.profile_sides import KERNEL_UNITS, UNITS, align

    before, after = _files(options)
    if not options.fail_if and (options.confident or options.unclear_passes):
        option = "--confident" if options.confident else "--unclear-passes"
        raise ArgumentError(option, "is for a gate, and there is no --fail-if", "add --fail-if")
    keys, a, b = align(_figures(before, options), _figures(after, options))
    diff = make_diff(keys, a, b, options.figure, options.per, options.margin / 100)
    gate = None
    if options.fail_if:
        gate = judge_gate(
            diff,
            options.fail_if,
            KERNEL_UNITS if options.kernels else UNITS,
            is_confident=options.confident,
            unclear_passes=options.unclear_passes,
        )
    rows = diff_rows(diff)
    if options.top:
        kept = list(dict.fromkeys((row["path"], row.get("kernel")) for row in rows))[: options.top]
        rows = [row for row in rows if (row["path"], row.get("kernel")) in set(kept)]
    _write(options, diff, rows, gate)
    for side in (a, b):
        for one in side.profiles:
            for warning in one.warnings:
                print(f"warning: {side.name} ({one.path}): {warning}", file=sys.stderr)
    return 0 if gate is None or gate.passes else GATE_FAILS


def _files(options: argparse.Namespace) -> tuple[list[Path], list[Path]]:
    """The profiles of both sides.

    Raises:
        ArgumentError: a side is missing, is given in two ways, or has a profile twice.
    """
    named = [path for path in (options.before, options.after) if path is not None]
    if (options.a or options.b) and named:
        remedy = "name two profiles, or --a A1 A2 … --b B1 B2 …"
        raise ArgumentError("diff", f"{named[0]} is given beside --a and --b", remedy)
    a, b = (options.a, options.b) if not named else (named[:1], named[1:])
    if not a or not b:
        what = "there is nothing to compare A with" if a else "there is no profile"
        raise ArgumentError("diff", what, "name two profiles, or --a A1 A2 … --b B1 B2 …")
    for side, files in (("A", a), ("B", b)):
        same = {str(path.resolve()): path for path in files}
        if len(same) < len(files):
            what = f"{side} has a profile twice, which is one process"
            raise ArgumentError("diff", what, "name each profile once")
    return list(a), list(b)


def _figures(files: Sequence[Path], options: argparse.Namespace) -> list[ProfileFigures]:
    """The figures of some profiles; one of them is in memory at a time."""
    from dataclasses import replace

    from adscale.progress import progress_bar

    from ..comparison.profile_sides import profile_figures
    from ..nsys.fingerprint import read_fingerprint
    from ..nsys.inputs import sqlite_of
    from ..nsys.reading import read_profile
    from ..profiles.work import without_forgotten, work_of

    question = question_of(options) if is_asked(options) else None
    found = []
    for path in files:
        sqlite = sqlite_of(path, options.exports)
        with progress_bar(f"reading {path.name}") as on_progress:
            profile = replace(read_profile(sqlite, on_progress=on_progress), path=path)
        try:
            found.append(
                profile_figures(
                    work_of(without_forgotten(profile), question=question),
                    read_fingerprint(sqlite),
                    levels=options.depth or None,
                    kernels=options.kernels,
                    image=options.image,
                )
            )
        except ArgumentError as error:
            raise ArgumentError(f"{path}: {error.where}", error.what, error.remedy) from None
    return found


def _write(
    options: argparse.Namespace, diff: Diff, rows: list[dict[str, object]], gate: Gate | None
) -> None:
    from ..arrow import csv_text, write_parquet
    from ..comparison.profile_text import MOST_ROWS, diff_json, diff_table, diff_text, gate_lines

    asked = question_of(options).as_dict()
    ending = options.output.ending if options.output else None
    if options.json:
        print(diff_json(diff, rows, asked, gate))
    elif options.csv:
        print(csv_text(diff_table(rows)), end="")
    else:
        print(diff_text(diff, rows, gate, None if options.all or options.top else MOST_ROWS))
    if gate is not None and (options.json or options.csv):
        for line in gate_lines(gate):
            print(line, file=sys.stderr)
    if ending == ".parquet":
        write_parquet(diff_table(rows), options.output)
    elif ending == ".csv":
        _save(options.output, csv_text(diff_table(rows)))
    elif ending == ".json":
        _save(options.output, diff_json(diff, rows, asked, gate) + "\n")
    elif ending == ".html":
        from ..comparison.profile_page import diff_page

        _save(options.output, diff_page(diff, rows, gate))


def _save(path: Path, text: str) -> None:
    write_output(path, lambda file: file.write_bytes(text.encode("utf-8")))
