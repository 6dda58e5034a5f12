"""``adscale``, ``python -m adscale``: every command of both parts under one name.

``adscale COMMAND …`` is ``python -m profiling COMMAND …`` or ``python -m analysis COMMAND …``,
whichever has it; where both do, the first, and ``adscale analysis COMMAND …`` is the other. Only
the part that is called is imported.
"""

from __future__ import annotations

from .interrupts import end_at_interrupt

if __name__ == "__main__":
    end_at_interrupt()  # before what takes long to import

import sys
from importlib import import_module
from importlib.util import find_spec
from typing import NoReturn

from .command_line import prepare_streams, run_command, told_of_missing
from .parts import COMMANDS, OF_PROFILES, module_name

HELP = ("-h", "--help")


def main(arguments: list[str] | None = None) -> int:
    """Lists the commands, or runs one.

    Args:
        arguments: the command, and what it is told; None: those of this process.

    Returns:
        0 for the list; 2 where there is no command of that name. A command ends the process.
    """
    end_at_interrupt()
    prepare_streams()
    given = sys.argv[1:] if arguments is None else arguments
    if not given or given[0] in HELP:
        return run_command(lambda: print(_listing()), {})
    if given[0] in COMMANDS:
        _run(given[0], given[1:], f"adscale {given[0]}")
    for part, commands in COMMANDS.items():
        if given[0] in commands:
            _run(part, given, "adscale")
    known = ", ".join(dict.fromkeys(name for commands in COMMANDS.values() for name in commands))
    print(f"error: adscale: no command {given[0]!r}; allowed: {known}", file=sys.stderr)
    return 2


def _run(part: str, arguments: list[str], program: str) -> NoReturn:
    with told_of_missing(part):
        import_module(f"{module_name(part)}.__main__").run(arguments, program)
    raise AssertionError("a command ends its process")


def _listing() -> str:
    """The commands of both parts, a line each, and what those need that cannot run here."""
    lines = [
        "usage: adscale [PART] COMMAND [arguments]   (COMMAND --help tells the arguments)",
        "PART is needed where both parts have a command and the second is meant",
    ]
    for part, commands in COMMANDS.items():
        lines.append(f"\n{part}:{_lacking(part)}")
        lines += [f"    {name:<18}{summary}" for name, summary in commands.items()]
    return "\n".join(lines)


_LARGEST = {"profiling": "torch", "analysis": "pandas"}


def _lacking(part: str) -> str:
    """What is said of a part whose packages are not installed."""
    if find_spec(_LARGEST[part]) is not None:
        return ""
    others = f" (all but {' and '.join(OF_PROFILES)})" if part == "analysis" else ""
    return f"   not installed{others}: pip install 'adscale[{part}]'"


if __name__ == "__main__":
    sys.exit(main())
