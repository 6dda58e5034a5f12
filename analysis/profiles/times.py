"""The times of one pass of one process, a value per measured image; and its energy per image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from adscale.errors import ResultsError
from adscale.mean_error import Floats
from adscale.names import IMAGE

from ..tables import read_parquet
from .paths import path_in_run
from .range_table import RANGE_COLUMNS
from .record import Run
from .run_coverage import uncovered_share
from .work import NS_PER_MS

MAIN_CLOCK = {"cpu": "host", "cuda": "busy"}
"""The clock that counts as a run's runtime, by the type of its device."""

OUTSIDE = ("load", "prepare", "copy_to_device", "copy_to_host")
"""Ranges around the image that have rows of their own."""

WAITING = "synchronize"
"""The range behind an image in which the GPU is waited for."""

LATENCY_PARTS = {
    "image": "image",
    **dict.fromkeys(OUTSIDE, "outside"),
    "end_to_end": "end_to_end",
}
"""Parts that the latency pass times, and their roles."""

STEP_S = 0.1
"""Time between two steps of a GPU's energy counter: that of NVML does not move continuously, but on
GPUs of the data centre about every 100 ms (Yang, Adamek and Armour, "Part-time power measurements",
2023, arXiv 2312.02741)."""

SHORTEST_WINDOW_S = 5.0
"""Window of measuring below which no energy is told: the error is 4 % there."""

_CLOCKS = {
    "host": "host_ms",
    "kernel_sum": "kernel_sum_ms",
    "busy": "busy_ms",
    "span": "span_ms",
}
_SUMMED = [*_CLOCKS.values(), "kernels"]


@dataclass(frozen=True)
class PartTimes:
    """Times of one part of an image by one clock, in ms; several calls in an image are added up.

    In batches all of it is of whole batches, as they were measured.

    Attributes:
        submodule: name of the part: a submodule, a range inside of one, `image`, a range around
            it, `end_to_end`.
        role: `submodule`, `inner`, `image`, `outside` or `end_to_end`.
        clock: what was read.
        times_ms: one per image that has one; images without a kernel have no span.
        kernels_per_image: mean number of kernels; None where none are recorded.
        launch_bound_share: mean of 1 − busy / span; of the clock busy only.
    """

    submodule: str
    role: str
    clock: str
    times_ms: Floats
    kernels_per_image: float | None = None
    launch_bound_share: float | None = None


@dataclass(frozen=True)
class PassTimes:
    """The times that one pass of a process found.

    Attributes:
        parts: in the order of inference, a clock each.
        image_ms: of whole images by the main clock, or without a profiler: by which the pass is
            judged.
        until_done_ms: mean host time of an image until the device has finished it.
        ranges_per_image: opened in an image, its own among them; of a profile only.
        ranges_share: share of the image's host time that these take by what an empty one was
            measured to cost; None where it was not.
        uncovered_share: share of the image's host time in no submodule; of a CPU's profile only.
        kernel_time_coverage: share of the kernel time of images that submodules account for; of a
            GPU's profile only.
    """

    parts: tuple[PartTimes, ...]
    image_ms: Floats
    until_done_ms: float
    ranges_per_image: float | None = None
    ranges_share: float | None = None
    uncovered_share: float | None = None
    kernel_time_coverage: float | None = None


def parts_of(run: Run) -> Iterator[tuple[str, str, str]]:
    """Name, role and path of every part that a profile tells of, in the order of a run.

    Of several parts with one name, as a class may open ranges in its submodules, those that are
    inner ranges have the names around them in front.
    """
    last = [names[-1] for names in run.inner_ranges]
    times = Counter([*run.submodules, *last, IMAGE, *OUTSIDE])
    for name in run.submodules:
        yield name, "submodule", run.path_of(name)
        for names in run.inner_ranges:
            if names[0] == name:
                own = names[-1] if times[names[-1]] == 1 else path_in_run(*names)
                yield own, "inner", run.path_of(*names)
    yield IMAGE, "image", IMAGE
    yield from ((name, "outside", name) for name in OUTSIDE)


def profiled_times(run: Run) -> PassTimes:
    """Times of a process whose status is `ok`, from the `ranges.parquet` beside its `run.json`.

    Raises:
        ResultsError: the file cannot be read, or lacks a part of the run.
    """
    file = run.path.with_name("ranges.parquet")
    ranges, texts = read_parquet(file, RANGE_COLUMNS, run.reattribute)
    measured = ranges[ranges["phase"] == "measure"]
    sums = measured.groupby(["path", "image_index"])[_SUMMED].sum(min_count=1)
    parts: list[PartTimes] = []
    for name, role, path in parts_of(run):
        of_part = sums[sums.index.get_level_values("path") == path]
        if len(of_part):
            parts += _by_clock(run, name, role, of_part)
        elif role != "outside":
            raise ResultsError(file, f"holds no measured range {path}", run.reattribute)
    whole = {part.clock: part.times_ms for part in parts if part.role == "image"}
    waiting = sums[sums.index.get_level_values("path") == WAITING]["host_ms"]
    waiting_ms = float(waiting.sum()) / len(whole["host"]) if run.clock == "gpu" else 0.0
    coverage = texts.get("kernel_time_coverage")
    in_images = (measured["path"] == "image") | measured["path"].str.startswith("image/")
    ranges_per_image = float(in_images.sum()) / len(whole["host"])
    host_ns = float(whole["host"].mean()) * NS_PER_MS
    empty_ns = run.record.empty_range_ns
    return PassTimes(
        parts=tuple(parts),
        image_ms=whole[MAIN_CLOCK[run.device_type]],
        until_done_ms=float(whole["host"].mean()) + waiting_ms,
        ranges_per_image=ranges_per_image,
        ranges_share=None if empty_ns is None else ranges_per_image * empty_ns / host_ns,
        uncovered_share=(
            uncovered_share(ranges, run.submodule_paths) if run.clock == "host" else None
        ),
        kernel_time_coverage=float(coverage) if coverage else None,
    )


def latency_times(run: Run) -> PassTimes:
    """Times of a latency pass whose status is `ok`.

    Raises:
        ResultsError: it has no times, or not one for every measured image.
    """
    times = run.record.latency
    if times is None:
        raise ResultsError(run.path, "latency is null", run.remeasure)
    parts = []
    for name, role in LATENCY_PARTS.items():
        values = getattr(times, f"{name}_ms")
        if values is not None:
            if len(values) != run.measured_images:
                what = f"{name}_ms has {len(values)} times for {run.measured_images} images"
                raise ResultsError(run.path, what, run.remeasure)
            parts.append(PartTimes(name, role, "latency", np.array(values, np.float64)))
    image_ms = parts[0].times_ms
    if not len(image_ms):
        raise ResultsError(run.path, "no image was measured", run.remeasure)
    return PassTimes(tuple(parts), image_ms, float(image_ms.mean()))


def _by_clock(run: Run, name: str, role: str, sums: pd.DataFrame) -> Iterator[PartTimes]:
    """Times of one part, a clock each.

    Args:
        run: the run.
        name: of the part.
        role: its role.
        sums: one row per measured image, calls added up.
    """
    kernels = _mean(sums["kernels"])
    yield PartTimes(name, role, "host", _values(sums, "host"), kernels)
    if run.clock == "host" or (role == "outside" and not sums["kernels"].any()):
        return
    for clock in ("kernel_sum", "busy", "span"):
        share = _mean(1.0 - sums["busy_ms"] / sums["span_ms"]) if clock == "busy" else None
        yield PartTimes(name, role, clock, _values(sums, clock), kernels, share)


def _values(sums: pd.DataFrame, clock: str) -> Floats:
    return sums[_CLOCKS[clock]].dropna().to_numpy(dtype=np.float64)


def _mean(values: pd.Series) -> float | None:
    known = values.dropna()
    return float(known.mean()) if len(known) else None


class ImageEnergy(NamedTuple):
    """Energy that the GPU took per image, what it takes idle included.

    Attributes:
        joules: the counter's difference over the images.
        error_joules: largest error from the counter's steps, on either side.
    """

    joules: float
    error_joules: float


def image_energy(joules: float, window_s: float, images: int) -> ImageEnergy | None:
    """Energy per image; None where the window is too short to tell.

    Each of the counter's two readings may be one step old, so that a window is known to two steps
    of mean power.

    Args:
        joules: difference of the counter over the measured images.
        window_s: time between its two readings.
        images: completed in between.
    """
    if images == 0 or window_s < SHORTEST_WINDOW_S:
        return None
    mean_power_w = joules / window_s
    return ImageEnergy(joules / images, 2 * STEP_S * mean_power_w / images)
