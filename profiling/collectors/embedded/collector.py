"""The embedded collector: ranges in a list, GPU events through torch's profiler."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import adscale

from ...annotation import Annotate, RangeRecorder
from .convert import convert
from .events import Gpu, GpuEvents, Recording
from .summary import Summary
from .threads import ThreadNumbers
from .write import write_export

if TYPE_CHECKING:
    from .torch_events import CudaRecorder


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
