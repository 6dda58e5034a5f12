"""What watching the machine costs: a sample, and a measurement that competes with it for Python.

The second is the worst case: a loop of Python alone, which holds the interpreter's lock all the
time. Methods give it up in every operator of torch.
"""

from __future__ import annotations

import os
import statistics
import time
from contextlib import ExitStack, nullcontext

import torch

from profiling.machine.cpu import CpuSource, OwnTime
from profiling.machine.gpu import GpuSource, own_processes
from profiling.machine.nvml import GpuError, open_gpu
from profiling.machine.watch import MachineWatch, Source

SAMPLES = 200
LOOP_S = 0.5


def main(rounds: int) -> None:
    """Prints both as tables."""
    print("| source | one sample, median µs | 95 % of them below, µs |\n|---|---|---|")
    cpus = os.sched_getaffinity(0)
    _print_cost(f"{len(cpus)} CPUs", CpuSource(OwnTime(), cpus))
    with ExitStack() as stack:
        if torch.cuda.is_available():
            from profiling.fingerprint import gpu_uuid

            try:
                gpu = stack.enter_context(open_gpu(gpu_uuid()))
                _print_cost(torch.cuda.get_device_name(), GpuSource(gpu, own_processes))
            except GpuError as error:
                print(f"GPU: {error}")
    print("\n| loop of Python alone | median µs per pass |\n|---|---|")
    times_us: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(rounds):
        for watched in (False, True):  # in turns: both see the same drift of the machine
            times_us[watched].append(_pass_us(watched))
    plain, beside = (statistics.median(times_us[watched]) for watched in (False, True))
    print(
        f"| alone | {plain:.3f} |\n| beside the watch | {beside:.3f} ({beside / plain - 1:+.2%}) |"
    )


def _print_cost(name: str, source: Source) -> None:
    times_us = []
    for _ in range(SAMPLES):
        begin_ns = time.perf_counter_ns()
        source.sample()
        times_us.append((time.perf_counter_ns() - begin_ns) / 1e3)
        time.sleep(0.01)
    high = statistics.quantiles(times_us, n=20)[-1]
    print(f"| {name} | {statistics.median(times_us):.0f} | {high:.0f} |")


def _pass_us(watched: bool) -> float:
    """Mean over half a second, so that all that a sample takes is in it."""
    with MachineWatch("cpu") if watched else nullcontext():
        passes, begin_s = 0, time.process_time()
        cpu_s = 0.0
        while cpu_s < LOOP_S:
            sum(range(1000))
            passes += 1
            cpu_s = time.process_time() - begin_s
    return cpu_s / passes * 1e6
