"""`compare`, `claims` and `verify`: what holds of measurements, of the paper, of results."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from adscale.command_line import refuse_idle
from adscale.errors import ArgumentError
from adscale.files import output_file, write_output
from adscale.parts import COMMANDS
from adscale.resolution import resolution_argument

from .arguments import add_margin, positive

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..claims import Table
    from ..memory_table import Count
    from .arguments import Subparsers


_DESCRIPTION = """Sets the times of B beside those of A: two folders of results, or two devices,
methods or variants of one. Runs with the same labels are compared; where each folder has one
device, its name does not matter. docs/comparison.md says how it is judged."""

_CLOCKS = ("host", "kernel_sum", "busy", "span", "latency")


def add_compare_parser(subparsers: Subparsers) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "compare",
        help=COMMANDS["analysis"]["compare"],
        description=_DESCRIPTION,
    )
    folder = "folder of results or of tables"
    parser.add_argument("a", type=Path, metavar="A", help=folder)
    parser.add_argument(
        "b", type=Path, metavar="B", nargs="?", help=f"{folder} (default: A, with an option below)"
    )
    for label in ("device", "method", "variant"):
        parser.add_argument(
            f"--{label}", nargs=2, metavar=("OF_A", "OF_B"), help=f"{label} of A and of B"
        )
    parser.add_argument(
        "--clock", nargs="+", choices=_CLOCKS, help="these only (default: all in the table)"
    )
    add_margin(parser)
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    parser.add_argument(
        "-o",
        "--output",
        type=output_file(".csv", ".json"),
        metavar="comparison.csv",
        help="write the table, with Parquet beside it, or JSON if the name ends in .json",
    )
    parser.add_argument(
        "--figure", type=Path, metavar="DIR", help="draw the ratios: PDF, PNG and CSV"
    )
    parser.add_argument("--style", metavar="JSON", help="width_mm, font_pt, png_dpi")
    parser.set_defaults(run_command=_main)


def _main(options: argparse.Namespace) -> None:
    from ..comparison.sides import LABELS, fingerprint_differences, pair_sides, read_side
    from ..comparison.table import comparison_table
    from ..comparison.text import comparison_json, comparison_text
    from ..tables import write_both

    refuse_idle(options, {"style": "figure"})
    named = {label: getattr(options, label) for label in LABELS}
    chosen = {label: (pair[0], pair[1]) for label, pair in named.items() if pair}
    if options.b is None and not chosen:
        remedy = "name a second folder, or --device, --method or --variant of A and of B"
        raise ArgumentError("compare", "there is nothing to compare A with", remedy)
    a, b = read_side("A", options.a), read_side("B", options.b or options.a)
    if a.tables.samefile(b.tables) and all(of_a == of_b for of_a, of_b in chosen.values()):
        remedy = "name another folder or label for B"
        raise ArgumentError("compare", "A and B are the same measurements", remedy)
    a, b = pair_sides(a, b, chosen)
    table = comparison_table(a, b, options.margin / 100, options.clock)
    differences = fingerprint_differences(a, b)
    as_json = f"{comparison_json(table, a, b, differences)}\n"
    if options.output and options.output.ending == ".json":
        write_output(options.output, lambda file: file.write_text(as_json, encoding="utf-8"))
    elif options.output:
        write_both(table, options.output)
    if options.figure:
        from ..figures.canvas import Style
        from ..figures.comparison import draw_comparison

        draw_comparison(table, options.figure, Style.from_json(options.style))
    if options.json:
        print(as_json, end="")
    else:
        print(comparison_text(table, a, b, differences, all_clocks=options.clock is not None))


CLAIMS = {
    "layers": "layers and parameters",
    "activations": "activations by convention of counting",
    "ratios": "DDAD's U-Net over feature extractions: the paper's 3.69",
    "flops": "floating-point operations and their shares",
    "growth": "the paper's parabola against counts beyond it",
    "totals": "whole methods: the paper's equation 1, and what a device must hold",
}


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommands."""
    _add_claims(subparsers)
    _add_verify(subparsers)


def _add_claims(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser(
        "claims",
        help=COMMANDS["analysis"]["claims"],
        description="Print one kind of claim as a table; docs/paper.md says what follows from it. "
        + "; ".join(f"{name}: {text}" for name, text in CLAIMS.items())
        + ".",
    )
    parser.add_argument("claim", choices=list(CLAIMS), metavar="CLAIM", help=", ".join(CLAIMS))
    parser.add_argument("counts", type=Path, nargs="+", metavar="memory.json")
    parser.add_argument(
        "--at",
        type=resolution_argument,
        nargs="+",
        metavar="RESOLUTION",
        help="these resolutions only (default: all)",
    )
    parser.add_argument(
        "--tflops",
        type=positive,
        metavar="RATE",
        help="of flops: also the least time at this rate in 10^12 FLOP/s",
    )
    parser.set_defaults(run_command=_claims)


def _claims(options: argparse.Namespace) -> None:
    from ..memory_table import read_counts

    if options.tflops is not None and options.claim != "flops":
        raise ArgumentError("--tflops", f"is of flops, not of {options.claim}", "leave it out")
    counts = read_counts(options.counts)
    if not counts:
        remedy = "count again with python -m profiling memory, which says why"
        raise ArgumentError("claims", "no resolution could be counted in these files", remedy)
    if options.at is not None:
        counted = sorted({count.resolution for count in counts})
        lacking = [str(one) for one in options.at if one not in counted]
        if lacking:
            what = f"nothing is counted at {', '.join(lacking)} px"
            raise ArgumentError("--at", what, f"choose from: {', '.join(map(str, counted))}")
        counts = [count for count in counts if count.resolution in options.at]
    print(_text(_table(options.claim, counts, options.tflops)))


def _table(claim: str, counts: Sequence[Count], tflop_per_s: float | None) -> Table:
    from .. import claims

    if claim == "flops":
        return claims.flops_table(counts, tflop_per_s)
    make = {
        "layers": claims.layers_table,
        "activations": claims.activations_table,
        "ratios": claims.ratios_table,
        "growth": claims.growth_table,
        "totals": claims.totals_table,
    }[claim]
    return make(counts)


def _text(table: Table) -> str:
    """Title and aligned columns: words to the left, numbers to the right."""
    from adscale.tables import text_table

    columns = zip(table.head, *table.rows, strict=True)
    left = {title for title, *cells in columns if any(cell[:1].isalpha() for cell in cells)}
    return f"{table.title}\n{text_table(table.head, table.rows, left)}"


_OF_VERIFY = """Check the run folders of results that were measured in several places or copied
together: missing and damaged files, versions of records, one kind of hardware and software per
device, the same run twice, runs in wrong folders. One line per fault, with what to do about it;
exit code 1 where there is one."""


def _add_verify(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser(
        "verify", help=COMMANDS["analysis"]["verify"], description=_OF_VERIFY
    )
    parser.add_argument("results", type=Path, metavar="RESULTS", help="folder of the devices")
    parser.add_argument(
        "--expected",
        metavar="FILE",
        help="the runs that there should be, one folder a line, as `python -m profiling plan` "
        "prints them (- for standard input); without it, all curves of a method should have the "
        "same resolutions",
    )
    parser.set_defaults(run_command=_verify)


def _verify(options: argparse.Namespace) -> int:
    from adscale.progress import progress_bar

    from ..verification.verify import verify

    expected = None if options.expected is None else _lines(options.expected)
    with progress_bar("reading runs") as on_progress:
        found = verify(options.results, expected, on_progress)
    for finding in found.findings:
        print(finding)
    faults = len(found.findings)
    print(f"records: {found.runs}, devices: {found.devices}, findings: {faults}")
    return 1 if faults else 0


def _lines(name: str) -> list[str]:
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        what = f"{name} cannot be read ({getattr(error, 'strerror', None) or 'it is no text'})"
        raise ArgumentError(
            "--expected", what, "name a file with a run folder on each line"
        ) from error
    return [line.strip() for line in text.splitlines() if line.strip()]
