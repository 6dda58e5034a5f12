"""The embedded collector: ranges in a list, GPU events through torch's profiler, a file of both."""

from __future__ import annotations

import os
import sqlite3
import sys
import time
from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import adscale
from adscale.errors import CollectorError

from ...annotation import Annotate, RangeRecorder
from .events import Gpu, GpuEvents, Recording, Summary, ThreadNumbers
from .schema import Rows
from .tables import convert

if TYPE_CHECKING:
    from .torch_events import CudaRecorder


def write_export(path: Path, tables: Iterable[Rows]) -> None:
    """Writes tables to an SQLite file, replacing what is there.

    Raises:
        CollectorError: the folder cannot be written, or the disk is full; what was at ``path``
            is still there, and no other file is left behind.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.unlink(missing_ok=True)
        _fill(unfinished, tables)
        _flush(unfinished)
        os.replace(unfinished, path)  # noqa: PTH105 - says that it replaces
    except (OSError, sqlite3.OperationalError) as error:
        remedy = f"make room on the disk, and check that {path.parent} can be written"
        raise CollectorError(str(path), f"cannot be written ({error})", remedy) from None
    finally:
        with suppress(OSError):
            unfinished.unlink()


def _fill(path: Path, tables: Iterable[Rows]) -> None:
    # without locks: nobody else has this file, and some file systems have none
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?nolock=1", uri=True)) as database:
        database.execute("PRAGMA journal_mode = OFF")  # an unfinished file is thrown away
        database.execute("PRAGMA synchronous = OFF")
        for table, columns, rows in tables:
            database.execute(table.create_sql())
            names, marks = ", ".join(columns), ", ".join("?" for _ in columns)
            # all names come from schema.py
            insert = f"INSERT INTO {table.name} ({names}) VALUES ({marks})"  # noqa: S608
            database.executemany(insert, rows)
        database.commit()


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class EmbeddedCollector:
    """Records what happens inside its ``with`` block; afterwards :meth:`write` writes it.

    On a CPU device nothing of torch's profiler is started, and torch is not imported.

    Args:
        device_type: ``cpu`` or ``cuda``.
    """

    def __init__(self, device_type: str) -> None:
        self._ranges = RangeRecorder()
        self._threads = ThreadNumbers()
        self._start_ns = self._end_ns = 0
        self._cuda: CudaRecorder | None = None
        if device_type == "cuda":
            from .torch_events import CudaRecorder

            self._cuda = CudaRecorder()

    @property
    def annotate(self) -> Annotate:
        """Opens a range: ``with collector.annotate("teacher"): …``."""
        return self._ranges

    def __enter__(self) -> EmbeddedCollector:
        self._threads.note_running()
        self._start_ns = time.time_ns()
        if self._cuda is not None:
            self._cuda.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._threads.note_running()
        if self._cuda is not None:
            self._cuda.stop()
        self._end_ns = time.time_ns()

    def recording(self) -> Recording:
        """All that was recorded.

        Raises:
            CollectorError: torch's profiler lost events of the GPU.
        """
        gpu, gpus, source = GpuEvents(), tuple[Gpu, ...](), "none"
        if self._cuda is not None:
            gpu, gpus = self._cuda.events(self._threads), self._cuda.gpus()
            source = self._cuda.source
        return Recording(
            process_id=os.getpid(),
            process_name=sys.executable,
            start_ns=self._start_ns,
            end_ns=self._end_ns,
            ranges=tuple(self._ranges.ranges),
            thread_names=dict(self._threads.names),
            gpu=gpu,
            gpus=gpus,
            gpu_source=source,
            adscale_version=adscale.__version__,
        )

    def write(self, path: Path) -> Summary:
        """Writes the recording with the tables of an nsys export, whole or not at all.

        Raises:
            CollectorError: the file cannot be written, or events of the GPU were lost.
        """
        converted = convert(self.recording())
        write_export(path, converted.tables)
        return converted.summary
