"""A bar on a terminal for jobs that take long; nothing elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import TextIO

SHOWN_AFTER_S = 0.5
"""Work that takes less time needs no bar."""


@contextmanager
def progress_bar(title: str, stream: TextIO | None = None) -> Iterator[Callable[[int, int], None]]:
    """Show how far something has come, on standard error if that is a terminal.

    Args:
        title: what is being done.
        stream: where to show it; standard error by default.

    Yields:
        A function to be told how much is done and of how much, from any thread.
    """
    stream = sys.stderr if stream is None else stream
    if not stream.isatty():
        yield lambda _done, _total: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
    )
    bar = Progress(*columns, console=Console(file=stream), auto_refresh=False, transient=True)
    task = bar.add_task(title, total=None)
    started_s, lock = time.monotonic(), Lock()

    def update(done: int, total: int) -> None:
        if time.monotonic() - started_s >= SHOWN_AFTER_S:
            with lock:
                bar.start()
                bar.update(task, completed=min(done, total), total=total, refresh=True)

    try:
        yield update
    finally:
        bar.stop()
