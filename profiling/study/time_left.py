"""What measuring the rest of a study is expected to take, by what was measured of it. No torch.

What is left is expected to take what the nearest finished measurement took, scaled by the work of
an image. Work is counted where the study has done so, and else that of the bound in
``profiling.study.cost``. docs/running.md has the rule in full.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import mean, median
from typing import NamedTuple

from adscale.request import RunRequest

from .cost import bound, counted, measuring_s

Work = Callable[[RunRequest], float]
"""Of one image of a run: a figure in proportion to the operations that it takes."""


class Finished(NamedTuple):
    """A measurement that has come to its end."""

    request: RunRequest
    status: str
    wall_s: float
    """From the start of ``python -m profiling run`` to the record, with all waiting."""
    images: int
    """Warm-up images and measured ones."""
    image_s: float | None
    """Mean over the measured images; None: it has none."""

    @property
    def overhead_s(self) -> float:
        """What it took besides its images: starting, building, waiting, closing the profile."""
        return max(self.wall_s - self.images * (self.image_s or 0.0), 0.0)


class Left(NamedTuple):
    """What measuring the rest is expected to take."""

    seconds: float
    """One measurement after the other."""
    measured: int
    """Finished measurements that this rests on."""
    by_others: tuple[str, ...]
    """Methods in the rest of which nothing was measured: others stand for them."""
    unknown: Mapping[str, int]
    """Measurements that are not in it, by device: nothing was measured there."""


def work_of(requests: Iterable[RunRequest], results: Path) -> Work:
    """How much work an image of each run is.

    Counts where all runs are counted, else the bound for all of them: the two do not compare.

    Args:
        requests: of the study.
        results: folder with its counts.
    """
    flops: dict[tuple[str, str, int], float] = {}
    for request in requests:
        if _kind(request) not in flops:
            count = counted(request, results)
            if count is None or count.flops <= 0:
                return lambda request: bound(request.resolution_px).flops
            flops[_kind(request)] = count.flops
    return lambda request: flops[_kind(request)]


def time_left(rest: Iterable[RunRequest], finished: Sequence[Finished], work: Work) -> Left:
    """What measuring the rest is expected to take, one measurement after the other.

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
    """What finished measurements tell of others."""

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
        """What a measurement takes; None: nothing was measured on its device."""
        groups = _groups(request)
        lost = [
            one
            for one in self._lost.get(groups[0], [])
            if one.request.resolution_px <= request.resolution_px
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
        most_s = sum(measuring_s(one.request.sampling, _image_s(one)) for one in finished)
        self._kept_share = sum(one.images * _image_s(one) for one in finished) / most_s

    def expected_s(self, request: RunRequest, work: float) -> float:
        """What a measurement takes whose images are so much work."""
        image_s = self._image_s(work)
        return self._overhead_s + self._kept_share * measuring_s(request.sampling, image_s)

    def _image_s(self, work: float) -> float:
        """Of an image, scaled from the measurements whose work is nearest by ratio."""
        above = min(bisect_left(self._works, work), len(self._works) - 1)
        below = max(above - 1, 0)
        is_above = self._works[above] / work < work / self._works[below]
        nearest = above if is_above else below
        return self._images_s[nearest] * work / self._works[nearest]


def _groups(request: RunRequest) -> list[tuple[str, ...]]:
    """What a measurement has in common with others, from much to little."""
    device, method = request.device, request.method
    run = (device, method, request.variant)
    by_pass = "latency" if request.collector == "none" else "profiled"
    return [(*run, by_pass), run, (device, method), (device,)]


def _image_s(finished: Finished) -> float:
    assert finished.image_s is not None, "measurements without images are kept apart"
    return finished.image_s


def _kind(request: RunRequest) -> tuple[str, str, int]:
    return request.method, request.variant, request.resolution_px
