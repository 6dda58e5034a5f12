"""Forks the measuring processes of a study, so that torch is imported once and not for each.

Importing torch takes about as long as everything else that starts a process: two seconds, of which
a study with eighty measurements has a hundred and sixty. So the first measurement of a study starts
a server that imports what every measurement imports, and nothing else: no thread of OpenMP, no
context of CUDA and nothing of a method is there yet. Then it forks a process for each measurement.
That is as alone as one that was started: it has its own memory, peak and end, and what kills it
kills nothing else. What it shares with the others is where libraries lie in memory. So each of the
processes of a run comes from a server of its own, which sees what differs with that.

Only methods of ours on a CPU are forked, in a study on one machine outside of a container: the code
of a user, engines other than torch itself, and CUDA start anew each time.

``profiling.forked`` is the other end: a small program that stands in for the forked process where
that has a parent, be it ``python -m profiling run`` or nsys. The server ends with the study.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import selectors
import signal
import socket
import sys
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from adscale.interrupts import PR_SET_PDEATHSIG, end_at_interrupt

from .forked import peer
from .forks import READY
from .lock import measurement_lock


class Call(NamedTuple):
    """What a forked process is to do, on whose behalf."""

    arguments: Sequence[str]
    environment: Mapping[str, str]
    folder: str
    streams: Sequence[int]


class _Server:
    """Forks a process for each connection, and tells its end.

    Args:
        listening: the socket.
        study: the process with which all ends.
    """

    def __init__(self, listening: socket.socket, study: int) -> None:
        self._listening = listening
        self._children: dict[int, tuple[int, socket.socket]] = {}
        self._wait = selectors.DefaultSelector()
        self._wait.register(listening, selectors.EVENT_READ, self._accept)
        self._study = os.pidfd_open(study)
        self._wait.register(self._study, selectors.EVENT_READ, self._end)
        self._ends = False

    def serve(self) -> Call | None:
        """Serves until the study ends and with it the last child.

        Returns:
            None in the server; in each child what that is to do.
        """
        while self._children or not self._ends:
            for key, _ in self._wait.select():
                call: Call | None = key.data()
                if call is not None:
                    return call
        return None

    def _end(self) -> None:
        """The study has ended; a measurement that goes on is not ended by that."""
        self._wait.unregister(self._study)
        self._wait.unregister(self._listening)
        self._listening.close()
        self._ends = True

    def _accept(self) -> Call | None:
        connection, _ = self._listening.accept()
        call = None
        with suppress(OSError, ValueError, KeyError):
            if peer(connection) == os.getuid():
                call = _received(connection)
        if call is None:
            connection.close()
            return None
        with warnings.catch_warnings():
            # Python warns of threads, which libraries start when they are imported; OpenBLAS, whose
            # they are, ends them before a fork
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            self._leave(connection)
            return call
        for stream in call.streams:
            os.close(stream)
        handle = os.pidfd_open(child)
        self._children[child] = handle, connection
        self._wait.register(handle, selectors.EVENT_READ, lambda: self._tell(child))
        self._wait.register(connection, selectors.EVENT_READ, lambda: self._lost(child))
        with suppress(OSError):
            connection.sendall(f"{child}\n".encode())
        return None

    def _leave(self, connection: socket.socket) -> None:
        """What a child closes of the server's."""
        self._wait.close()
        self._listening.close()
        os.close(self._study)
        connection.close()
        for handle, other in self._children.values():
            os.close(handle)
            other.close()

    def _tell(self, child: int) -> None:
        handle, connection = self._children.pop(child)
        _, status = os.waitpid(child, 0)
        self._wait.unregister(handle)
        os.close(handle)
        with suppress(KeyError):
            self._wait.unregister(connection)
        with suppress(OSError):
            connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
        connection.close()

    def _lost(self, child: int) -> None:
        """What stood in for it was killed, with a measurement that is to end at once."""
        if child in self._children:
            self._wait.unregister(self._children[child][1])
            os.kill(child, signal.SIGKILL)


def _received(connection: socket.socket) -> Call | None:
    """What is asked for; None where nothing is, as by who looks whether there is a server."""
    message, streams, _, _ = socket.recv_fds(connection, 1, 3)
    if not message or len(streams) != 3:
        return None
    with connection.makefile("rb") as lines:
        asked = json.loads(lines.readline())
    return Call(asked["arguments"], asked["environment"], asked["folder"], streams)


def become(call: Call) -> None:
    """Makes this process, just forked, the one that was asked for.

    Args:
        call: on whose behalf.
    """
    server = os.getppid()
    os.setsid()
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))
    for number, stream in enumerate(call.streams):
        os.dup2(stream, number)
        os.close(stream)
    # those of Python are of what was there before, such as a file that can be rewound
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    os.environ.clear()
    os.environ.update(call.environment)
    os.chdir(call.folder)
    tempfile.tempdir = None  # of that environment
    map_files(server)


PRESENT = 63
"""Bit of a page in Linux' pagemap: it is mapped to memory."""

AROUND = 16
"""Pages of a file that Linux maps with the one that is read."""


def map_files(server: int) -> None:
    """Maps the pages of files that the server has mapped, which Linux leaves out of a fork.

    A process that was started has them before its method is built: what a run adds to its memory
    is counted from there. Nothing is done where Linux does not show them.

    Args:
        server: the process that this one was forked from.
    """
    import numpy as np

    page = mmap.PAGESIZE
    with suppress(OSError, ValueError), Path(f"/proc/{server}/pagemap").open("rb", 0) as pages:
        for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines():
            place, rights, _, _, inode = line.split()[:5]
            if inode == "0" or not rights.startswith("r"):
                continue
            begin, end = (int(side, 16) // page for side in place.split("-"))
            pages.seek(begin * 8)
            entries = np.frombuffer(pages.read((end - begin) * 8), np.uint64)
            mapped = begin + np.flatnonzero(entries >> np.uint64(PRESENT))
            _, first = np.unique(mapped // AROUND, return_index=True)
            for number in mapped[first].tolist():
                ctypes.string_at(number * page, 1)


def listen(name: str) -> socket.socket:
    """The socket of a server of that name.

    Raises:
        OSError: there is one already.
    """
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listening.bind(f"\0{name}")  # no file: it is gone with the server
    listening.listen()
    return listening


def serve(name: str, study: int, tell: int) -> Call | None:
    """Serves a study from the import of torch on; see ``_Server.serve``.

    Args:
        name: of the server.
        study: the process with which it ends.
        tell: a pipe for the word that it is ready.
    """
    with measurement_lock("cpu", "a study, which begins"):
        from . import __main__, prediction, runner  # noqa: F401 - what every measurement imports
        from .cli import measure  # noqa: F401
    listening = listen(name)
    os.write(tell, READY)
    os.close(tell)
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 2)  # until now that of the measurement which has started this
    os.close(quiet)
    return _Server(listening, study).serve()


def main(name: str, study: str, tell: str) -> None:
    """The server; in each child, ``python -m profiling`` with the arguments of that."""
    call = serve(name, int(study), int(tell))
    if call is not None:
        from .__main__ import run

        end_at_interrupt()
        become(call)
        run(list(call.arguments))


if __name__ == "__main__":
    main(*sys.argv[1:])
