"""All counts of a study from one process, each in a child of its own. No torch before it is needed.

To import torch takes longer than most counts. So it is imported once, before anything of it is
used, and each count is made in a fork of that process, which shares its memory: what ends one count
ends no other. A method of the user's is counted by a program of its own, which imports it alone.

What is there already is not counted again: a note beside Snakemake's own files tells by which code
and arguments a record was made, and what was in it.
"""

from __future__ import annotations

import ctypes
import gc
import hashlib
import importlib
import json
import os
import signal
import sys
import time
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import NamedTuple, NoReturn

from adscale.files import write_text
from adscale.interrupts import PR_SET_PDEATHSIG
from adscale.methods.registry import get_spec
from adscale.parts import module_name, program
from adscale.plan_file import ListedCount

from ..processes import FORWARDED
from .finished import RESULTS

POLL_S = 0.02
"""How often is looked whether a count has ended."""


class Places(NamedTuple):
    """Where the files of a study's counts are."""

    results: Path
    notes: Path

    def record(self, count: ListedCount) -> Path:
        """The record of a count."""
        return self.results / count.path / "memory.json"

    def log(self, count: ListedCount) -> Path:
        """What is printed while it is made."""
        return self.results / "logs" / "count_memory" / f"{count.name}.log"

    def note(self, count: ListedCount) -> Path:
        """What the record was made by."""
        return self.notes / f"{count.name}.json"


def places(listed: Path, results: Path = RESULTS) -> Places:
    """The places of a study.

    Args:
        listed: file that lists the counts, among Snakemake's own.
        results: folder of the study's results.
    """
    return Places(results, listed.parents[1] / "counts")


def is_made(count: ListedCount, where: Places) -> bool:
    """Whether a count is there as it is planned, and whole.

    Args:
        count: as planned.
        where: the files of the study are.
    """
    with suppress(OSError, ValueError, LookupError, TypeError):
        content = where.record(count).read_bytes()
        note = json.loads(where.note(count).read_text(encoding="utf-8"))
        is_whole = bool(json.loads(content)["resolutions"])
        return is_whole and note == _note(count, content)
    return False


def _note(count: ListedCount, content: bytes) -> dict[str, str]:
    return {"digest": count.digest, "record": hashlib.sha256(content).hexdigest()}


Counting = Callable[[ListedCount, Path], int]
"""Makes a count in this process, and writes its record into a file; its exit code."""

Failing = Callable[[ListedCount, Path, str], None]
"""Writes a record that tells why there is no count."""


class Counts:
    """Makes counts, so many at once.

    Args:
        where: their files are.
        count: makes one, in a child of this process.
        fail: takes note of one that cannot be made.
    """

    def __init__(self, where: Places, count: Counting, fail: Failing) -> None:
        self._where = where
        self._count = count
        self._fail = fail
        self._running: dict[int, ListedCount] = {}
        self._received: int | None = None

    def make(self, due: Sequence[ListedCount], at_once: int) -> int:
        """Makes them.

        Args:
            due: the counts, which may be none.
            at_once: children at a time.

        Returns:
            0, whatever failed: a count that cannot be made has its record. 128 + n where signal n
            has ended it.
        """
        ours = [count for count in due if not get_spec(count.target).foreign]
        waiting = deque([*ours, *(count for count in due if count not in ours)])
        _import_for(count.target for count in ours)
        with self._ending_with_us(), _frozen():
            while (waiting and self._received is None) or self._running:
                while waiting and self._received is None and len(self._running) < at_once:
                    self._start(waiting.popleft())
                # not waiting for ever: a signal may come to another thread, and end no wait here
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    time.sleep(POLL_S)
                    continue
                self._finish(self._running.pop(pid), os.waitstatus_to_exitcode(status))
        return 0 if self._received is None else 128 + self._received

    @contextmanager
    def _ending_with_us(self) -> Iterator[None]:
        """A signal to this process ends its children."""
        before = {number: signal.signal(number, self._end) for number in FORWARDED}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _end(self, number: int, _frame: FrameType | None) -> None:
        self._received = self._received or number
        for pid in self._running:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    def _start(self, count: ListedCount) -> None:
        for file in (self._where.record(count), self._where.log(count)):
            file.parent.mkdir(parents=True, exist_ok=True)
        sys.stdout.flush()
        sys.stderr.flush()
        with warnings.catch_warnings():
            # Python warns of threads, which libraries start when they are imported; the child
            # uses none
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if pid == 0:
            self._serve(count)
        self._running[pid] = count
        if self._received is not None:  # it came before the child was known
            self._end(self._received, None)

    def _serve(self, count: ListedCount) -> NoReturn:
        """All that a child does. It leaves without ending what it shares with its parent."""
        status = 1
        try:
            for number in FORWARDED:
                signal.signal(number, signal.SIG_DFL)
            prctl = getattr(ctypes.CDLL(None), "prctl", None)
            if prctl is not None:
                prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM))
            _print_into(self._where.log(count))
            if get_spec(count.target).foreign:
                self._become_program(count)
            status = self._count(count, self._where.record(count))
        except BaseException:  # noqa: BLE001 - whatever ends it, it is told
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def _become_program(self, count: ListedCount) -> NoReturn:
        command = program("profiling", "memory", *count.arguments, "--keep-going")
        path = os.pathsep.join(filter(None, sys.path))
        command += ["-o", str(self._where.record(count))]
        environment = {**os.environ, "PYTHONPATH": path}
        os.execve(sys.executable, command, environment)  # noqa: S606 - a shell adds nothing

    def _finish(self, count: ListedCount, code: int) -> None:
        if self._received is not None:
            return
        record, log = self._where.record(count), self._where.log(count)
        if code != 0 or not record.is_file():
            lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            lines = lines if code > 0 else []
            problem = lines[-1].removeprefix("error: ") if lines else f"exit code {code}"
            self._fail(count, record, problem)
            with log.open("a", encoding="utf-8") as stream:
                print(f"study: {count.name} cannot be counted: {problem}", file=stream)
        note = json.dumps(_note(count, record.read_bytes()))
        write_text(self._where.note(count), f"{note}\n")


def _import_for(targets: Iterable[str]) -> None:
    """Imports what counts of our methods need; nothing of it is used before the fork.

    What a process has of CUDA does not outlive a fork, so the GPU is not even asked for.
    """
    if not (specs := [get_spec(target) for target in dict.fromkeys(targets)]):
        return
    for module in (
        module_name("profiling.memory.counting"),
        "torch._dynamo",
    ):  # fake tensors import the latter
        importlib.import_module(module)
    from ..methods.loading import load_method_class

    for spec in specs:
        with suppress(Exception):  # its count will tell
            load_method_class(spec)


@contextmanager
def _frozen() -> Iterator[None]:
    """Keeps what is there from Python's collector: children would copy all that it touches."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _print_into(log: Path) -> None:
    """Has the standard streams of this process end in a file."""
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, end in ((0, nothing), (1, file), (2, file)):
        os.dup2(end, number)
    for number, name in ((1, "stdout"), (2, "stderr")):  # whatever had taken its place
        setattr(sys, name, os.fdopen(number, "w", 1, errors="replace", closefd=False))
