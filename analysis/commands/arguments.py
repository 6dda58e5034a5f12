"""Arguments that several subcommands share, and types of arguments."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from adscale.errors import ArgumentError
from adscale.tables import Argument

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001


def positive(text: str) -> float:
    """A positive, finite number.

    Raises:
        argparse.ArgumentTypeError: the text is none.
    """
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no positive number")
    return value


def percent(text: str) -> float:
    """A margin in percent, above 0 and below 100.

    Raises:
        argparse.ArgumentTypeError: the text is none.
    """
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < 100:
        raise argparse.ArgumentTypeError(f"{text!r} is no margin in percent, such as 2")
    return value


def add_margin(parser: argparse.ArgumentParser) -> None:
    """Adds the difference that counts as none."""
    parser.add_argument(
        "--margin",
        type=percent,
        default=2.0,
        metavar="PERCENT",
        help="what makes less of a difference counts as the same (%(default)g)",
    )


def add_formats(parser: argparse.ArgumentParser) -> argparse._MutuallyExclusiveGroup:
    """Adds what is printed in place of a table; the group takes the file to write as well."""
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print JSON instead of a table")
    output.add_argument("--csv", action="store_true", help="print CSV instead of a table")
    return output


def add_inputs(parser: argparse.ArgumentParser) -> None:
    """Adds how profiles are read that are no SQLite files."""
    parser.add_argument(
        "--exports",
        type=Path,
        metavar="FOLDER",
        help="where to keep the SQLite export of a profile that is none (default: .adscale beside "
        "it, or the user's cache where that cannot be written)",
    )


def json_text(option: str, argument: str | None) -> str | None:
    """The JSON text of an option, which may also name a file.

    Args:
        option: its name.
        argument: its value; None: it was not given.

    Raises:
        ArgumentError: the file cannot be read.
    """
    if argument is None or argument.lstrip().startswith("{"):
        return argument
    try:
        return Path(argument).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        remedy = "name a JSON file, or give the JSON text itself"
        raise ArgumentError(option, f"{argument} cannot be read ({error})", remedy) from error


ASKED = (
    Argument("--method", {"default": "all", "help": "the user's label of one; all by default"}),
    Argument("--variant", {"help": "one variant; all by default"}),
    Argument(
        "--sensor",
        {
            "metavar": "NAME",
            "help": "a sensor of config/hardware.yaml, or its pixels, such as 2448x2048",
        },
    ),
    Argument(
        "--sensor-mp",
        {"type": positive, "metavar": "MP", "help": "instead: its pixels in millions"},
    ),
    Argument("--gpu", {"metavar": "NAME", "help": "a GPU of config/hardware.yaml"}),
    Argument(
        "--vram-gib",
        {"type": positive, "metavar": "GIB", "help": "instead: the memory of the GPU"},
    ),
)
"""What is asked of methods, a camera and a GPU: of what fits, and of tiles."""

CYCLE = Argument(
    "--cycle-ms", {"type": positive, "metavar": "MS", "help": "time between two images"}
)
