"""How far something has come: a bar on a terminal; of a run, lines where there is none."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

    from .request import RunRequest


SHOWN_AFTER_S = 0.5
"""Work that takes less time needs no bar."""


def run_title(request: RunRequest) -> str:
    """What is measured: method, variant, resolution, and which process and pass."""
    process = f" process {request.process}" if request.process > 1 else ""
    latency = " latency" if request.collector == "none" else ""
    return f"{request.method} {request.variant} {request.resolution} px{process}{latency}"


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


LINE_EVERY_S = 5.0
REDRAW_EVERY_S = 0.25


class Progress:
    """Shown between images only: nothing runs in the background of a measurement."""

    def __init__(self, title: str, stream: TextIO | None = None) -> None:
        self.title = title
        self.stream = sys.stderr if stream is None else stream
        self._bar: RichProgress | None = None
        self._next_s = 0.0
        self._phase = ""

    def __enter__(self) -> Progress:
        if self.stream.isatty():
            self._bar = _make_bar(self.stream)
            self._bar.start()
            self._task = self._bar.add_task(self.title, total=None, left="")
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(
        self, phase: str, done: int, most: int, left_s: float | None, *, unit: str = "images"
    ) -> None:
        """Shows that ``done`` of at most ``most`` images of a phase are done."""
        now_s = time.monotonic()
        if now_s < self._next_s and phase == self._phase:
            return
        self._phase = phase
        left = "" if left_s is None else f"about {left_s:.0f} s left"
        if self._bar is not None:
            self._bar.update(
                self._task,
                description=f"{self.title} {phase}",
                completed=done,
                total=most,
                left=left,
                refresh=True,
            )
            self._next_s = now_s + REDRAW_EVERY_S
        else:
            text = f"{self.title}: {phase}, {done} of at most {most} {unit}"
            with suppress(ValueError):  # a method has closed it
                print(f"{text}, {left}" if left else text, file=self.stream, flush=True)
            self._next_s = now_s + LINE_EVERY_S


def _make_bar(stream: TextIO) -> RichProgress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[left]}"),
        console=Console(file=stream),
        auto_refresh=False,
    )
