"""What do ranges of deeper modules cost? Images with them over images without, and as runs tell it.

A network of torchvision with ranges and its twin without take turns on one thread, by its CPU time:
with, without, without, with. Beside it: the ranges of an image times an empty one as each run
measures it.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch

from profiling.annotation import RangeRecorder
from profiling.methods.division import Division, division_range_ns

SIDE_PX = 32
TURNS_PER_ROUND = 25
DEPTHS = (1, 2, 9)


def main(rounds: int) -> None:
    """Prints a row for each depth."""
    torch.set_num_threads(1)
    print(f"resnet18, {SIDE_PX} px, embedded collector, one thread, CPU time; medians in µs")
    print(f"{'depth':>5}{'ranges':>8}{'image':>9}{'with - without':>16}{'as told':>9}{'ratio':>7}")
    for depth in DEPTHS:
        ranges, image_us, more_us, told_us = cost(depth, rounds * TURNS_PER_ROUND)
        print(
            f"{depth:>5}{ranges:>8}{image_us:>9.0f}{more_us:>16.1f}{told_us:>9.1f}"
            f"{told_us / more_us:>7.2f}"
        )


def cost(depth: int, turns: int) -> tuple[int, float, float, float]:
    """Ranges of an image; its time without them, what they add, and what runs say that they add.

    Args:
        depth: levels that have ranges.
        turns: of four images.
    """
    from torchvision.models import resnet18

    bare, divided = resnet18().eval(), resnet18().eval()
    recorder, division = RangeRecorder(), Division(divided, depth)
    image = torch.rand(1, 3, SIDE_PX, SIDE_PX)
    with torch.inference_mode():
        for _ in range(5):
            division(recorder, image)
            bare(image)
        before = len(recorder.ranges)
        division(recorder, image)
        ranges = len(recorder.ranges) - before
        pair: tuple[Callable[[], object], ...] = (
            lambda: division(recorder, image),
            lambda: bare(image),
        )
        more, without = [], []
        for turn in range(turns):
            order = (0, 1, 1, 0) if turn % 2 else (1, 0, 0, 1)
            took = [(which, _time_us(pair[which])) for which in order]
            sums = [sum(us for which, us in took if which == each) / 2 for each in (0, 1)]
            more.append(sums[0] - sums[1])
            without.append(sums[1])
    told_us = ranges * division_range_ns(recorder) / 1e3
    return ranges, statistics.median(without), statistics.median(more), told_us


def _time_us(action: Callable[[], object]) -> float:
    start_ns = time.thread_time_ns()
    action()
    return (time.thread_time_ns() - start_ns) / 1e3
