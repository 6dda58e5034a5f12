"""The expected cost of measuring: bounds for a scheduler, and the time left. No torch.

The bounds are to ask a cluster for, and none is a measurement: the work and the memory are
counted (``memory.json``) or, before that was done, bounded by what the methods here count to; the
rates at which devices work are assumed to be low ones. A job that ends early costs nothing.

What is left of a study is expected to take what the nearest finished measurement took, scaled by
the work of an image. Work is counted where the study has done so, and else that of the bound.
docs/running.md has the rule in full.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from statistics import mean, median
from typing import Any, NamedTuple

from adscale.devices import RunWildcards
from adscale.plan import PlannedRun
from adscale.request import RunRequest, Sampling
from adscale.resolution import Resolution

GPU_FLOP_PER_S = 4e12
"""Assumed rate in fp32, below what cards for inference reach in convolutions."""

CPU_FLOP_PER_S = 1e10
"""Assumed rate of one thread."""

IMAGE_S = 0.1
"""Seconds of every image besides its computing, also of each in a batch: loading, launches, copies,
the collector."""

START_S = 300
"""Starting Python and torch from a shared file system, building the method, closing the profile."""

SAFETY = 2
"""By which everything that is timed is multiplied."""

FLOP_PER_PIXEL, FLOP_PER_PIXEL_2 = 24e6, 11.0
"""No method of ours counts to more FLOP per image than the first times its pixels and the second
times their square: convolutions (most of them in DDAD), and a search through a memory bank."""

BYTES_PER_PIXEL, BYTES_PER_PIXEL_2 = 3_000, 0.008
"""The same of the memory that a device needs: activations, and a matrix of attention."""

LIBRARIES_BYTES = 8 * 2**30
"""Main memory for Python, torch, the libraries of CUDA and nsys, whatever is measured."""

UNCOUNTED_BYTES = 4 * 2**30
"""Main memory for parameters, memory banks and their copies while nothing is counted yet."""

HEADROOM = 1.5
"""By which counted memory is multiplied: allocators take more than the tensors need."""

ATTRIBUTION_MB_PER_IMAGE = 4
"""Kernels, launches and ranges of one profiled image in main memory, some ten thousand of each."""

ATTRIBUTED_IMAGES_PER_MIN = 50

BASE_MINUTES, BASE_MB = 10, 4_000
"""The cost of any program of ours that measures nothing."""


class Cost(NamedTuple):
    """The request to a cluster."""

    minutes: int
    memory_mb: int
    """Main memory, in 10⁶ bytes as SLURM's ``--mem`` nearly has it."""


class Count(NamedTuple):
    """The count of one inference, of all images of a batch, as in ``memory.json``."""

    flops: float
    needed_bytes: float
    """On the device."""
    host_bytes: float
    """In main memory beside a CUDA device."""


class Costs:
    """Expected costs of a study's jobs.

    Args:
        runs: of the study, by their path.
        results: folder of the study's results, in which counts are looked for.
    """

    def __init__(self, runs: Mapping[str, PlannedRun], results: Path) -> None:
        self._runs = runs
        self._results = results

    def measuring(self) -> dict[str, Callable[[RunWildcards], int]]:
        """Resources of a job that measures, as functions of its wildcards."""
        threads = {"cpus_per_task": lambda job: self._runs[job.run].request.threads}
        return {**self._resources(self.of_run), **threads}

    def reading(self) -> dict[str, Callable[[RunWildcards], int]]:
        """Resources of a job that exports or attributes the profile of a run."""
        return self._resources(self.of_profile)

    def _resources(
        self, cost: Callable[[PlannedRun], Cost]
    ) -> dict[str, Callable[[RunWildcards], int]]:
        return {
            "runtime": lambda job: cost(self._runs[job.run]).minutes,
            "mem_mb": lambda job: cost(self._runs[job.run]).memory_mb,
        }

    def of_run(self, run: PlannedRun) -> Cost:
        """The cost of measuring one process of a run, under a profiler or without one."""
        request = run.request
        count = self._count(request)
        on_gpu = request.device_type == "cuda"
        used_bytes = count.host_bytes if on_gpu else count.needed_bytes
        memory_bytes = LIBRARIES_BYTES + HEADROOM * used_bytes
        image_s = request.variant.batch * IMAGE_S + count.flops / _flop_per_s(request)
        seconds = START_S + measuring_s(request.sampling, image_s)
        return Cost(math.ceil(SAFETY * seconds / 60), math.ceil(memory_bytes / 1e6))

    @staticmethod
    def of_profile(run: PlannedRun) -> Cost:
        """The cost of exporting or attributing the profile of a run."""
        sampling = run.request.sampling
        images = sampling.warmup_images + sampling.measured_images
        minutes = BASE_MINUTES + math.ceil(images / ATTRIBUTED_IMAGES_PER_MIN)
        return Cost(minutes, BASE_MB + ATTRIBUTION_MB_PER_IMAGE * images)

    def _count(self, request: RunRequest) -> Count:
        return counted(request, self._results) or _bound(request)


def measuring_s(sampling: Sampling, image_s: float) -> float:
    """How long warm-up and measured images take at most.

    A target precision only ends a measurement before that.

    Args:
        sampling: how many images, and for how long.
        image_s: how long one inference takes, of an image or a batch.
    """
    warmup_s = sampling.warmup_images * image_s
    measured_s = sampling.measured_images * image_s
    if sampling.time_budget_s is None:
        return warmup_s + measured_s
    # an image that has begun is finished, and some are measured whatever the budget says
    most_s = max(sampling.time_budget_s + image_s, sampling.min_images * image_s)
    warmup_most_s = sampling.time_budget_s / 4 + image_s
    return min(warmup_s, warmup_most_s) + min(measured_s, most_s)


def counted(request: RunRequest, results: Path) -> Count | None:
    """One inference of a run as the study has counted it; None before that.

    Args:
        request: of the run.
        results: folder of the study's results.
    """
    path = results / "counts" / request.method / str(request.variant) / "memory.json"
    return read_counts(path).get((request.target, _text(request.settings), request.resolution))


def bound(resolution: Resolution, images: int = 1) -> Count:
    """Return a bound that no method of ours exceeds at a resolution, of so many images at once."""
    pixels = resolution.pixels
    needed_bytes = BYTES_PER_PIXEL * pixels + BYTES_PER_PIXEL_2 * pixels**2
    return Count(
        flops=images * (FLOP_PER_PIXEL * pixels + FLOP_PER_PIXEL_2 * pixels**2),
        needed_bytes=UNCOUNTED_BYTES + images * needed_bytes,
        host_bytes=UNCOUNTED_BYTES,
    )


def _bound(request: RunRequest) -> Count:
    return bound(request.resolution, request.variant.batch)


@cache
def read_counts(path: Path) -> Mapping[tuple[str, str, Resolution], Count]:
    """The counts of a ``memory.json`` by target, settings (as JSON) and resolution.

    Nothing where it is absent or of another version: counting comes later in the study.
    """
    with suppress(OSError, ValueError, KeyError, TypeError):
        document = json.loads(path.read_text(encoding="utf-8"))
        method = document["target"], _text(document["settings"])
        return {
            (*method, Resolution.of(point["resolution"])): _counted(point)
            for point in document["resolutions"]
        }
    return {}


def _counted(point: Mapping[str, Any]) -> Count:
    parts = point["submodules"]
    weights_bytes = sum(part["parameters_bytes"] + part["buffers_bytes"] for part in parts)
    libraries = [library for part in parts for library in part["libraries"]]
    return Count(
        flops=sum(part["flops"] for part in parts),
        needed_bytes=point["needed_bytes"],
        host_bytes=point["image_bytes"]
        + weights_bytes  # a method is built in main memory before it is moved
        + max((part["host_peak_bytes"] for part in parts), default=0)
        + sum(library["host_bytes"] for library in libraries),
    )


def _flop_per_s(request: RunRequest) -> float:
    return GPU_FLOP_PER_S if request.device_type == "cuda" else CPU_FLOP_PER_S * request.threads


def _text(settings: Mapping[str, Any]) -> str:
    return json.dumps(settings, sort_keys=True)


Work = Callable[[RunRequest], float]
"""Work of one inference of a run: a number in proportion to the operations that it takes."""


class Finished(NamedTuple):
    """A measurement that has come to its end."""

    request: RunRequest
    status: str
    wall_s: float
    """From the start of ``python -m profiling run`` to the record, with all waiting."""
    images: int
    """Inferences of warm-up and measurement: images, or batches."""
    image_s: float | None
    """Mean over those of the measurement; None: it has none."""

    @property
    def overhead_s(self) -> float:
        """The time besides its images: starting, building, waiting, closing the profile."""
        return max(self.wall_s - self.images * (self.image_s or 0.0), 0.0)


class Left(NamedTuple):
    """The expected time for the measurements left."""

    seconds: float
    """One measurement after the other."""
    measured: int
    """Finished measurements that this rests on."""
    by_others: tuple[str, ...]
    """Methods in the rest of which nothing was measured: others stand for them."""
    unknown: Mapping[str, int]
    """Measurements that are not in it, by device: nothing was measured there."""


def work_of(requests: Iterable[RunRequest], results: Path) -> Work:
    """How much work an inference of each run is: of an image, or of a batch.

    Counts where all runs are counted, else the bound for all of them: the two do not compare.

    Args:
        requests: of the study.
        results: folder with its counts.
    """
    flops: dict[tuple[str, str, Resolution], float] = {}
    for request in requests:
        if _kind(request) not in flops:
            count = counted(request, results)
            if count is None or count.flops <= 0:
                return lambda request: _bound(request).flops
            flops[_kind(request)] = count.flops
    return lambda request: flops[_kind(request)]


def time_left(rest: Iterable[RunRequest], finished: Sequence[Finished], work: Work) -> Left:
    """Estimates the time for the rest, one measurement after the other.

    Args:
        rest: what is left to measure.
        finished: what was measured.
        work: of one image of a run.
    """
    known = _Known(finished, work)
    seconds = 0.0
    unknown: Counter[str] = Counter()
    by_others: dict[str, None] = {}
    for request in rest:
        expected_s = known.expected_s(request)
        if expected_s is None:
            unknown[request.device] += 1
            continue
        seconds += expected_s
        if not known.has_method(request):
            by_others[request.method] = None
    return Left(seconds, known.measured, tuple(by_others), unknown)


class _Known:
    """The knowledge of finished measurements about others."""

    def __init__(self, finished: Iterable[Finished], work: Work) -> None:
        self._work = work
        self._lost: dict[tuple[str, ...], list[Finished]] = {}
        self.measured = 0
        alike: dict[tuple[str, ...], list[Finished]] = {}
        for one in finished:
            if one.status != "ok":
                self._lost.setdefault(_groups(one.request)[0], []).append(one)
            if one.image_s is None:
                continue
            self.measured += 1
            for group in _groups(one.request):
                alike.setdefault(group, []).append(one)
        self._alike = {group: _Alike(members, work) for group, members in alike.items()}

    def has_method(self, request: RunRequest) -> bool:
        """Whether anything of the run's method was measured on its device."""
        return (request.device, request.method) in self._alike

    def expected_s(self, request: RunRequest) -> float | None:
        """The expected time of a measurement; None: nothing was measured on its device."""
        groups = _groups(request)
        lost = [
            one
            for one in self._lost.get(groups[0], [])
            if one.request.resolution <= request.resolution
        ]
        if lost:  # it will end as the smaller one did
            return median(one.wall_s for one in lost)
        alike = next((self._alike[group] for group in groups if group in self._alike), None)
        return None if alike is None else alike.expected_s(request, self._work(request))


class _Alike:
    """Finished measurements that have something in common, and what one more of them takes."""

    def __init__(self, finished: Sequence[Finished], work: Work) -> None:
        by_work: dict[float, list[float]] = {}
        for one in finished:
            by_work.setdefault(work(one.request), []).append(_image_s(one))
        self._works = sorted(by_work)
        self._images_s = [mean(by_work[each]) for each in self._works]
        self._overhead_s = median(one.overhead_s for one in finished)
        # less than 1 where a precision ends runs before their images or their time are over
        most_s = sum(measuring_s(one.request.own_sampling, _image_s(one)) for one in finished)
        self._kept_share = sum(one.images * _image_s(one) for one in finished) / most_s

    def expected_s(self, request: RunRequest, work: float) -> float:
        """The expected time of a measurement whose images are so much work."""
        image_s = self._image_s(work)
        return self._overhead_s + self._kept_share * measuring_s(request.own_sampling, image_s)

    def _image_s(self, work: float) -> float:
        """The time of an image, scaled from the measurements whose work is nearest by ratio."""
        above = min(bisect_left(self._works, work), len(self._works) - 1)
        below = max(above - 1, 0)
        is_above = self._works[above] / work < work / self._works[below]
        nearest = above if is_above else below
        return self._images_s[nearest] * work / self._works[nearest]


def _groups(request: RunRequest) -> list[tuple[str, ...]]:
    """Yield what a measurement has in common with others, from much to little."""
    device, method = request.device, request.method
    run = (device, method, str(request.variant))
    by_pass = "latency" if request.collector == "none" else "profiled"
    return [(*run, by_pass), run, (device, method), (device,)]


def _image_s(finished: Finished) -> float:
    assert finished.image_s is not None, "measurements without images are kept apart"
    return finished.image_s


def _kind(request: RunRequest) -> tuple[str, str, Resolution]:
    return request.method, str(request.variant), request.resolution
