"""Running a program so that a signal to us ends it, and everything it started."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import IO, NamedTuple

PR_SET_PDEATHSIG = 1
FORWARDED = (signal.SIGTERM, signal.SIGINT)


class Finished(NamedTuple):
    """How a program ended."""

    returncode: int
    """Its exit code; negative: the signal that killed it."""
    received: int | None
    """The signal to us that made us end it."""
    timed_out: bool


class _Process(NamedTuple):
    pid: int
    parent: int
    session: int
    start_ticks: int


def run_forwarding(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    output: IO[bytes] | None = None,
    grace_s: float = 10.0,
    timeout_s: float | None = None,
) -> Finished:
    """Runs a program in a session of its own and waits for it.

    SIGTERM and SIGINT to this process become a SIGTERM to the program, which gets ``grace_s``
    to end before it is killed. No process of its session survives such an end. Signals are
    caught in the main thread only, as Python allows nothing else.

    Args:
        command: the program and its arguments.
        environment: all of its environment.
        output: takes its standard output and errors; None: it shares ours.
        grace_s: seconds between asking it to end and killing it.
        timeout_s: seconds after which it is ended as by a signal; None: never.

    Raises:
        OSError: the program cannot be started.
    """
    run = _Run(grace_s)
    with _on_signals(run.interrupt):
        run.process = subprocess.Popen(
            command,
            env=dict(environment),
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C comes to us alone, once
            preexec_fn=_end_with_parent(),  # noqa: PLW1509 - two system calls, no locks
        )
        return run.wait(timeout_s)


class _Run:
    def __init__(self, grace_s: float) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self._grace_s = grace_s
        self._received: int | None = None
        self._ending = False
        self._family: set[_Process] = set()
        self._timers: list[threading.Timer] = []

    def interrupt(self, signum: int, _frame: FrameType | None = None) -> None:
        """Signal handler: a first signal asks the program to end, later ones change nothing."""
        self._received = self._received or signum
        if self.process is not None:
            self._end()

    def wait(self, timeout_s: float | None) -> Finished:
        assert self.process is not None
        if self._received is not None:  # it came before the program was there
            self._end()
        if timeout_s is not None:
            self._later(timeout_s, self._end)
        # left unreaped, the process keeps its number until its session is searched
        ended = os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOWAIT)
        timed_out = self._ending and self._received is None
        for timer in self._timers:
            timer.cancel()
        if self._ending or (ended is not None and ended.si_code != os.CLD_EXITED):
            self._kill_family()
        return Finished(self.process.wait(), self._received, timed_out)

    def _end(self) -> None:
        assert self.process is not None
        if self._ending:
            return
        self._ending = True
        self._family |= _family(self.process.pid)
        os.kill(self.process.pid, signal.SIGTERM)
        self._later(self._grace_s, self._kill_family)

    def _kill_family(self) -> None:
        assert self.process is not None
        self._family |= _family(self.process.pid)
        running = set(_processes())
        for member in self._family & running:  # same number and start time: not a newcomer
            with suppress(ProcessLookupError, PermissionError):
                os.kill(member.pid, signal.SIGKILL)

    def _later(self, seconds: float, action: Callable[[], None]) -> None:
        timer = threading.Timer(seconds, action)
        timer.daemon = True
        self._timers.append(timer)
        timer.start()


@contextmanager
def _on_signals(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {signum: signal.signal(signum, handler) for signum in FORWARDED}
    try:
        yield
    finally:
        for signum, earlier in previous.items():
            signal.signal(signum, earlier)


def _end_with_parent() -> Callable[[], None]:
    """What the new process does first: ask Linux for a SIGTERM when we are killed outright."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)  # loaded here: not between fork and exec

    def ask() -> None:
        if prctl is not None:
            prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM))

    return ask


def _family(leader: int) -> set[_Process]:
    """The session of ``leader``, all that descends from it, and the sessions of these.

    nsys starts the program in a new session; the launcher between them stays in nsys' own.
    """
    processes = list(_processes())
    pids, sessions = {leader}, {leader}
    while True:
        family = {p for p in processes if p.parent in pids or p.session in sessions}
        if {p.pid for p in family} <= pids:
            return family
        pids |= {p.pid for p in family}
        sessions |= {p.session for p in family}


def _processes() -> Iterator[_Process]:
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            text = (folder / "stat").read_text(encoding="utf-8", errors="replace")
        except OSError:  # it ended meanwhile
            continue
        fields = text[text.rindex(")") + 2 :].split()  # the name before it may hold anything
        yield _Process(int(folder.name), int(fields[1]), int(fields[3]), int(fields[19]))
