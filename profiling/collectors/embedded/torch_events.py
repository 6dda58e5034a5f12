"""GPU events through the profiler that ships with torch. The only module here that needs torch."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from adscale.errors import CollectorError

from .events import Gpu, GpuEvents
from .kineto import KinetoEvent, read_events
from .threads import ThreadNumbers

BUFFER_LIMIT_MIB = 8192
"""What the profiler may buffer; beyond its own 128 MiB it drops events without an error."""

PROBE_MARGIN_S = 0.01
"""Far more than the clocks of GPU events and of the process differ."""


class CudaRecorder:
    """Records API calls, kernels, copies and memsets of this process between start and stop.

    CPU operators are not recorded: they would cost time in what is measured.
    """

    def __init__(self) -> None:
        self.source = f"torch.profiler {torch.__version__}"
        self._profile = profile(activities=[ProfilerActivity.CUDA], experimental_config=_config())
        self._probe: torch.Tensor | None = None
        self._probed_ns = 0

    def start(self) -> None:
        """Starts recording."""
        self._probe = torch.zeros(1, device="cuda")
        with _raised_buffer_limit():
            self._profile.start()

    def stop(self) -> None:
        """Launches a last, known kernel, waits for the GPU, and stops recording."""
        try:
            self._launch_probe()
        finally:
            self._profile.stop()

    def events(self, threads: ThreadNumbers) -> GpuEvents:
        """What was recorded.

        Args:
            threads: finds Linux' number of a launching thread.

        Raises:
            CollectorError: the last kernel is not among the events, so others are missing too.
        """
        events = read_events(self._kineto_events(), threads)
        if not any(kernel.start_ns >= self._probed_ns for kernel in events.kernels):
            what = "torch's profiler recorded no GPU kernel at the end of the run"
            remedy = "measure fewer images, allow the profiling of GPUs, or record with nsys"
            raise CollectorError("embedded collector", what, remedy)
        return events

    def gpus(self) -> tuple[Gpu, ...]:
        """The GPUs that the process sees."""
        return tuple(_gpu(index) for index in range(torch.cuda.device_count()))

    def _launch_probe(self) -> None:
        assert self._probe is not None
        torch.cuda.synchronize()
        self._probed_ns = time.time_ns()
        time.sleep(PROBE_MARGIN_S)
        self._probe += 1
        torch.cuda.synchronize()

    def _kineto_events(self) -> list[KinetoEvent]:
        results = self._profile.profiler.kineto_results if self._profile.profiler else None
        return [] if results is None else list(results.events())


def _config() -> Any:
    """Asks for sizes of copies and grids, where torch has the option (not in 2.6)."""
    from torch._C._profiler import _ExperimentalConfig

    with suppress(TypeError):
        return _ExperimentalConfig(expose_kineto_event_metadata=True)
    return None


@contextmanager
def _raised_buffer_limit() -> Iterator[None]:
    """The limit can be raised only by a file that an environment variable names."""
    if "KINETO_CONFIG" in os.environ:
        yield
        return
    with tempfile.NamedTemporaryFile("w", prefix="adscale-kineto-", suffix=".conf") as file:
        file.write(f"ACTIVITIES_MAX_GPU_BUFFER_SIZE_MB={BUFFER_LIMIT_MIB}\n")
        file.flush()
        os.environ["KINETO_CONFIG"] = file.name
        try:
            yield
        finally:
            del os.environ["KINETO_CONFIG"]


def _gpu(index: int) -> Gpu:
    properties = torch.cuda.get_device_properties(index)
    uuid = getattr(properties, "uuid", None)
    return Gpu(
        device_id=index,
        name=properties.name,
        memory_bytes=properties.total_memory,
        sm_count=properties.multi_processor_count,
        compute_major=properties.major,
        compute_minor=properties.minor,
        uuid=None if uuid is None else f"GPU-{uuid}",
    )
