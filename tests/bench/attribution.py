"""How fast is `attribute`, against nsys' own reports and against merely reading the columns?

Whole processes, one after the other in rounds, so that what the machine does besides strikes all
alike. `ADSCALE_BENCH_KERNELS` names the sizes (`1000000` for a quick look), and profiles of
earlier runs are used again from `ADSCALE_BENCH_FOLDER` if that is set.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from profiling.collectors.nsys import find_nsys
from tests.bench.big_profiles import write_big_profile

CHECKOUT = Path(__file__).parents[2]
SIZES = "1000000,8000000"
OURS, FALLBACK = "attribute", "attribute, sqlite3"
READ, READ_FALLBACK = "only reading", "only reading, sqlite3"
PROJECTED, SUMMED = "nsys nvtx_gpu_proj_sum", "nsys nvtx_kern_sum"
MOST_ROUNDS = 3
MIB = 2**20


class Run(NamedTuple):
    """What one process took."""

    wall_s: float
    cpu_s: float
    peak_bytes: int


class Target(NamedTuple):
    """A ratio of times that is wanted: that of one process over that of another."""

    of: str
    to: str
    at_least: float | None = None
    at_most: float | None = None

    def holds(self, ratio: float) -> bool:
        """Whether a ratio is what is wanted."""
        enough = self.at_least is None or ratio >= self.at_least
        return enough and (self.at_most is None or ratio <= self.at_most)


TARGETS = (
    Target(PROJECTED, OURS, at_least=8),
    Target(SUMMED, OURS, at_least=15),
    Target(OURS, READ, at_most=2),
    Target(PROJECTED, FALLBACK),
    Target(SUMMED, FALLBACK),
    Target(FALLBACK, READ_FALLBACK, at_most=2),
)
MOST_BYTES = 1024 * MIB
SPEED_WANTED_FROM = 8_000_000
"""Kernels from which the ratios to nsys' reports are demanded: small ones are mostly imports."""


def main(rounds: int) -> None:
    """Prints a table per size."""
    sizes = [int(size) for size in os.environ.get("ADSCALE_BENCH_KERNELS", SIZES).split(",")]
    with _folder() as folder:
        for kernels in sizes:
            path = folder / f"generated-{kernels}.sqlite"
            if not path.is_file():
                write_big_profile(path, kernels)
            _compare(path, kernels, min(rounds, MOST_ROUNDS))


@contextmanager
def _folder() -> Iterator[Path]:
    kept = os.environ.get("ADSCALE_BENCH_FOLDER")
    if kept:
        Path(kept).mkdir(parents=True, exist_ok=True)
        yield Path(kept)
    else:
        with tempfile.TemporaryDirectory() as name:
            yield Path(name)


def commands(path: Path) -> dict[str, list[str]]:
    """What is compared; our own gives what both reports of nsys give, and more."""
    ours = [sys.executable, "-m", "analysis", "attribute", str(path), "--json", "--kernels", "0"]
    read = [sys.executable, "-m", "tests.bench.plain_read", str(path)]
    found = {
        OURS: ours,
        READ: [*read, "auto"],
        FALLBACK: [*ours, "--reader", "sqlite3"],
        READ_FALLBACK: [*read, "sqlite3"],
    }
    nsys = find_nsys(None)
    if nsys is None:
        print("no nsys here (ADSCALE_NSYS, PATH): compared with reading only")
        return found
    stats = [str(nsys), "stats", "--format", "csv", "--report"]
    return {
        **found,
        PROJECTED: [*stats, "nvtx_gpu_proj_sum", str(path)],
        SUMMED: [*stats, "nvtx_kern_sum", str(path)],
    }


def _compare(path: Path, kernels: int, rounds: int) -> None:
    """Run everything; the slow ones (nsys, and the fallback) once."""
    runs: dict[str, list[Run]] = {}
    for number in range(rounds):
        for name, command in commands(path).items():
            if number == 0 or name in {OURS, READ}:
                runs.setdefault(name, []).append(measured(command))
    print(f"\n{kernels:,} kernels, {kernels * 31 // 1000:,} ranges on three levels")
    print(f"{'process':<26}{'wall s':>9}{'CPU s':>9}{'peak MiB':>10}{'runs':>6}")
    for name, of_one in runs.items():
        wall_s, cpu_s, peak_bytes = middle(of_one)
        print(f"{name:<26}{wall_s:>9.2f}{cpu_s:>9.2f}{peak_bytes / MIB:>10.0f}{len(of_one):>6}")
    if not _show_ratios({name: middle(of_one) for name, of_one in runs.items()}, kernels):
        print("where the time goes:", flush=True)
        stages = [sys.executable, "-m", "tests.bench.attribution_stages", str(path)]
        subprocess.run(stages, cwd=CHECKOUT, check=True)


def middle(runs: list[Run]) -> Run:
    """Medians of the times, and the largest memory."""
    wall_s, cpu_s, peak_bytes = zip(*runs, strict=True)
    return Run(statistics.median(wall_s), statistics.median(cpu_s), max(peak_bytes))


def _show_ratios(found: dict[str, Run], kernels: int) -> bool:
    """Print each ratio and whether it is what is wanted; True where all are."""
    verdicts = []
    print(f"{'ratio of times':<52}{'wall':>7}{'CPU':>7}  wanted")
    for target in TARGETS:
        if target.of not in found or target.to not in found:
            continue
        of, to = found[target.of], found[target.to]
        ratio = of.wall_s / to.wall_s
        wanted = "" if target.at_least is None else f"at least {target.at_least:g}"
        wanted = wanted if target.at_most is None else f"at most {target.at_most:g}"
        if wanted and (target.at_least is None or kernels >= SPEED_WANTED_FROM):
            verdicts.append(target.holds(ratio))
            wanted += ": yes" if verdicts[-1] else ": NO"
        elif wanted:
            wanted += f" from {SPEED_WANTED_FROM:,} kernels on"
        names = f"{target.of} / {target.to}"
        print(f"{names:<52}{ratio:>7.2f}{of.cpu_s / to.cpu_s:>7.2f}  {wanted}")
    limits = [found[name].peak_bytes for name in (PROJECTED, SUMMED) if name in found]
    for name in (OURS, FALLBACK):
        most = min([MOST_BYTES, *limits])
        verdicts.append(found[name].peak_bytes < most)
        held = "yes" if verdicts[-1] else "NO"
        print(f"{f'peak memory of {name}':<52}{'':>14}  below {most / MIB:.0f} MiB: {held}")
    return all(verdicts)


def measured(command: list[str]) -> Run:
    """Run a process to its end; memory is that of its largest part."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "took.json"
        launcher = [sys.executable, "-S", "-E", str(CHECKOUT / "tests" / "bench" / "launcher.py")]
        done = subprocess.run(
            [*launcher, str(report), *command],
            cwd=CHECKOUT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} failed: {done.stderr}")
        return Run(**json.loads(report.read_text()))
