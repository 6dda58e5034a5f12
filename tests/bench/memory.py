"""How fast is memory counted, and what does an allocator take beside what is counted?

First the sweep of all methods in both implementations over 20 resolutions, as the study's jobs do
it: a process per method and variant, as many at once as there are cores. The same command of an
earlier commit runs right before each of them, and both records are compared. Then, at a small
resolution, the counted peak of live tensors, that of a real inference traced at the dispatcher, and
what torch's CPU allocator gave out, which includes what operators take inside themselves.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from subprocess import DEVNULL, run
from typing import Any

import torch

from adscale.methods.registry import check_settings, get_spec
from adscale.resolution import square
from profiling.images import ImageSet
from profiling.memory.counting import count_memory
from profiling.memory.tracing import Trace
from profiling.methods.loading import load_method_class
from tests.allocator import given_out

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
MOST_S, MOST_BYTES = 60, 2 * 2**30
RIVAL = "3567843"
"""The last commit at which torch was asked about every operator."""
MIB = 2**20


def main(rounds: int) -> None:
    """Prints both tables; nothing here is repeated."""
    del rounds
    _print_sweep()
    for label, (target, settings, side_px) in METHODS.items():
        for implementation in IMPLEMENTATIONS:
            _print_peaks(label, target, settings, side_px, implementation)


def _print_sweep() -> None:
    cores = len(os.sched_getaffinity(0))
    jobs = [(label, name) for label in reversed(METHODS) for name in IMPLEMENTATIONS]
    start_s = time.perf_counter()
    with _rival() as rival, ThreadPoolExecutor(cores) as pool:
        took = list(pool.map(lambda job: _pair(*job, rival), jobs))
    paired_s = time.perf_counter() - start_s
    wall_s = paired_s - sum(one.get("rival_wall_s", 0) for one in took) / cores
    together = sum(sorted(one["peak_bytes"] for one in took)[-cores:])
    print(
        f"sweep of {len(METHODS)} methods in {len(IMPLEMENTATIONS)} implementations at "
        f"{len(SIDES_PX)} resolutions from {SIDES_PX[0]} to {SIDES_PX[-1]} px, {cores} cores"
    )
    for (label, name), one in zip(jobs, took, strict=True):
        print(
            f"  {label:<14}{name:<11}{one['wall_s']:>7.1f} s{one['cpu_s']:>8.1f} s of CPU"
            f"{one['peak_bytes'] / MIB:>8.0f} MiB{_beside(one)}"
        )
    if all("rival_cpu_s" in one for one in took):
        ours_s, rival_s = (sum(one[key] for one in took) for key in ("cpu_s", "rival_cpu_s"))
        print(
            f"CPU time {ours_s:.1f} s, of commit {RIVAL} {rival_s:.1f} s: "
            f"ratio {ours_s / rival_s:.2f}"
        )
    print(
        f"together {wall_s:.1f} s (wanted: under {MOST_S} s: {_yes(wall_s < MOST_S)}), at most "
        f"{together / MIB:.0f} MiB (wanted: under {MOST_BYTES / MIB:.0f}: "
        f"{_yes(together < MOST_BYTES)})"
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


def _pair(label: str, implementation: str, rival: Path | None) -> dict[str, Any]:
    if rival is None:
        return _count(label, implementation, CHECKOUT)
    before = _count(label, implementation, rival)
    now = _count(label, implementation, CHECKOUT)
    return {
        **now,
        "rival_cpu_s": before["cpu_s"],
        "rival_wall_s": before["wall_s"],
        "rival_peak_bytes": before["peak_bytes"],
        "is_same": now["record"] == before["record"],
    }


def _beside(one: Mapping[str, Any]) -> str:
    if "rival_cpu_s" not in one:
        return ""
    return (
        f"  before: {one['rival_cpu_s']:.1f} s of CPU, {one['rival_peak_bytes'] / MIB:.0f} MiB; "
        f"same record: {_yes(one['is_same'])}"
    )


def _count(label: str, implementation: str, checkout: Path) -> dict[str, Any]:
    target, settings, _ = METHODS[label]
    settings = {key: value for key, value in settings.items() if key == "size"}
    command = [
        *(sys.executable, "-m", "profiling", "memory", "--method", target, "--label", label),
        *("--settings", json.dumps(settings), "--variant", f"{implementation}-fp32"),
        *("--resolution", *map(str, SIDES_PX)),
        "-o",
    ]
    with tempfile.TemporaryDirectory() as folder:
        report, record = Path(folder) / "took.json", Path(folder) / "memory.json"
        launcher = [sys.executable, "-S", "-E", str(CHECKOUT / "tests" / "bench" / "launcher.py")]
        one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}  # nothing is computed
        run(
            [*launcher, str(report), *command, str(record)], cwd=checkout, env=one_thread,
            stdout=DEVNULL, check=True,
        )  # fmt: skip
        return {**json.loads(report.read_text()), "record": record.read_text()}


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
