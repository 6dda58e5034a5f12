"""``python -m adscale``: every command of both parts under one name.

``adscale COMMAND …`` is ``python -m profiling COMMAND …`` or ``python -m analysis COMMAND …``,
whichever has it; where both do, the first, and ``adscale analysis COMMAND …`` is the other. Each
part runs in a process of its own, so that neither is imported for the other.
"""

from __future__ import annotations

from .interrupts import end_at_interrupt

if __name__ == "__main__":
    end_at_interrupt()  # before what takes long to import

import re
import signal
import subprocess
import sys

from .command_line import prepare_streams

PARTS = ("profiling", "analysis")
HELP = ("-h", "--help")


def main(arguments: list[str]) -> int:
    """Lists the commands, or runs one.

    Args:
        arguments: the command, and what it is told.

    Returns:
        The exit code of the command; 2 where there is none of that name.
    """
    prepare_streams()
    if not arguments or arguments[0] in HELP:
        return _list()
    if arguments[0] in PARTS:
        return _run(*arguments)
    for part in PARTS:
        if arguments[0] in _commands(part):
            return _run(part, *arguments)
    known = ", ".join(name for part in PARTS for name in _commands(part))
    print(f"error: adscale: no command {arguments[0]!r}; allowed: {known}", file=sys.stderr)
    return 2


def _run(*arguments: str) -> int:
    """Runs a part; it is the part that says what a signal has ended."""
    with subprocess.Popen([sys.executable, "-m", *arguments]) as process:
        signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        signal.signal(signal.SIGINT, lambda *_: None)  # of a terminal, it comes to both
        returncode = process.wait()
    return returncode if returncode >= 0 else 128 - returncode


def _list() -> int:
    """Prints the commands of both parts with their summaries."""
    print("usage: adscale [PART] COMMAND [arguments]   (COMMAND --help tells the arguments)")
    print("PART is needed where both parts have a command and the second is meant")
    for part in PARTS:
        print(f"\n{part}:")
        print(_listing(part))
    return 0


def _listing(part: str) -> str:
    """The lines of a part's help that name its commands."""
    text = subprocess.run(
        [sys.executable, "-m", part, "--help"],
        capture_output=True,
        text=True,
        errors="replace",
        check=True,
    ).stdout
    return "\n".join(line for line in text.splitlines() if re.match(r" {4}\S| {12,}\S", line))


def _commands(part: str) -> list[str]:
    return re.findall(r"^ {4}([a-z][a-z0-9-]*)", _listing(part), re.MULTILINE)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
