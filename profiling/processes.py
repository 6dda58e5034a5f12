"""Running a program so that a signal to us ends it, and everything it started."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import IO, NamedTuple

from adscale.interrupts import PR_SET_PDEATHSIG

MARK = "ADSCALE_RUN"
POLL_S = 0.05
FORWARDED = (signal.SIGTERM, signal.SIGINT)


class Finished(NamedTuple):
    """How a program ended."""

    returncode: int
    """Its exit code; negative: the signal that killed it."""
    received: int | None
    """The signal to us that made us end it."""
    timed_out: bool


def run_forwarding(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    output: IO[bytes] | None = None,
    grace_s: float = 10.0,
    timeout_s: float | None = None,
    first: Callable[[], None] | None = None,
) -> Finished:
    """Runs a program in a session of its own and waits for it.

    SIGTERM and SIGINT to this process become a SIGTERM to the program. It and all it started,
    which a variable in their environment tells, get ``grace_s`` to end before they are killed.
    Signals are caught in the main thread only, as Python allows nothing else.

    Args:
        command: the program and its arguments.
        environment: all of its environment.
        output: takes its standard output and errors; None: it shares ours.
        grace_s: seconds between asking to end and killing.
        timeout_s: seconds after which it is ended as by a signal; None: never.
        first: called in the new process before the program starts: system calls only.

    Raises:
        OSError: the program cannot be started.
    """
    mark = uuid.uuid4().hex
    run = _Run(mark, grace_s)
    with _on_signals(run.interrupt):
        run.process = subprocess.Popen(
            command,
            env={**environment, MARK: mark},
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C comes to us alone, once
            preexec_fn=_end_with_parent(first),  # noqa: PLW1509 - one system call, no locks
        )
        return run.wait(timeout_s)


def how_ended(returncode: int) -> str:
    """How a process ended, in words.

    Args:
        returncode: its exit code; negative, or 128 and more: the signal that ended it.
    """
    number = -returncode if returncode < 0 else returncode - 128
    if number <= 0:
        return f"exit code {returncode}"
    known = number in {int(one) for one in signal.Signals}
    return f"signal {number}{f' ({signal.Signals(number).name})' if known else ''}"


class _Run:
    def __init__(self, mark: str, grace_s: float) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self._mark = mark
        self._grace_s = grace_s
        self._received: int | None = None
        self._ended_s: float | None = None
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
        returncode = self.process.wait()
        for timer in self._timers:
            timer.cancel()
        timed_out = self._ended_s is not None and self._received is None
        if self._ended_s is not None or returncode < 0:  # else nsys has seen to its processes
            self._outlast()
        return Finished(returncode, self._received, timed_out)

    def _end(self) -> None:
        """Asks the program to end, and sees to it that it does."""
        assert self.process is not None
        if self._ended_s is None:
            self._ended_s = time.monotonic()
            self.process.terminate()
            self._later(self._grace_s, self._kill)

    def _outlast(self) -> None:
        """Waits for what the program started, and kills what does not end in time."""
        deadline_s = (self._ended_s or time.monotonic()) + self._grace_s
        while marked_processes(self._mark) and time.monotonic() < deadline_s:
            time.sleep(POLL_S)
        self._kill()

    def _kill(self) -> None:
        for pid in marked_processes(self._mark):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

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


def _end_with_parent(also: Callable[[], None] | None) -> Callable[[], None]:
    """The new process first asks Linux for a SIGTERM when we are killed outright."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)  # loaded here: not between fork and exec

    def ask() -> None:
        if prctl is not None:
            prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM))
        if also is not None:
            also()

    return ask


def marked_processes(mark: str, proc: Path = Path("/proc")) -> list[int]:
    """The running processes with the mark in their environment.

    Family ties do not tell: nsys starts a daemon, and the program in a new session.

    Args:
        mark: value of the variable ``ADSCALE_RUN``.
        proc: where Linux shows processes.
    """
    variable = f"{MARK}={mark}".encode()
    found = []
    for folder in proc.glob("[0-9]*"):
        with suppress(OSError):  # not ours, or it ended meanwhile
            if variable in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return found
