"""Ctrl-C ends a command in one line and with the exit code of shells, from its first moment on.

Python answers with a traceback, also while it imports what a command needs, which takes seconds.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

EXIT_CODE = 128 + signal.SIGINT

SAID = "error: interrupted; what was written whole before is kept"


class InterruptedByUser(KeyboardInterrupt):
    """Ctrl-C, unlike a ``KeyboardInterrupt`` that somebody's code raises."""


def end_at_interrupt() -> None:
    """Has Ctrl-C end this process at once: there is nothing yet, or no longer, to be tidied up.

    To be called by programs before they import anything large. A process that is started with
    Ctrl-C ignored, as by ``nohup``, goes on ignoring it.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


@contextmanager
def raised_interrupts() -> Iterator[None]:
    """Meanwhile Ctrl-C raises ``InterruptedByUser``, so that what is half written is removed."""
    previous = signal.getsignal(signal.SIGINT)
    is_ours = previous in (signal.default_int_handler, _end)
    if not is_ours or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, _raise)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


def _end(_signum: int, _frame: FrameType | None) -> NoReturn:
    os.write(2, f"{SAID}\n".encode())
    os._exit(EXIT_CODE)


def _raise(_signum: int, _frame: FrameType | None) -> NoReturn:
    raise InterruptedByUser
