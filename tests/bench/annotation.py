"""What do the ranges cost? Images with them over images without, and the time of a range by itself.

In each process images with ranges and without take turns, on the device that this machine has, at
the smallest resolution of each method, where a range weighs most. A ratio near 1 drowns in the
noise of images; so the time of a range is measured by itself, too, by many empty ones in the same
processes, and the ranges of an image times that are set against the image's time. On a CPU with
other load, `ADSCALE_BENCH_CLOCK=cpu` measures images on one thread, by its CPU time;
`ADSCALE_BENCH_SECONDS` shortens it.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from adscale.devices import detect_device_type
from profiling.collectors.nsys import find_nsys, run_profiled
from tests.bench.annotated import METHODS, ONE_THREAD, RANGES_PER_BLOCK, smallest_px, threads
from tests.bench.ratios import median_interval

CHECKOUT = Path(__file__).parents[2]
SECONDS = float(os.environ.get("ADSCALE_BENCH_SECONDS", "3"))
"""For the images of a method with a receiver, in each process."""
FEWEST_PROCESSES = 5
MOST_RATIO = 1.01
MOST_NS = 2000.0
CASES = {
    "nvtx, under nsys": ("nsys", "nvtx"),
    "nvtx, without nsys": ("alone", "nvtx"),
    "embedded collector": ("alone", "recorder"),
}
"""By what is printed: how the process runs, and what receives the ranges."""

Finding = Literal["yes", "NO", "open"]


class RangeCost(NamedTuple):
    """Time of an empty range in ns: median of the blocks, mean of all, and mean on the CPU."""

    median_ns: float
    mean_ns: float
    cpu_ns: float

    @property
    def within(self) -> bool:
        """Whether it is at most 2 µs."""
        return max(self.median_ns, self.mean_ns) <= MOST_NS


class ImageCost(NamedTuple):
    """What the ranges of an image cost of its time.

    Attributes:
        ranges: of an image.
        image_ms: median without ranges.
        ratio: of an image with ranges to one without, median; low and high: its 95 % interval.
        turns: of four images.
        share: ranges of an image times the mean time of an empty one, over `image_ms`.
    """

    ranges: int
    image_ms: float
    ratio: float
    low: float
    high: float
    turns: int
    share: float

    @property
    def within(self) -> Finding:
        """Whether the ratio is at most 1.01; open where the interval does not tell."""
        if self.high <= MOST_RATIO:
            return "yes"
        return "NO" if self.low > MOST_RATIO else "open"


Processes = Sequence[dict[str, Any]]
"""What `tests.bench.annotated` wrote, in each process of a kind."""


def main(rounds: int) -> None:
    """Prints both tables; a round is a process of each kind."""
    device_type = detect_device_type()
    print_tables(collect(max(rounds, FEWEST_PROCESSES), device_type, SECONDS), device_type)


def collect(rounds: int, device_type: str, seconds: float) -> dict[str, Processes]:
    """Runs the processes, by kind: under nsys, where there is one, and alone.

    Args:
        rounds: processes of each kind.
        device_type: cpu or cuda.
        seconds: for the images of a method with a receiver, in each process.

    Raises:
        CalledProcessError: a process failed.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for number in range(rounds):
        for kind, times in one_round(number, device_type, seconds).items():
            found.setdefault(kind, []).append(times)
    return dict(found)


def one_round(number: int, device_type: str, seconds: float) -> dict[str, dict[str, Any]]:
    """A process of each kind; which one is first alternates. Arguments as of `collect`."""
    nsys = find_nsys(None)
    kinds = ["alone"] if nsys is None else ["nsys", "alone"][:: (-1) ** number]
    return {
        kind: _process(nsys if kind == "nsys" else None, device_type, seconds) for kind in kinds
    }


def _process(nsys: Path | None, device_type: str, seconds: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        out = Path(name) / "times.json"
        command = [sys.executable, "-m", "tests.bench.annotated", device_type, str(seconds)]
        command += [str(out), "nvtx", *([] if nsys else ["recorder"])]
        environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
        with (Path(name) / "log").open("w+b") as log:
            if nsys is None:
                code = subprocess.run(command, env=environment, stdout=log, stderr=log).returncode
            else:
                code = run_profiled(
                    nsys, Path(name) / "profile.nsys-rep", command,
                    trace_cuda=device_type == "cuda", environment=environment, log=log,
                )  # fmt: skip
            log.seek(0)
            said = log.read().decode(errors="replace")
        if code != 0:
            raise subprocess.CalledProcessError(code, command, stderr=said)
        times: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
        return times


def range_cost(processes: Processes, receiver: str) -> RangeCost:
    """Of an empty range; `none` for one that opens nothing."""
    blocks = [block for process in processes for block in process["empty"][receiver]]
    wall_ns = [wall for wall, _ in blocks]
    return RangeCost(
        statistics.median(wall_ns),
        statistics.fmean(wall_ns),
        statistics.fmean(cpu for _, cpu in blocks),
    )


def image_cost(processes: Processes, label: str, receiver: str) -> ImageCost:
    """Of the ranges of a method's images.

    Raises:
        ValueError: there are fewer than five processes.
    """
    found = [process["images"][label][receiver] for process in processes]
    ratios = [np.array(one["ratios"]) for one in found]
    image_ms = statistics.median(time for one in found for time in one["bare_ms"])
    ranges = found[0]["ranges"]
    range_ms = range_cost(processes, receiver).mean_ns / 1e6
    ratio, low, high = median_interval(ratios)
    turns = sum(map(len, ratios))
    return ImageCost(ranges, image_ms, ratio, low, high, turns, ranges * range_ms / image_ms)


def print_tables(found: dict[str, Processes], device_type: str) -> None:
    """Prints the cost of a range, then that of the ranges of an image."""
    processes = len(next(iter(found.values())))
    print(
        f"{device_type}, threads: {threads()}, {processes} processes of each kind, "
        f"load {os.getloadavg()[0]:.1f}; clock of images: {'CPU time' if ONE_THREAD else 'wall'}"
    )
    blocks = len(found["alone"][0]["empty"]["none"])
    print(
        f"\nempty range, ns; {processes} × {blocks} blocks of {RANGES_PER_BLOCK} ranges\n"
        f"{'ranges go to':<22}{'median':>9}{'mean':>9}{'mean, CPU':>11}"
        f"  median and mean ≤ {MOST_NS:.0f}"
    )
    nothing = range_cost(found["alone"], "none")
    print(f"{'nobody':<22}{nothing.median_ns:>9.0f}{nothing.mean_ns:>9.0f}{nothing.cpu_ns:>11.0f}")
    for title, (kind, receiver) in CASES.items():
        if kind not in found:
            print(f"{title:<22}  not measured: no nsys here (ADSCALE_NSYS, PATH)")
            continue
        cost = range_cost(found[kind], receiver)
        print(
            f"{title:<22}{cost.median_ns:>9.0f}{cost.mean_ns:>9.0f}{cost.cpu_ns:>11.0f}"
            f"  {'yes' if cost.within else 'NO'}"
        )
    print(
        "\nimage with ranges / without, median and 95 % interval (bootstrap of processes and "
        "turns);\nshare: ranges of an image × mean of an empty one, of the image's time\n"
        f"{'method':<15}{'px':>5}  {'ranges go to':<20}{'ranges':>7}{'image ms':>10}{'turns':>7}"
        f"{'ratio':>9}{'interval':>20}  {'≤ ' + str(MOST_RATIO):<7}{'share':>9}"
    )
    for label, (target, _) in METHODS.items():
        for title, (kind, receiver) in CASES.items():
            if kind in found:
                print_image(
                    label, smallest_px(target), title, image_cost(found[kind], label, receiver)
                )


def print_image(label: str, side_px: int, title: str, cost: ImageCost) -> None:
    """A row of the second table."""
    interval = f"{cost.low:.4f} to {cost.high:.4f}"
    print(
        f"{label:<15}{side_px:>5}  {title:<20}{cost.ranges:>7}{cost.image_ms:>10.1f}"
        f"{cost.turns:>7}{cost.ratio:>9.4f}{interval:>20}  {cost.within:<7}{cost.share:>9.4%}"
    )
