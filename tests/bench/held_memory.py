"""Memory that processes hold together, with what they share counted once.

The resident sizes of two processes that use torch, added up, count its libraries twice; what Linux
calls PSS divides them by all who have mapped them, strangers too.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

PAGE_BYTES = 4096
PERIOD_S = 0.2
_PRESENT, _OF_FILE = np.uint64(1 << 63), np.uint64(1 << 61)
"""Bits of an entry of /proc/PID/pagemap."""


class Watch(threading.Thread):
    """Looks every 0.2 s at what some processes and all that they have started hold."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.roots: set[int] = set()
        self.most_bytes = 0
        self.ended = threading.Event()

    def run(self) -> None:
        """Looks until it is ended."""
        while not self.ended.wait(PERIOD_S):
            pids = {pid for root in list(self.roots) for pid in _family(root)}
            self.most_bytes = max(self.most_bytes, held_bytes(pids))


@contextmanager
def watched() -> Iterator[Watch]:
    """Watches the processes that are added to its roots meanwhile."""
    watch = Watch()
    watch.start()
    try:
        yield watch
    finally:
        watch.ended.set()
        watch.join()


def _family(pid: int) -> Iterator[int]:
    yield pid
    with suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            yield from _family(int(child))


def held_bytes(pids: set[int]) -> int:
    """Anonymous memory, a page that a fork shares counted once, and each page of a file once.

    Args:
        pids: processes, of which none shares anonymous memory with others.
    """
    anonymous = 0
    pages: dict[tuple[str, str], list[np.ndarray]] = {}
    for pid in pids:
        with suppress(OSError):  # it has ended
            anonymous += _anonymous_bytes(pid)
            for file, found in _file_pages(pid):
                pages.setdefault(file, []).append(found)
    in_files = sum(len(np.unique(np.concatenate(found))) for found in pages.values())
    return anonymous + PAGE_BYTES * in_files


def _anonymous_bytes(pid: int) -> int:
    """Its pages, each divided by the processes that share it."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    fields = dict(line.split()[:2] for line in text.splitlines()[1:])
    return 1024 * int(fields["Pss_Anon:"])


def _file_pages(pid: int) -> Iterator[tuple[tuple[str, str], np.ndarray]]:
    """The pages of files that are mapped and present, by their numbers in the file."""
    with Path(f"/proc/{pid}/pagemap").open("rb", buffering=0) as pagemap:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            addresses, _, offset, device, inode, *_ = line.split()
            if inode == "0":
                continue
            start, end = (int(one, 16) for one in addresses.split("-"))
            pagemap.seek(start // PAGE_BYTES * 8)
            entries = np.frombuffer(pagemap.read((end - start) // PAGE_BYTES * 8), np.uint64)
            there = np.flatnonzero((entries & _PRESENT > 0) & (entries & _OF_FILE > 0))
            yield (device, inode), there + int(offset, 16) // PAGE_BYTES
