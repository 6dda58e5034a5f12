"""`claims`: what the paper claims, held against counts."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from .arguments import positive, side_px

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..claims import Table
    from ..memory_counts import Count
    from .arguments import Subparsers

CLAIMS = {
    "layers": "layers and parameters",
    "activations": "activations by convention of counting",
    "ratios": "DDAD's U-Net over feature extractions: the paper's 3.69",
    "flops": "floating-point operations and their shares",
    "growth": "the paper's parabola against counts beyond it",
    "totals": "whole methods: the paper's equation 1, and what a device must hold",
}


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "claims",
        help="what the paper claims, held against counts",
        description="Print one kind of claim as a table; docs/paper.md says what follows from it. "
        + "; ".join(f"{name}: {text}" for name, text in CLAIMS.items())
        + ".",
    )
    parser.add_argument("claim", choices=list(CLAIMS), metavar="CLAIM", help=", ".join(CLAIMS))
    parser.add_argument("counts", type=Path, nargs="+", metavar="memory.json")
    parser.add_argument(
        "--at", type=side_px, nargs="+", metavar="PX", help="these resolutions only (default: all)"
    )
    parser.add_argument(
        "--tflops",
        type=positive,
        metavar="RATE",
        help="of flops: also the least time at this rate in 10^12 FLOP/s",
    )
    parser.set_defaults(run_command=_main)


def _main(options: argparse.Namespace) -> None:
    from ..memory_counts import read_counts

    counts = read_counts(options.counts)
    if options.at is not None:
        counts = [count for count in counts if count.resolution_px in options.at]
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
    from adscale.text_table import text_table

    columns = zip(table.head, *table.rows, strict=True)
    left = {title for title, *cells in columns if any(cell[:1].isalpha() for cell in cells)}
    return f"{table.title}\n{text_table(table.head, table.rows, left)}"
