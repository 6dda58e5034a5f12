"""How fast is memory counted, and what does an allocator take beside what is counted?

First the sweep of all methods in both implementations over 20 resolutions, as the job of a study
does it: one process that imports torch, and a fork of it for each count, as many at once as there
are cores. Before it, the commit at which each count was a process of its own makes the same ones,
as many at once; records are compared. Memory is that of all processes together: what they share
through a fork counts once, and so does each page of a file that several have mapped.

Then, at a small resolution, the counted peak of live tensors, that of a real inference traced at
the dispatcher, and what torch's CPU allocator gave out, which includes what operators take inside
themselves.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from subprocess import DEVNULL, Popen, run
from typing import Any, NamedTuple

import torch

from adscale.methods.registry import check_settings, get_spec
from adscale.plan import PlannedCount
from adscale.plan_file import VARIABLE, count_list
from adscale.resolution import square
from adscale.variant import Variant
from profiling.images import ImageSet
from profiling.memory.counting import count_memory
from profiling.memory.tracing import Trace
from profiling.methods.loading import load_method_class
from tests.allocator import given_out
from tests.bench.held_memory import Watch, watched

CHECKOUT = Path(__file__).parents[2]
METHODS: Mapping[str, tuple[str, Mapping[str, Any], int]] = {
    "EfficientAD-S": ("efficientad", {"size": "S"}, 256),
    "EfficientAD-M": ("efficientad", {"size": "M"}, 256),
    "PatchCore-10": ("patchcore", {}, 256),
    "DDAD-10": ("ddad", {"start_step": 50}, 256),
}
"""By label: target, settings, and the side in px at which it is run."""
IMPLEMENTATIONS = ("reference", "optimized")
SIDES_PX = [*range(256, 3008, 160), 2976, 3008]
"""Multiples of 32, which all methods run at."""
MOST_RATIO, MOST_BYTES = 0.25, 1.2 * 2**30
RIVAL = "3567843"
"""The last commit at which torch was asked about every operator, and imported for every count."""
MIB = 2**20


def main(rounds: int) -> None:
    """Prints both tables; nothing here is repeated."""
    del rounds
    _print_sweep()
    for label, (target, settings, side_px) in METHODS.items():
        for implementation in IMPLEMENTATIONS:
            _print_peaks(label, target, settings, side_px, implementation)


class Sweep(NamedTuple):
    """What all counts took."""

    cpu_s: float
    wall_s: float
    held_bytes: int
    """The most that its processes held together."""
    records: Mapping[str, str]
    """By label/variant."""


def _print_sweep() -> None:
    cores = len(os.sched_getaffinity(0))
    print(
        f"sweep of {len(METHODS)} methods in {len(IMPLEMENTATIONS)} implementations at "
        f"{len(SIDES_PX)} resolutions from {SIDES_PX[0]} to {SIDES_PX[-1]} px, {cores} at a time"
    )
    with _rival() as rival, tempfile.TemporaryDirectory() as folder:
        before = None if rival is None else _sweep_of_rival(rival, cores)
        now = _sweep(Path(folder), cores)
    print(f"  {_took(now)}")
    print(f"  at most {MOST_BYTES / 2**30:.1f} GiB wanted: {_yes(now.held_bytes <= MOST_BYTES)}")
    if before is None:
        return
    print(f"  commit {RIVAL}: {_took(before)}")
    same = sum(before.records[name] == record for name, record in now.records.items())
    ratio = now.cpu_s / before.cpu_s
    print(
        f"  same records: {same} of {len(before.records)}; ratio of CPU times {ratio:.3f} "
        f"(wanted: at most {MOST_RATIO}: {_yes(ratio <= MOST_RATIO)})"
    )


def _took(sweep: Sweep) -> str:
    return (
        f"{sweep.cpu_s:.1f} s of CPU, {sweep.wall_s:.1f} s, at most "
        f"{sweep.held_bytes / MIB:.0f} MiB together"
    )


def _yes(holds: bool) -> str:
    return "yes" if holds else "NO"


@contextmanager
def _rival() -> Iterator[Path | None]:
    """A checkout of the rival; None where its commit is not there."""
    with tempfile.TemporaryDirectory() as folder:
        found = run(["git", "archive", RIVAL], cwd=CHECKOUT, capture_output=True, check=False)
        if found.returncode:
            print(f"commit {RIVAL} is not in this clone: without it")
            yield None
            return
        run(["tar", "x", "-C", folder], input=found.stdout, check=True)
        yield Path(folder)


def _counts() -> list[PlannedCount]:
    return [
        PlannedCount(
            method=label,
            target=target,
            settings_json=json.dumps({key: settings[key] for key in settings if key == "size"}),
            variant=Variant(implementation, "fp32"),
            resolutions=tuple(map(square, SIDES_PX)),
            code_digest="",
        )
        for label, (target, settings, _) in reversed(METHODS.items())
        for implementation in IMPLEMENTATIONS
    ]


def _sweep(folder: Path, cores: int) -> Sweep:
    """By the command of the rule ``count_memory``."""
    listed = count_list(_counts(), {VARIABLE: str(folder / "plans" / "plan.json")})
    with watched() as watch:
        took = _run(watch, CHECKOUT, ["counts", listed, "-j", str(cores)], folder)
    records = folder / "results"
    texts = {one.path: (records / one.path / "memory.json").read_text() for one in _counts()}
    return Sweep(took["cpu_s"], took["wall_s"], watch.most_bytes, texts)


def _sweep_of_rival(rival: Path, cores: int) -> Sweep:
    """A process for each count."""
    texts: dict[str, str] = {}

    def count(one: PlannedCount) -> float:
        with tempfile.TemporaryDirectory() as folder:
            record = Path(folder) / "memory.json"
            arguments = ["memory", *one.arguments, "-o", str(record)]
            took = _run(watch, rival, arguments, Path(folder))
            # what has changed is how a size is named: a side in px, then
            named = re.sub(r'"resolution_px": (\d+)', r'"resolution": "\1"', record.read_text())
            texts[one.path] = named
        return took["cpu_s"]

    start_s = time.perf_counter()
    with watched() as watch, ThreadPoolExecutor(cores) as pool:
        cpu_s = sum(pool.map(count, _counts()))
    return Sweep(cpu_s, time.perf_counter() - start_s, watch.most_bytes, texts)


def _run(watch: Watch, checkout: Path, arguments: list[str], folder: Path) -> dict[str, float]:
    """What a command took, with all that it started."""
    report = folder / "took.json"
    launcher = [sys.executable, "-S", "-E", str(CHECKOUT / "tests" / "bench" / "launcher.py")]
    command = [*launcher, str(report), sys.executable, "-m", "profiling", *arguments]
    # nothing is computed
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(checkout)}
    with Popen(command, cwd=folder, env=environment, stdout=DEVNULL) as process:
        watch.roots.add(process.pid)
        if process.wait():
            raise RuntimeError(f"{arguments[0]} has failed")
    took: dict[str, float] = json.loads(report.read_text())
    return took


def _print_peaks(
    label: str, target: str, given: Mapping[str, Any], side_px: int, implementation: str
) -> None:
    spec = get_spec(target)
    settings = check_settings(spec, given)
    counted = count_memory(
        spec, settings, resolution=square(side_px), implementation=implementation
    ).submodules
    method = load_method_class(spec).build(
        settings, resolution=square(side_px), implementation=implementation, seed=0
    )
    image = method.prepare(ImageSet.photographs()[0])
    with torch.no_grad():
        trace = Trace(method, spec.submodules, "cpu")
        trace.follow(image)
    given_back = given_out(method, image)
    print(f"\n{label}, {implementation}, {side_px} px, CPU; peaks in MiB")
    print(
        f"{'submodule':<20}{'counted':>10}{'traced':>10}{'ratio':>8}{'allocator':>11}{'inside':>9}"
        "  operator at the allocator's peak"
    )
    for part, real, taken in zip(counted, trace.submodules(), given_back, strict=True):
        ratio = real.peak.bytes / part.peak.bytes if part.peak.bytes else 1.0
        inside = taken.peak_bytes - part.peak.bytes
        print(
            f"{part.submodule:<20}{part.peak.bytes / MIB:>10.2f}{real.peak.bytes / MIB:>10.2f}"
            f"{ratio:>8.4f}{taken.peak_bytes / MIB:>11.2f}{inside / MIB:>9.2f}  {taken.operator}"
        )
