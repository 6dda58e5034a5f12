"""Ctrl-C ends a command in one line and with the exit code of shells, from its first moment on.

Python answers with a traceback, also while it imports what a command needs, which takes seconds.
What a command has forked ends with it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

EXIT_CODE = 128 + signal.SIGINT

SAID = "error: interrupted; what was written whole before is kept"


PR_SET_PDEATHSIG = 1


class InterruptedByUser(KeyboardInterrupt):
    """Ctrl-C, unlike a ``KeyboardInterrupt`` that somebody's code raises.

    Args:
        signum: the signal that it came as.
    """

    def __init__(self, signum: int = signal.SIGINT) -> None:
        super().__init__(signum)
        self.exit_code = 128 + signum


def end_at_interrupt() -> None:
    """Has Ctrl-C end this process at once: there is nothing yet, or no longer, to be tidied up.

    To be called by programs before they import anything large. A process that is started with
    Ctrl-C ignored, as by ``nohup``, goes on ignoring it.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


@contextmanager
def raised_interrupts(also: Sequence[signal.Signals] = ()) -> Iterator[None]:
    """Meanwhile Ctrl-C raises ``InterruptedByUser``, so that what is half written is removed.

    Args:
        also: further signals that do so, where nobody else has a handler for them.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    replaced = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, *also)}
    usual = (signal.default_int_handler, signal.SIG_DFL, _end)
    replaced = {signum: handler for signum, handler in replaced.items() if handler in usual}
    for signum in replaced:
        signal.signal(signum, _raise)
    try:
        yield
    finally:
        for signum, handler in replaced.items():
            signal.signal(signum, handler)


def end_with_parent(signum: int = signal.SIGKILL) -> None:
    """Has Linux end this process by a signal as soon as the thread that has forked it has ended.

    Args:
        signum: the signal.
    """
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(PR_SET_PDEATHSIG, int(signum))


def follow_parent(parent: int) -> None:
    """Has this process end with its parent and by nothing else: Ctrl-C comes to both of them.

    To be called by a process that works for another, when it begins.

    Args:
        parent: the number of that one.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    end_with_parent(signal.SIGTERM)
    if os.getppid() != parent:  # it has ended before
        os._exit(EXIT_CODE)


def _end(_signum: int, _frame: FrameType | None) -> NoReturn:
    os.write(2, f"{SAID}\n".encode())
    os._exit(EXIT_CODE)


def _raise(signum: int, _frame: FrameType | None) -> NoReturn:
    raise InterruptedByUser(signum)
