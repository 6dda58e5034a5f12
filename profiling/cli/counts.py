"""``python -m profiling counts``: all counts of a study that are not there (used by Snakemake)."""

from __future__ import annotations

import argparse
from pathlib import Path

from adscale.command_line import Parser, run_command
from adscale.files import write_record
from adscale.parts import COMMANDS
from adscale.plan_file import ListedCount, read_count_list

from ..study.counts import Counts, is_made, places
from . import memory


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser("counts", help=COMMANDS["profiling"]["counts"])
    parser.add_argument("listed", type=Path, help="file that lists them, see adscale/plan_file.py")
    parser.add_argument("--again", action="store_true", help="also those that are there")
    parser.add_argument(
        "-j", type=int, default=1, metavar="N", help="counts at a time (default: %(default)s)"
    )
    parser.set_defaults(main=main)


def main(args: argparse.Namespace) -> int:
    """Makes them, each in a child of this process; a count that fails has a record that says why.

    Raises:
        ConfigError: the list cannot be read.
    """
    where = places(args.listed)
    listed = read_count_list(args.listed)
    due = [one for one in listed if args.again or not is_made(one, where)]

    def count(one: ListedCount, record: Path) -> int:
        import torch  # the parent has imported it

        torch.set_num_threads(1)  # threads that libraries have started in the parent are not here
        options = _options(one, record)
        return run_command(lambda: memory.main(options), vars(options))

    def fail(one: ListedCount, record: Path, problem: str) -> None:
        write_record(record, memory.failed_record(_options(one, record), problem))
        print(f"study: {one.name} cannot be counted: {problem}", flush=True)

    print(f"{len(due)} of {len(listed)} counts are due", flush=True)
    return Counts(where, count, fail).make(due, max(args.j, 1))


def _options(one: ListedCount, record: Path) -> argparse.Namespace:
    """The arguments of ``python -m profiling memory`` that a count stands for."""
    parser: argparse.ArgumentParser = Parser(prog="python -m profiling")
    memory.add_parser(parser.add_subparsers())
    return parser.parse_args(["memory", *one.arguments, "--each", "-o", str(record)])
