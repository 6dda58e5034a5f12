"""Stands in for a measuring process that a fork server has forked: a program of its own.

``python -I -S forked.py NAME ARG…``: asks the server of that name to fork a process for these
arguments, with the environment, working directory and streams of this one, and lives as long as
that does. A signal to this process goes to that one, and the end of that one is that of this one,
its signal included. Started under nsys it gives that process what nsys puts into the environment
of a program, by which NVTX finds nsys.

It imports nothing of ours, and of Python what takes no time.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import struct
import sys
from contextlib import suppress
from types import FrameType

FORWARDED = (signal.SIGTERM, signal.SIGINT)
LOST = 1
"""Exit code where the server has ended: with it, what it had forked."""


def connect(name: str) -> socket.socket:
    """A connection to the fork server of that name.

    Raises:
        OSError: there is none, or it is somebody else's.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.connect(f"\0{name}")
    if peer(connection) != os.getuid():
        connection.close()
        raise PermissionError(f"{name} is another user's")
    return connection


def peer(connection: socket.socket) -> int:
    """The user at the other end of a connection: anybody may know the name of a server."""
    size = struct.calcsize("3i")
    told = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    user: int = struct.unpack("3i", told)[1]
    return user


def main(name: str, arguments: list[str]) -> int:
    """Has a process forked, and waits for its end; returns its exit code."""
    early: list[int] = []
    process = 0

    def forward(number: int, _frame: FrameType | None) -> None:
        if process:
            _signal(process, number)
        else:
            early.append(number)

    for number in FORWARDED:
        signal.signal(number, forward)
    with connect(name) as connection:
        asked = {
            "arguments": arguments,
            "environment": dict(os.environ),
            "folder": os.getcwd(),  # noqa: PTH109 - pathlib takes longer to import than all else
        }
        socket.send_fds(connection, [b"f"], [0, 1, 2])
        connection.sendall(json.dumps(asked).encode() + b"\n")
        with connection.makefile() as told:
            process = int(told.readline() or 0)
            for one in early:
                _signal(process, one)
            status = told.readline()
    if not status:
        return LOST
    code = int(status)
    if code < 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the other one has left its own
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


def _signal(process: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(process, number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
