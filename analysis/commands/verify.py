"""`verify`: are results whole, and may they be read as one study?"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from adscale.errors import ArgumentError

if TYPE_CHECKING:
    from .arguments import Subparsers

_DESCRIPTION = """Check the run folders of results that were measured in several places or copied
together: missing and damaged files, versions of records, one kind of hardware and software per
device, the same run twice, runs in wrong folders. One line per fault, with what to do about it;
exit code 1 where there is one."""


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "verify", help="are results whole and of one kind?", description=_DESCRIPTION
    )
    parser.add_argument("results", type=Path, metavar="RESULTS", help="folder of the devices")
    parser.add_argument(
        "--expected",
        metavar="FILE",
        help="the runs that there should be, one folder a line, as `python -m profiling plan` "
        "prints them (- for standard input); without it, all curves of a method should have the "
        "same resolutions",
    )
    parser.set_defaults(run_command=_main)


def _main(options: argparse.Namespace) -> int:
    from ..progress import progress_bar
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
    except OSError as error:
        what = f"{name} cannot be read ({error.strerror})"
        raise ArgumentError(
            "--expected", what, "name a file with a run folder on each line"
        ) from error
    return [line.strip() for line in text.splitlines() if line.strip()]
