"""How far a run has come: a bar on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

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
