"""Does a forked process measure what one that was started measures? Images that take turns.

Of each pair, one process is forked from a parent that has imported what a fork server imports, and
the other is started; each pair has a parent of its own. They run an image each, in turns, so that
what the machine does besides strikes both alike.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from adscale.devices import usable_cpus
from adscale.files import read_record
from adscale.methods.registry import check_settings, get_spec
from adscale.request import RunRequest, Sampling
from adscale.resolution import square
from adscale.run_record import RunRecord
from tests.bench.collectors import CHECKOUT, times_ms
from tests.bench.ratios import median_interval

CASES = (("patchcore", 64), ("patchcore", 128), ("efficientad", 256), ("efficientad", 288))
WARMUP, IMAGES = 2, 12
WAYS = ("forked", "started")


def main(rounds: int) -> None:
    """Prints the ratio of the times of an image, and of what the process holds, per case."""
    print(f"CPU, {usable_cpus()} threads, {rounds} pairs of processes, {IMAGES} images in turns")
    print("median of the ratios of neighbouring images, 95 % interval (bootstrap of both)")
    print(f"{'method':<14}{'px':>5}{'forked / started':>18}{'interval':>20}{'peak memory':>14}")
    for target, side_px in CASES:
        pairs = [_pair(target, side_px, number) for number in range(rounds)]
        middle, low, high = median_interval([ratios for ratios, _ in pairs])
        peak = float(np.median([ratio for _, ratio in pairs]))
        interval = f"{low:.4f} to {high:.4f}"
        print(f"{target:<14}{side_px:>5}{middle:>18.4f}{interval:>20}{peak:>14.4f}", flush=True)


def _pair(target: str, side_px: int, number: int) -> tuple[npt.NDArray[np.float64], float]:
    """Ratios of the images' times, and that of the memory's peaks; who begins alternates."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pipes = {way: folder / f"turn-{way}" for way in WAYS}
        for pipe in pipes.values():
            os.mkfifo(pipe)
        first = os.open(pipes[WAYS[number % 2]], os.O_RDWR)
        os.write(first, b"x")
        running = [_start(way, folder, pipes, target, side_px) for way in WAYS]
        if any(process.wait() for process in running):
            raise RuntimeError(f"a process of {target} at {side_px} px failed")
        os.close(first)
        times = {way: times_ms(folder / way)["image"].to_numpy() for way in WAYS}
        peaks = {way: _peak_bytes(folder / way) for way in WAYS}
    return times["forked"] / times["started"], peaks["forked"] / peaks["started"]


def _start(
    way: str, folder: Path, pipes: dict[str, Path], target: str, side_px: int
) -> subprocess.Popen[bytes]:
    out = folder / way
    out.mkdir()
    other = next(name for name in WAYS if name != way)
    command = [sys.executable, "-m", "tests.bench.turns", "embedded"]
    command += [_request(target, side_px).as_json(), str(out), str(pipes[way]), str(pipes[other])]
    command += ["forked"] if way == "forked" else []
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    return subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)


def _request(target: str, side_px: int) -> RunRequest:
    spec = get_spec(target)
    return RunRequest(
        device="bench",
        device_type="cpu",
        method=target,
        target=target,
        settings=check_settings(spec, {"size": "S"} if target == "efficientad" else {}),
        variant="reference-fp32",
        resolution=square(side_px),
        seed=0,
        threads=usable_cpus(),
        images=None,
        sampling=Sampling(WARMUP, IMAGES, IMAGES, None),
        collector="embedded",
    )


def _peak_bytes(folder: Path) -> int:
    peak = read_record(folder / "run.json", RunRecord, "run again").memory.host.peak_bytes
    assert peak is not None
    return peak
