"""`gpu-check`: exit code 0 where all is well, 1 where something failed, 3 without a GPU."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adscale.parts import COMMANDS, ROOT, program

from .steps import BUDGET_S, PARTS

if TYPE_CHECKING:
    from ..commands.arguments import Subparsers

FAILED, WRONG_INPUT, NO_GPU = 1, 2, 3

_DESCRIPTION = """Is everything measured right on this GPU machine? Measures three methods with both
collectors, two runs at once and, in a checkout, the cost of ranges and the tests marked gpu; checks
what they wrote, and prints one page. Exit code 0 where nothing failed, 1 where something did, 3
where there is no GPU."""


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "gpu-check", help=COMMANDS["analysis"]["gpu-check"], description=_DESCRIPTION
    )
    parser.add_argument("--out", type=Path, help="folder for all files; default: a new one in /tmp")
    parser.add_argument("--budget-s", type=float, default=BUDGET_S, help="seconds (%(default)g)")
    parser.add_argument(
        "--only", choices=PARTS, nargs="+", help="parts that are done; default: all"
    )
    # for the tests of the check itself: nothing about a GPU is checked then
    parser.add_argument(
        "--device-type", choices=["cuda", "cpu"], default="cuda", help=argparse.SUPPRESS
    )
    parser.set_defaults(run_command=_main)


def _main(options: argparse.Namespace) -> int:
    """Check this machine and print the page."""
    asked = subprocess.run(
        program("profiling", "environment"), cwd=ROOT, capture_output=True, text=True, check=False
    )
    if asked.returncode != 0:  # its last line says what is wrong, such as ADSCALE_NSYS
        print(asked.stderr, end="", file=sys.stderr)
        return WRONG_INPUT
    found = json.loads(asked.stdout.splitlines()[-1])
    problem = no_gpu(found) if options.device_type == "cuda" else None
    if problem:
        print(f"gpu-check: {problem}; nothing was checked", file=sys.stderr)
        return NO_GPU
    from .session import Session

    folder = options.out or Path(tempfile.mkdtemp(prefix="adscale-gpu-check-"))
    print(f"gpu-check: files and page.txt in {folder}", flush=True)
    session = Session(
        folder.resolve(),
        options.device_type,
        None if found["nsys"] is None else Path(found["nsys"]),
        options.budget_s,
        slack=4.0 if options.device_type == "cpu" else 1.0,
        only=options.only,
    )
    is_well = session.run()
    print(session.text(), end="")
    return 0 if is_well else FAILED


def no_gpu(environment: Mapping[str, Any]) -> str | None:
    """Tell why no GPU can be used; None where one can.

    Args:
        environment: what `python -m profiling environment` printed.
    """
    torch, cuda = environment["torch"], environment["cuda"]
    if environment["gpu"]:
        return None
    if torch is None:
        return "torch cannot be imported"
    build = "a build for CPUs" if cuda is None else f"built for CUDA {cuda}"
    return f"no usable NVIDIA GPU here (torch {torch}, {build})"
