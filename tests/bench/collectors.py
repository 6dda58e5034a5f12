"""Do the two collectors measure the same? Host times under nsys over those of the embedded one.

Two runs, one under nsys and one with the embedded collector, take turns, an image each, so that
what the machine does besides strikes both alike. An image's times over those of its neighbour in
the other run give one ratio per submodule. Pairs of processes are repeated, because where a process
has its memory makes a difference that lasts for all of it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from threading import Thread

import pandas as pd

from adscale.devices import usable_cpus
from adscale.methods.registry import check_settings, get_spec
from adscale.request import RunRequest, Sampling
from adscale.resolution import square
from analysis.nsys.reading import read_profile
from analysis.profiles.range_table import run_ranges
from analysis.profiles.record import read_run
from profiling.collectors.nsys import find_nsys
from profiling.collectors.nsys.run import profile_command
from tests.bench.ratios import median_interval

CHECKOUT = Path(__file__).parents[2]
WARMUP, IMAGES = 2, 25
LOW, HIGH = 0.95, 1.05
COLLECTORS = ("nsys", "embedded")
STEADY_HEAP = {
    "MALLOC_MMAP_THRESHOLD_": str(2**30),
    "MALLOC_TRIM_THRESHOLD_": str(2**33),
    "MALLOC_TOP_PAD_": str(2**28),
}
"""glibc otherwise adapts to the history of a process whether a block of some MiB comes fresh from
the system each time, which doubles the time of a short range in some processes and not in others,
whatever records them."""


def main(rounds: int) -> None:
    """Prints a table of ratios, and whether each interval lies within 0.95 to 1.05."""
    nsys = find_nsys(None)
    if nsys is None:
        print("no nsys here (ADSCALE_NSYS, PATH): nothing to compare")
        return
    pairs = [_pair(nsys, number) for number in range(rounds)]
    print(
        f"EfficientAD-S, 256 px, CPU host time, {usable_cpus()} threads, "
        f"{rounds} pairs of runs of {IMAGES} images, taking turns"
    )
    print(
        "median of the ratios of neighbouring images, 95 % interval (bootstrap of pairs and images)"
    )
    print(f"{'range':<14}{'ratio nsys / embedded':>24}{'interval':>20}  within {LOW} to {HIGH}")
    for name in pairs[0]:
        middle, low, high = median_interval([pair[name].to_numpy() for pair in pairs])
        verdict = "yes" if low >= LOW and high <= HIGH else "NO"
        print(f"{name:<14}{middle:>24.4f}{f'{low:.4f} to {high:.4f}':>20}  {verdict}")


def _pair(nsys: Path, number: int) -> pd.DataFrame:
    """Ratios of the times of each range, a row per image; who begins alternates."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pipes = {collector: folder / f"turn-{collector}" for collector in COLLECTORS}
        for pipe in pipes.values():
            os.mkfifo(pipe)
        first = os.open(pipes[COLLECTORS[number % 2]], os.O_RDWR)
        os.write(first, b"x")
        threads = [Thread(target=_run, args=(nsys, c, folder, pipes)) for c in COLLECTORS]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        os.close(first)
        times = {collector: times_ms(folder / collector) for collector in COLLECTORS}
    return times["nsys"] / times["embedded"]


def _run(nsys: Path, collector: str, folder: Path, pipes: dict[str, Path]) -> None:
    out = folder / collector
    out.mkdir()
    other = next(name for name in COLLECTORS if name != collector)
    command = [sys.executable, "-m", "tests.bench.turns", collector, _request(collector).as_json()]
    command += [str(path) for path in (out, pipes[collector], pipes[other])]
    environment = {**os.environ, **STEADY_HEAP, "PYTHONPATH": str(CHECKOUT)}

    def call(*words: str, **more: str) -> None:
        quiet = subprocess.DEVNULL
        subprocess.run(words, env={**environment, **more}, check=True, stdout=quiet, stderr=quiet)

    if collector == "embedded":
        call(*command)
        return
    report = out / "profile.nsys-rep"
    recorded = profile_command(nsys, report, trace_cuda=False, command=command)
    call(*recorded, TMPDIR=str(folder))
    export = [sys.executable, "-m", "profiling", "export", str(report)]
    call(*export, "-o", str(out / "profile.sqlite"))


def _request(collector: str) -> RunRequest:
    spec = get_spec("efficientad")
    return RunRequest(
        device="bench",
        device_type="cpu",
        method="EfficientAD-S",
        target=spec.target,
        settings=check_settings(spec, {"size": "S"}),
        variant="reference-fp32",
        resolution=square(256),
        seed=0,
        threads=usable_cpus(),
        images=None,
        sampling=Sampling(WARMUP, IMAGES, IMAGES, None),
        collector="nsys" if collector == "nsys" else "embedded",
    )


def times_ms(folder: Path) -> pd.DataFrame:
    """Host times in ms: a row per measured image, a column per range."""
    ranges = run_ranges(
        read_run(folder / "run.json"), read_profile(folder / "profile.sqlite")
    ).table
    inside = ranges[(ranges["phase"] == "measure") & ranges["path"].str.startswith("image")]
    return inside.pivot_table(index="image_index", columns="name", values="host_ms", sort=False)
