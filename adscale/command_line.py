"""What the commands of both parts share: faults in one line, and output that any stream takes."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Callable, Mapping

from .errors import UserError
from .files import files_of_command


def prepare_streams() -> None:
    """Lets standard output and error take any text: ``?`` stands for what they cannot encode.

    A terminal or a log may take ASCII or Latin-1 only. Files are written in UTF-8 all the same.
    A stream that the caller closed (``>&-``, some daemons) is opened to nowhere: the next file that
    is opened would have its number otherwise, and get what programs started from here print.
    """
    for number, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:
            _point_to_nowhere(number)
            setattr(sys, name, os.fdopen(number, "w", errors="replace", closefd=False))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def run_command(command: Callable[[], int | None], options: Mapping[str, object]) -> int:
    """Runs a command; a fault of the user's ends in one line.

    Args:
        command: returns its exit code; None is 0.
        options: its parsed arguments.

    Returns:
        The exit code: 2 for a fault of the user's, 1 where the reader of a pipe has gone or
        standard output takes no more.
    """
    try:
        with files_of_command(options):
            returncode = command() or 0
            sys.stdout.flush()
            return returncode
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except OSError as error:
        if error.filename is not None or error.errno not in _TAKES_NO_MORE:
            raise
        # an error that names no file is of a stream that is open already, mostly this one
        what = f"error: standard output or a file: cannot be written ({error.strerror})"
        print(f"{what}; see to the disk", file=sys.stderr)
        _point_to_nowhere(1)  # what is left in its buffer is written when Python ends
        return 1


_TAKES_NO_MORE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def _point_to_nowhere(number: int) -> None:
    """Lets a standard stream, by its number, write to nothing."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    if nowhere != number:
        os.dup2(nowhere, number)
        os.close(nowhere)
