"""What the commands of both parts share: faults in one line, and output that any stream takes."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Mapping

from .errors import UserError
from .files import files_of_command


def prepare_streams() -> None:
    """Lets standard output and error take any text: ``?`` stands for what they cannot encode.

    A terminal or a log may take ASCII or Latin-1 only. Files are written in UTF-8 all the same.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def run_command(command: Callable[[], int | None], options: Mapping[str, object]) -> int:
    """Runs a command; a fault of the user's ends in one line.

    Args:
        command: returns its exit code; None is 0.
        options: its parsed arguments.

    Returns:
        The exit code: 2 for a fault of the user's, 1 where the reader of a pipe has gone.
    """
    try:
        with files_of_command(options):
            return command() or 0
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        sys.stderr.close()
        return 1
