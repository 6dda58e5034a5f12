"""`compare`: B against A: the same, faster, slower, or unclear."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from adscale.errors import ArgumentError

if TYPE_CHECKING:
    from .arguments import Subparsers

_DESCRIPTION = """Sets the times of B beside those of A: two folders of results, or two devices,
methods or variants of one. Runs with the same labels are compared; where each folder has one
device, its name does not matter. docs/comparison.md says how it is judged."""

_CLOCKS = ("host", "kernel_sum", "busy", "span", "latency")


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "compare",
        help="two measurements: the same, faster, slower, or unclear",
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
    parser.add_argument(
        "--margin",
        type=_percent,
        default=2.0,
        metavar="PERCENT",
        help="what makes less of a difference counts as the same (%(default)g)",
    )
    parser.add_argument("-o", "--output", type=Path, metavar="comparison.csv")
    parser.add_argument(
        "--figure", type=Path, metavar="DIR", help="draw the ratios: PDF, PNG and CSV"
    )
    parser.add_argument("--style", metavar="JSON", help="width_mm, font_pt, png_dpi")
    parser.set_defaults(run_command=_main)


def _percent(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < 100:
        raise argparse.ArgumentTypeError(f"{text!r} is no margin in percent, such as 2")
    return value


def _main(options: argparse.Namespace) -> None:
    from ..comparison.sides import LABELS, fingerprint_differences, pair_sides, read_side
    from ..comparison.table import comparison_table
    from ..comparison.text import comparison_text
    from ..tables import write_both

    named = {label: getattr(options, label) for label in LABELS}
    chosen = {label: (pair[0], pair[1]) for label, pair in named.items() if pair}
    if options.b is None and not chosen:
        remedy = "name a second folder, or --device, --method or --variant of A and of B"
        raise ArgumentError("compare", "there is nothing to compare A with", remedy)
    a, b = read_side("A", options.a), read_side("B", options.b or options.a)
    a, b = pair_sides(a, b, chosen)
    table = comparison_table(a, b, options.margin / 100, options.clock)
    if options.output:
        write_both(table, options.output)
    if options.figure:
        from ..figures.canvas import Style
        from ..figures.comparison import draw_comparison

        draw_comparison(table, options.figure, Style.from_json(options.style))
    differences = fingerprint_differences(a, b)
    print(comparison_text(table, a, b, differences, all_clocks=options.clock is not None))
