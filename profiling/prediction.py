"""Counts what a run will need of its device's memory, in the process that will measure it.

The measurement must not notice. The count has shapes and no contents (``profiling.memory``), so it
leaves no tensor behind; what it does leave is seen to here: random states, torch's cache of shapes,
a block of the GPU, and the many objects of the modules that it imports.
"""

from __future__ import annotations

import gc
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from adscale.digest import source_digest
from adscale.methods.spec import MethodSpec
from adscale.run_record import Prediction

from .memory.counting import count_memory
from .memory_limits import available_host_bytes, total_host_bytes


def predict(
    spec: MethodSpec,
    settings: Mapping[str, Any],
    *,
    resolution_px: int,
    implementation: str,
    device_type: str,
) -> Prediction | str:
    """Counts what one inference of a method needs, and looks up what the device has.

    Neither checkpoints nor fitted memory banks are read.

    Args:
        spec: of the method.
        settings: of the method, defaults filled in.
        resolution_px: side length of the square image.
        implementation: such as ``reference``.
        device_type: ``cpu`` or ``cuda``, the current CUDA device.

    Returns:
        The prediction; or why there is none. A method that cannot be counted can be run all the
        same, so that is no error.
    """
    try:
        with _undisturbed(device_type):
            count = count_memory(
                spec,
                settings,
                resolution_px=resolution_px,
                implementation=implementation,
                device_type=device_type,
            )
    except Exception as problem:  # noqa: BLE001 - of whatever class: the run shall go on
        return " ".join(f"{type(problem).__name__}: {problem}".split())
    total_bytes, available_bytes = _device_memory(device_type)
    return Prediction(
        needed_bytes=count.needed_bytes,
        device_memory_bytes=total_bytes,
        available_bytes=available_bytes,
        incomplete=count.incomplete,
        counted_by=source_digest("profiling.prediction"),
    )


def _device_memory(device_type: str) -> tuple[int, int]:
    """Memory of the device in all and what of it is free, in bytes."""
    if device_type == "cuda":
        available_bytes, total_bytes = torch.cuda.mem_get_info()
        return total_bytes, available_bytes
    return total_host_bytes(), available_host_bytes()


@contextmanager
def _undisturbed(device_type: str) -> Iterator[None]:
    """Leaves the process as it was found, but for modules that were imported."""
    python, numbers = random.getstate(), np.random.get_state()  # noqa: NPY002 - others may use it
    try:
        with torch.random.fork_rng(devices=[0] if device_type == "cuda" else []):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numbers)  # noqa: NPY002
        FakeTensorMode.cache_clear()
        gc.collect()
        # Garbage collection walks all objects. Those of the modules that the count has imported
        # would make it longer, in the middle of a measured image.
        gc.freeze()
        if device_type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
