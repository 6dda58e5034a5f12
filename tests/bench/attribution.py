"""How fast is `attribute`, against nsys' own reports and against merely reading the columns?

Whole processes, one after the other in rounds, so that what the machine does besides strikes all
alike. Profiles are generated into a temporary folder: with many kernels, with many ranges
(`range_profiles`), with ranges that cross, and a small one. Of those with many ranges further
questions are asked, which what was kept of the first one answers. `ADSCALE_BENCH_MIXES` names some
of `kernels,heavy,crossing,small`, `ADSCALE_BENCH_KERNELS` the sizes of the first (`1000000` for a
quick look) and `ADSCALE_BENCH_STEPS` that of the second; profiles of earlier runs are used again
from `ADSCALE_BENCH_FOLDER` if that is set.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from profiling.collectors.nsys import find_nsys
from tests.bench.big_profiles import write_big_profile
from tests.bench.range_profiles import (
    FIRST_NS,
    KERNELS_PER_STEP,
    MANY_LEAVES,
    STEPS,
    one_step,
    write_crossing,
    write_heavy,
)

CHECKOUT = Path(__file__).parents[2]
SIZES = "1000000,8000000"
MIXES = "kernels,heavy,crossing,small"
CROSSING = ((250, 5_000), (500, 10_000), (1_000, 20_000), (2_000, 20_000))
"""Requests, and launches while half of them are open."""
OURS, FALLBACK = "attribute", "attribute, sqlite3"
READ, READ_FALLBACK = "only reading", "only reading, sqlite3"
PROJECTED, SUMMED = "nsys nvtx_gpu_proj_sum", "nsys nvtx_kern_sum"
MOST_ROUNDS = 3
MIB = 2**20
SMALL_KERNELS = 2_000
MOST_CROSSING_S, MOST_SMALL_S, MOST_SECOND_S = 3.0, 0.5, 2.0


class Run(NamedTuple):
    """What one process took."""

    wall_s: float
    cpu_s: float
    peak_bytes: int


class Target(NamedTuple):
    """A ratio of times that is wanted: that of one process over that of another.

    Attributes:
        of: one process.
        to: the other.
        at_least: the smallest ratio by the clock that is wanted; None: any is.
        at_most: the largest one.
        with_cpu: whether the ratio of CPU times must not be larger either.
    """

    of: str
    to: str
    at_least: float | None = None
    at_most: float | None = None
    with_cpu: bool = False

    @property
    def wanted(self) -> str:
        """In words; empty where nothing is demanded."""
        if self.at_least is not None:
            return f"at least {self.at_least:g}"
        return "" if self.at_most is None else f"at most {self.at_most:g}"

    def holds(self, of: Run, to: Run) -> bool:
        """Whether the ratios are what is wanted."""
        ratios = [of.wall_s / to.wall_s] + [of.cpu_s / to.cpu_s] * self.with_cpu
        enough = self.at_least is None or min(ratios) >= self.at_least
        return enough and (self.at_most is None or max(ratios) <= self.at_most)


class Mix(NamedTuple):
    """A generated profile, and what is wanted of it.

    Attributes:
        file: its name.
        title: what it holds.
        write: writes it.
        targets: ratios.
        most_mib: memory of `attribute`.
        with_others: whether to run the fallback and the reports of nsys, which take minutes.
        questions: further ones, each as arguments of `attribute`.
    """

    file: str
    title: str
    write: Callable[[Path], None]
    targets: Sequence[Target]
    most_mib: int
    with_others: bool = True
    questions: Sequence[tuple[str, ...]] = ()


def main(rounds: int) -> None:
    """Prints a table per mix."""
    mixes = os.environ.get("ADSCALE_BENCH_MIXES", MIXES).split(",")
    rounds = min(rounds, MOST_ROUNDS)
    with _folder() as folder:
        for mix in [*(_of_kernels() if "kernels" in mixes else []), *_heavy(mixes)]:
            path = folder / mix.file
            if not path.is_file():
                mix.write(path)
            _compare(path, mix, rounds)
            if mix.questions:
                _show_questions(path, mix, rounds)
            if "ADSCALE_BENCH_FOLDER" not in os.environ:
                path.unlink()
        if "crossing" in mixes:
            _show_crossing(folder, rounds)
        if "small" in mixes:
            _show_small(folder, rounds)


def _of_kernels() -> Iterator[Mix]:
    for size in os.environ.get("ADSCALE_BENCH_KERNELS", SIZES).split(","):
        kernels = int(size)
        is_large = kernels >= SPEED_WANTED_FROM
        targets = (
            Target(PROJECTED, OURS, at_least=8 if is_large else None),
            Target(SUMMED, OURS, at_least=15 if is_large else None),
            Target(OURS, READ, at_most=1.3, with_cpu=True),
            Target(PROJECTED, FALLBACK),
            Target(SUMMED, FALLBACK),
            Target(FALLBACK, READ_FALLBACK, at_most=2),
        )
        title = f"{kernels:,} kernels, {kernels * 31 // 1000:,} ranges on three levels"
        write = partial(write_big_profile, kernels=kernels)
        yield Mix(f"generated-{kernels}.sqlite", title, write, targets, MOST_MIB)


SPEED_WANTED_FROM = 8_000_000
"""Kernels from which the ratios to nsys' reports are demanded: small ones are mostly imports."""
MOST_MIB = 700
HEAVY_AT_MOST, HEAVY_MOST_MIB = 3.0, 2048
MANY_NAMES = 1.2
"""Times what is wanted of the range-heavy mix, for that with many names."""


def _heavy(mixes: Sequence[str]) -> Iterator[Mix]:
    """The range-heavy mix, with few names of leaves and with many."""
    if "heavy" not in mixes:
        return
    steps = int(os.environ.get("ADSCALE_BENCH_STEPS", STEPS))
    kernels = steps * KERNELS_PER_STEP
    for leaf_names, factor in ((1, 1.0), (MANY_LEAVES, MANY_NAMES)):
        names = "few names" if leaf_names == 1 else "186,000 names of leaves"
        title = f"range-heavy: {kernels:,} kernels, 7 ranges per kernel on six levels, {names}"
        targets = (Target(OURS, READ, at_most=HEAVY_AT_MOST * factor),)
        write = partial(write_heavy, steps=steps, leaf_names=leaf_names)
        file = f"generated-heavy-{steps}-{leaf_names}.sqlite"
        most_mib = int(HEAVY_MOST_MIB * factor)
        questions = _questions(steps)
        yield Mix(file, title, write, targets, most_mib, with_others=False, questions=questions)


def _questions(steps: int) -> list[tuple[str, ...]]:
    """Another depth, order, part, and windows of half the profile and of nearly all of it."""
    length_ns = one_step()[0].length_ns
    windows = [(steps // 4, steps * 3 // 4), (1, steps - 1)]
    return [
        ("--depth", "3"),
        ("--sort", "busy", "--top", "20"),
        ("--inside", "module_7"),
        *(
            ("--window", f"{FIRST_NS + begin * length_ns}ns:{FIRST_NS + end * length_ns}ns")
            for begin, end in windows
        ),
    ]


def _show_questions(path: Path, mix: Mix, rounds: int) -> None:
    """Ask once, which is kept, and then ask again."""
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "ADSCALE_CACHE": cache}
        first = measured(_attribute(path), environment)
        kept_mib = sum(file.stat().st_size for file in Path(cache).rglob("*")) / MIB
        print(f"first question, which keeps {kept_mib:.0f} MiB: {first.wall_s:.2f} s", end="")
        print(f", {first.cpu_s:.2f} s CPU, {first.peak_bytes / MIB:.0f} MiB")
        for question in mix.questions:
            command = [*_attribute(path), *question]
            run = middle([measured(command, environment) for _ in range(rounds)])
            held = "yes" if run.wall_s <= MOST_SECOND_S else "NO"
            numbers = f"{run.wall_s:>7.2f}{run.cpu_s:>7.2f}{run.peak_bytes / MIB:>7.0f}"
            print(f"{' '.join(question):<52}{numbers}  at most {MOST_SECOND_S:g} s: {held}")


@contextmanager
def _folder() -> Iterator[Path]:
    kept = os.environ.get("ADSCALE_BENCH_FOLDER")
    if kept:
        Path(kept).mkdir(parents=True, exist_ok=True)
        yield Path(kept)
    else:
        with tempfile.TemporaryDirectory() as name:
            yield Path(name)


def _attribute(path: Path) -> list[str]:
    return [sys.executable, "-m", "analysis", "attribute", str(path), "--json"]


def commands(path: Path, *, with_others: bool) -> dict[str, list[str]]:
    """What is compared; our own gives what both reports of nsys give, and more."""
    ours = [*_attribute(path), "--kernels", "0", "--no-cache"]
    read = [sys.executable, "-m", "tests.bench.plain_read", str(path)]
    found = {OURS: ours, READ: [*read, "auto"]}
    if with_others:
        found[FALLBACK] = [*ours, "--reader", "sqlite3"]
        found[READ_FALLBACK] = [*read, "sqlite3"]
    nsys = find_nsys(None) if with_others else None
    if nsys is None:
        if with_others:
            print("no nsys here (ADSCALE_NSYS, PATH): compared with reading only")
        return found
    stats = [str(nsys), "stats", "--format", "csv", "--report"]
    return {
        **found,
        PROJECTED: [*stats, "nvtx_gpu_proj_sum", str(path)],
        SUMMED: [*stats, "nvtx_kern_sum", str(path)],
    }


def _compare(path: Path, mix: Mix, rounds: int) -> None:
    """Run everything; the slow ones (nsys, and the fallback) once."""
    runs: dict[str, list[Run]] = {}
    for number in range(rounds):
        for name, command in commands(path, with_others=mix.with_others).items():
            if number == 0 or name in {OURS, READ}:
                runs.setdefault(name, []).append(measured(command))
    print(f"\n{mix.title}")
    print(f"{'process':<26}{'wall s':>9}{'CPU s':>9}{'peak MiB':>10}{'runs':>6}")
    for name, of_one in runs.items():
        wall_s, cpu_s, peak_bytes = middle(of_one)
        print(f"{name:<26}{wall_s:>9.2f}{cpu_s:>9.2f}{peak_bytes / MIB:>10.0f}{len(of_one):>6}")
    if not _show_ratios({name: middle(of_one) for name, of_one in runs.items()}, mix):
        print("where the time goes:", flush=True)
        stages = [sys.executable, "-m", "tests.bench.attribution_stages", str(path)]
        subprocess.run(stages, cwd=CHECKOUT, check=True)


def _show_crossing(folder: Path, rounds: int) -> None:
    """Start/end ranges of which each crosses hundreds of others."""
    print("\nstart/end ranges that cross, half of them open at any launch")
    print(f"{'ranges':>8}{'launches':>10}{'wall s':>9}{'peak MiB':>10}{'µs/pair':>9}  wanted")
    for requests, launches in CROSSING:
        path = folder / f"generated-crossing-{requests}.sqlite"
        write_crossing(path, requests, launches)
        wall_s, _, peak_bytes = middle([measured(_attribute(path)) for _ in range(rounds)])
        wanted = ""
        if requests == CROSSING[-1][0]:
            held = "yes" if wall_s <= MOST_CROSSING_S else "NO"
            wanted = f"at most {MOST_CROSSING_S:g} s: {held}"
        each_us = wall_s / (requests / 2 * launches) * 1e6
        sizes = f"{requests:>8,}{launches:>10,}"
        print(f"{sizes}{wall_s:>9.2f}{peak_bytes / MIB:>10.0f}{each_us:>9.3f}  {wanted}")


def _show_small(folder: Path, rounds: int) -> None:
    """A small profile, against starting Python with numpy."""
    path = folder / "generated-small.sqlite"
    write_big_profile(path, SMALL_KERNELS)
    started = [sys.executable, "-c", "import numpy"]
    runs = [(measured(_attribute(path)), measured(started)) for _ in range(3 * rounds)]
    ours, numpy = (middle(list(of_one)) for of_one in zip(*runs, strict=True))
    more_s = ours.wall_s - numpy.wall_s
    held = "yes" if more_s <= MOST_SMALL_S else "NO"
    print(f"\n{SMALL_KERNELS:,} kernels: {ours.wall_s:.2f} s, python -c 'import numpy': ", end="")
    print(f"{numpy.wall_s:.2f} s; at most {MOST_SMALL_S:g} s more: {held}")


def middle(runs: list[Run]) -> Run:
    """Medians of the times, and the largest memory."""
    wall_s, cpu_s, peak_bytes = zip(*runs, strict=True)
    return Run(statistics.median(wall_s), statistics.median(cpu_s), max(peak_bytes))


def _show_ratios(found: dict[str, Run], mix: Mix) -> bool:
    """Print each ratio and whether it is what is wanted; True where all are."""
    verdicts = []
    print(f"{'ratio of times':<52}{'wall':>7}{'CPU':>7}  wanted")
    for target in mix.targets:
        if target.of not in found or target.to not in found:
            continue
        of, to = found[target.of], found[target.to]
        wanted = target.wanted
        if wanted:
            verdicts.append(target.holds(of, to))
            both = ", both" if target.with_cpu else ""
            wanted += f"{both}: {'yes' if verdicts[-1] else 'NO'}"
        names = f"{target.of} / {target.to}"
        ratios = f"{of.wall_s / to.wall_s:>7.2f}{of.cpu_s / to.cpu_s:>7.2f}"
        print(f"{names:<52}{ratios}  {wanted}")
    limits = [found[name].peak_bytes for name in (PROJECTED, SUMMED) if name in found]
    for name in (OURS, FALLBACK):
        if name in found:
            most = min([mix.most_mib * MIB, *limits])
            verdicts.append(found[name].peak_bytes < most)
            held = "yes" if verdicts[-1] else "NO"
            print(f"{f'peak memory of {name}':<52}{'':>14}  below {most / MIB:.0f} MiB: {held}")
    return all(verdicts)


def measured(command: list[str], environment: Mapping[str, str] | None = None) -> Run:
    """Run a process to its end; memory is that of its largest part."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "took.json"
        launcher = [sys.executable, "-S", "-E", str(CHECKOUT / "tests" / "bench" / "launcher.py")]
        done = subprocess.run(
            [*launcher, str(report), *command],
            cwd=CHECKOUT,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} failed: {done.stderr}")
        return Run(**json.loads(report.read_text()))
