"""Ending a process whose work is done, whatever threads somebody's method has left running."""

from __future__ import annotations

import ctypes
import sys
import threading
import time

GRACE_S = 5.0
"""For threads that end by themselves."""


def end_in_time(returncode: int, grace_s: float = GRACE_S) -> None:
    """Sees to it that this process ends, though Python waits for every thread at its end.

    To be called last. The system's own ``exit`` is used, after which what records the process still
    writes its report; ``os._exit`` would lose a part of it.

    Args:
        returncode: that the process is to end with.
        grace_s: seconds that threads have to end.
    """
    threading.Thread(target=_end, args=(returncode, grace_s), daemon=True).start()


def _end(returncode: int, grace_s: float) -> None:
    time.sleep(grace_s)
    left = [
        thread.name
        for thread in threading.enumerate()
        if not thread.daemon and thread is not threading.main_thread()
    ]
    # here still: Python waits for threads; where it had got further, this one would be gone
    print(
        f"threads that the method has left running are not waited for: {', '.join(left)}",
        file=sys.stderr,
        flush=True,
    )
    sys.stdout.flush()
    ctypes.CDLL(None).exit(returncode)
