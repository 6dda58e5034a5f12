"""What torch's CPU allocator gives out during an inference, by its own records."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch

from profiling.methods.base import Method


class Given(NamedTuple):
    """The most that was given out at once during a submodule, above what there was before it all.

    What operators allocate inside themselves is in it.
    """

    submodule: str
    peak_bytes: int
    kept_bytes: int
    """Given out when the submodule began."""
    operator: str
    """The innermost operator that ran when the peak was reached, other than plain allocation."""


def given_out(method: Method, image: torch.Tensor) -> list[Given]:
    """Runs one inference under torch's profiler, which records every allocation.

    Args:
        method: on the CPU.
        image: its input.
    """

    @contextmanager
    def annotate(name: str) -> Iterator[None]:
        with torch.profiler.record_function(f"submodule {name}"):
            yield

    activities = [torch.profiler.ProfilerActivity.CPU]
    with (
        torch.no_grad(),
        torch.profiler.profile(activities=activities, profile_memory=True) as profile,
    ):
        method.infer(image, annotate)
    results = profile.profiler.kineto_results  # type: ignore[union-attr]
    events = list(results.events())
    changes = sorted(
        (event.start_ns(), event.nbytes()) for event in events if event.name() == "[memory]"
    )
    spans = [
        (event.start_ns(), event.end_ns(), event.name())
        for event in events
        if event.name() != "[memory]"
    ]
    return [
        _of_submodule(name, start, end, changes, spans)
        for start, end, name in sorted(spans)
        if name.startswith("submodule ") and name.removeprefix("submodule ") in method.submodules
    ]


def _of_submodule(
    name: str,
    start_ns: int,
    end_ns: int,
    changes: list[tuple[int, int]],
    spans: list[tuple[int, int, str]],
) -> Given:
    kept = sum(size for at, size in changes if at < start_ns)
    now = peak = kept
    peak_at = start_ns
    for at, size in changes:
        if start_ns <= at <= end_ns:
            now += size
            if now > peak:
                peak, peak_at = now, at
    around = [
        span
        for span in spans
        if span[0] <= peak_at <= span[1] and not span[2].startswith("aten::empty")
    ]
    innermost = min(around, key=lambda span: span[1] - span[0])[2]
    return Given(name.removeprefix("submodule "), peak, kept, innermost)
