"""One of two runs that take turns, an image each. `collectors` and `forked` start both.

`python -m tests.bench.turns COLLECTOR REQUEST OUT MINE OTHER [forked]`: MINE and OTHER are named
pipes; a byte in MINE is the turn. `forked`: in a child of this process, as a fork server does it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from adscale.files import write_record
from adscale.names import PROFILE_NAMES
from adscale.request import RunRequest
from profiling.annotation import Annotate, NvtxAnnotator
from profiling.collectors.embedded import EmbeddedCollector
from profiling.fork_server import map_files
from profiling.prediction import CountingProcess
from profiling.runner import measure


class Turns:
    """Waits for the turn before an image is loaded, and hands it on after the inference.

    Args:
        annotate: what opens the ranges.
        mine: pipe that brings the turn.
        other: pipe that hands it on.
    """

    def __init__(self, annotate: Annotate, mine: str, other: str) -> None:
        self._annotate = annotate
        # for reading and writing: opening must not wait for the other side
        self._mine, self._other = (os.open(path, os.O_RDWR) for path in (mine, other))

    def __call__(self, name: str) -> AbstractContextManager[object]:
        """The range of that name."""
        if name == "load":
            os.read(self._mine, 1)
        return self._handing_on() if name == "image" else self._annotate(name)

    @contextmanager
    def _handing_on(self) -> Iterator[None]:
        with self._annotate("image"):
            yield
        os.write(self._other, b"x")


def main(collector: str, request_json: str, out: str, mine: str, other: str) -> None:
    """Measures as the runner does, with ranges that wait for their turn."""
    request, folder = RunRequest.from_json(request_json), Path(out)
    need = CountingProcess(request).need()
    if collector == "nsys":
        turns = Turns(NvtxAnnotator(), mine, other)
        record = measure(request, need, turns, "unknown", lambda _draft: None)
    else:
        with EmbeddedCollector(request.device_type) as embedded:
            turns = Turns(embedded.annotate, mine, other)
            record = measure(request, need, turns, None, lambda _draft: None)
        embedded.write(folder / PROFILE_NAMES["embedded"])
    write_record(folder / "run.json", record)


def fork(arguments: list[str]) -> int:
    """Measures in a child of this process, which has imported what a fork server has."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    map_files(os.getppid())
    main(*arguments)
    return 0


if __name__ == "__main__":
    if sys.argv[-1] == "forked":
        sys.exit(fork(sys.argv[1:-1]))
    main(*sys.argv[1:])
