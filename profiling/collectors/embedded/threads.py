"""Which thread is meant: CUPTI names threads by their pthread, ranges by Linux' number."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from .rows import THREAD_ID_LIMIT

_LOW_32_BITS = 0xFFFFFFFF
_LINUX_LIMIT = 1 << 22


class ThreadNumbers:
    """Turns the thread that torch's profiler names into Linux' number of that thread.

    CUPTI keeps the lower 32 bits of a pthread, as a signed number; torch's profiler replaces it
    by Linux' number only for threads that recorded CPU operators, which are not recorded here.
    Call :meth:`note_running` while the threads that launch work are alive.
    """

    def __init__(self) -> None:
        self.names: dict[int, str] = {}
        """Names of all threads so far by Linux' number."""
        self._by_pthread: dict[int, int] = {}
        self._unidentified: dict[int, int] = {}

    def note_running(self, threads: Iterable[threading.Thread] | None = None) -> None:
        """Notes threads; None: all that Python knows now."""
        for thread in threading.enumerate() if threads is None else threads:
            if thread.ident is None or thread.native_id is None:
                continue
            self.names[thread.native_id] = thread.name
            low = thread.ident & _LOW_32_BITS
            self._by_pthread[low] = thread.native_id
            self._by_pthread[-low & _LOW_32_BITS] = thread.native_id  # some versions drop the sign

    def number_of(self, recorded: int) -> int:
        """Linux' number of a recorded thread.

        A thread that was never noted gets a number of its own from the upper end of the 24
        bits that nsys has for it, beyond all that Linux gives; its work belongs to no range.
        """
        key = recorded & _LOW_32_BITS
        if key in self._by_pthread:
            return self._by_pthread[key]
        if 0 < key < _LINUX_LIMIT:  # a pthread is an address, and these are never mapped
            return key
        if key not in self._unidentified:
            number = THREAD_ID_LIMIT - 1 - len(self._unidentified)
            self._unidentified[key] = number
            self.names[number] = f"unidentified thread {recorded}"
        return self._unidentified[key]
