"""``python -m profiling export``: the report of a run as SQLite, by nsys itself."""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path

from adscale.errors import CollectorError

from ..collectors.nsys import export_command, find_nsys


def add_export_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand ``export``: the report of a run as SQLite, by nsys itself."""
    parser = subparsers.add_parser("export", help="export a report of nsys to SQLite")
    parser.add_argument("report", type=Path)
    parser.add_argument("--nsys", default=None, help="path of the nsys program")
    parser.add_argument("-o", "--output", required=True, type=Path)
    parser.set_defaults(main=export)


def export(args: argparse.Namespace) -> int:
    """Exports; the file appears when it is complete."""
    if not args.report.is_file():
        raise CollectorError(str(args.report), "no such file", "name a report of nsys")
    if args.report.stat().st_size == 0:  # of a run that Linux killed, see profiling.launcher
        from ..collectors.embedded import EmbeddedCollector

        EmbeddedCollector("cpu").write(args.output)
        return 0
    nsys = find_nsys(args.nsys)
    if nsys is None:
        raise CollectorError(str(args.report), "no nsys was found", "name it with --nsys")
    _export(nsys, args.report, args.output)
    return 0


def _export(nsys: Path, report: Path, output: Path) -> None:
    unfinished = output.with_name(f".{output.name}.unfinished")
    try:
        done = subprocess.run(
            export_command(nsys, report, unfinished), capture_output=True, text=True, check=False
        )
        if done.returncode != 0 or not unfinished.is_file():
            said = (done.stderr or done.stdout).strip() or f"exit code {done.returncode}"
            remedy = f"remove {report.parent} and start the study again"
            raise CollectorError(str(report), f"nsys could not export it ({said})", remedy)
        unfinished.replace(output)
    finally:
        unfinished.unlink(missing_ok=True)
