"""The phases of a run: warm-up images, then measured ones."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from typing import Protocol

import torch

from adscale.request import RunRequest, Sampling

from .annotation import Annotate
from .inference import CudaClock, HostClock, Inference, LatencyClock, Stopwatch
from .machine.watch import MachineWatch
from .progress import Progress
from .run_record import Outcome
from .sampling import Rule, StopRule


class Times(Protocol):
    """Opens the ranges of an image, and tells the times of its parts once it is over."""

    def __call__(self, name: str) -> AbstractContextManager[object]:
        """The range of that name."""

    def times_ms(self) -> list[float]:
        """Of the image that is over, always in the same order."""


def run_phases(
    request: RunRequest,
    inference: Inference,
    annotate: Annotate,
    machine: MachineWatch,
    progress: Progress,
    outcome: Outcome,
) -> None:
    """Runs the images of a run.

    Args:
        request: what to run.
        inference: runs an image.
        annotate: opens the ranges.
        machine: is told when images are measured.
        progress: shows how far the run has come.
        outcome: how far the run has come, for the record; kept up to date, whatever ends the run.
    """
    warming = StopRule.for_warmup(request.sampling)
    measuring = _measurement_rule(request.sampling)
    with torch.inference_mode():
        outcome.phase = "warmup"
        with annotate("warmup"):
            # timed like the measured images, so that these find that warm, too
            times = _times(request, annotate)
            _run_phase(warming, inference, annotate, times, progress, outcome)
        outcome.phase = "measure"
        times = _times(request, annotate)
        with machine.measuring(), annotate("measure"):
            _run_phase(measuring, inference, annotate, times, progress, outcome)
    if isinstance(times, LatencyClock):
        outcome.latency = times.as_dict()


def _measurement_rule(sampling: Sampling) -> Rule:
    if sampling.target_precision is None:
        return StopRule.for_measurement(sampling)
    from .adaptive import AdaptiveRule  # with SciPy, which nothing else here needs

    return AdaptiveRule(
        sampling.measured_images,
        sampling.min_images,
        sampling.time_budget_s,
        sampling.target_precision,
    )


def _times(request: RunRequest, annotate: Annotate) -> Times | None:
    """What times the images of a phase in this process; None where only the profile needs to."""
    if request.collector == "none":
        return LatencyClock()
    if request.sampling.target_precision is None:
        return None
    return Stopwatch(annotate, CudaClock() if request.device_type == "cuda" else HostClock())


def _run_phase(
    rule: Rule,
    inference: Inference,
    annotate: Annotate,
    times: Times | None,
    progress: Progress,
    outcome: Outcome,
) -> None:
    opening = annotate if times is None else times
    phase = outcome.phase
    start_s = time.monotonic()
    done, reason = 0, rule.check(0, 0.0)
    while reason is None:
        inference.run(done, opening)
        done += 1
        outcome.images[phase] = done
        if times is not None:
            rule.record(times.times_ms())
        elapsed_s = time.monotonic() - start_s
        progress.update(phase, done, rule.most_images, rule.remaining_s(done, elapsed_s))
        reason = rule.check(done, elapsed_s)
    outcome.stop_reason = reason
