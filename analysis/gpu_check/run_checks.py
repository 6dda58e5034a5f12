"""Checks of the files of one run, and how these are read."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from adscale.files import read_record
from adscale.run_record import RunRecord

from ..machine import MachineState, judge, read_state
from ..measured_memory_table import measured_memory_table
from ..nsys.reading import read_profile
from ..numbers import percent
from ..profiles.range_table import RANGE_COLUMNS
from ..profiles.run_work import own_ranges
from ..statistics.steadiness import check_steadiness
from ..tables import read_parquet
from .steps import NO_GPU, Check, checked, unchecked

LEAST_COVERAGE = 0.99
LEAST_MEMORY, MOST_MEMORY = 0.999, 2.0
"""The count is a bound from below; what a run takes besides is workspaces and rounding."""
LEAST_SAMPLES = 3
MOST_PROFILED = 1.05
MIB = 2**20
REMEDY = "see the logs beside the page"


def run_checks(folder: Path, where: str, count: Path) -> list[Check]:
    """Make all checks of a run that was measured and attributed.

    Args:
        folder: with `run.json`, `profile.sqlite`, `ranges.parquet`.
        where: name of the run on the page.
        count: `memory.json` of the method; it need not be there.
    """
    return [
        ranges_check(folder, where),
        coverage_check(folder, where),
        memory_check(folder, where, count),
        clock_check(folder, where),
        verdict_check(folder, where),
        latency_check(folder, where),
    ]


def ranges_check(folder: Path, where: str) -> Check:
    """Are all NVTX ranges in the profile that the images of the run have opened?"""
    expected = expected_ranges(record(folder))
    ranges = own_ranges(read_profile(folder / "profile.sqlite").ranges)
    found = Counter(ranges.name.tolist())
    wrong = [
        f"{name} {found[name]} instead of {count}"
        for name, count in expected.items()
        if found[name] != count
    ]
    total = sum(expected.values())
    counted = sum(min(found[name], count) for name, count in expected.items())
    text = f"{counted} of {total}" + (f" ({', '.join(wrong[:3])})" if wrong else "")
    return checked("ranges recorded", where, not wrong, text, "all that were opened")


def expected_ranges(run: RunRecord) -> dict[str, int]:
    """Return how often the runner opens each range: of phases, of an image, of its submodules."""
    gpu = run.request.device_type == "cuda"
    images = run.sampling.warmup_images + run.sampling.measured_images + gpu
    outside = ["load", "prepare", "image"]
    outside += ["copy_to_device", "synchronize", "copy_to_host"] if gpu else []
    once = ["warmup", "measure", *(["memory"] if gpu else [])]
    return {**dict.fromkeys(once, 1), **dict.fromkeys([*outside, *run.submodules], images)}


def coverage_check(folder: Path, where: str) -> Check:
    """Do the kernels of the measured images belong to submodules?"""
    name, wanted = "kernel time in submodules", f"at least {percent(LEAST_COVERAGE)}"
    if not is_gpu(folder):
        return unchecked(name, where, NO_GPU, wanted)
    share = coverage_share(folder)
    if share is None:
        return checked(name, where, False, "no kernel was recorded", wanted)
    return checked(name, where, share >= LEAST_COVERAGE, f"{percent(share, 2)}", wanted)


def memory_check(folder: Path, where: str, count: Path) -> Check:
    """Does the count bound what torch's allocator gave out?"""
    name, wanted = "memory measured / counted", f"{LEAST_MEMORY} to {MOST_MEMORY}"
    if not is_gpu(folder):
        return unchecked(name, where, NO_GPU, wanted)
    if not count.is_file():
        return unchecked(name, where, "the method could not be counted", wanted)
    row = measured_memory_table([folder], [count]).iloc[-1].to_dict()
    ratio = row["measured_to_counted"]
    if not isinstance(ratio, float):
        return unchecked(name, where, "not measured, or counted for another device", wanted)
    sizes = f"{row['measured_bytes'] / MIB:.0f} / {row['counted_bytes'] / MIB:.0f} MiB"
    holds = LEAST_MEMORY <= ratio <= MOST_MEMORY
    return checked(name, where, holds, f"{ratio:.3f} ({sizes})", wanted)


def clock_check(folder: Path, where: str) -> Check:
    """Was the GPU's clock sampled while images were measured?"""
    name, wanted = "SM clock sampled", f"at least {LEAST_SAMPLES} samples"
    if not is_gpu(folder):
        return unchecked(name, where, NO_GPU, wanted)
    state = machine_state(folder)
    if state is None:
        return checked(name, where, False, "run.json tells nothing of the machine", wanted)
    clocks_mhz = state.sm_clock_mhz[~np.isnan(state.sm_clock_mhz)]
    if not len(clocks_mhz):
        machine = record(folder).machine
        why = machine.unavailable.get("sm_clock_mhz", "no sample") if machine else "no sample"
        return checked(name, where, False, f"none: {why}", wanted)
    reasons = state.slowdown_reasons[~np.isnan(state.slowdown_reasons)].astype(int)
    known = f"0x{np.bitwise_or.reduce(reasons):x}" if len(reasons) else "unknown"
    text = f"{len(clocks_mhz)}, {clocks_mhz.min():.0f} to {clocks_mhz.max():.0f} MHz, "
    return checked(name, where, len(clocks_mhz) >= LEAST_SAMPLES, f"{text}reasons {known}", wanted)


def verdict_check(folder: Path, where: str) -> Check:
    """Did something disturb the run? A drift alone is told, not a failure: runs are short here."""
    name, wanted = "machine undisturbed", "neither shared nor throttled"
    state = machine_state(folder)
    if state is None:
        return unchecked(name, where, "run.json tells nothing of the machine", wanted)
    gpu = is_gpu(folder)
    times = per_image(folder, "image", "busy_ms" if gpu else "host_ms")
    steadiness = check_steadiness(np.array(times.tolist(), np.float64))
    found = judge(state, steadiness, "cuda" if gpu else "cpu")
    holds = found.verdict not in {"shared", "throttled"}
    return checked(name, where, holds, f"{found.verdict}: {found.evidence}", wanted)


def machine_state(folder: Path) -> MachineState | None:
    """Read the samples of the measured images; None where none are recorded."""
    machine = record(folder).machine
    if machine is None or machine.measured_ms is None:
        return None
    return read_state(machine, folder / "run.json", REMEDY)


def latency_check(folder: Path, where: str) -> Check:
    """How much longer does an image take while it is recorded?"""
    name, wanted = "image recorded / unrecorded", f"at most {MOST_PROFILED}"
    if not (folder / "latency.json").is_file():
        return unchecked(name, where, "there is no latency.json", wanted)
    latency = record(folder, "latency.json").latency
    if latency is None or not latency.image_ms:
        return unchecked(name, where, "latency.json holds no times", wanted)
    recorded_ms = per_image(folder, "image", "host_ms")
    if is_gpu(folder):  # an image is over when the GPU has done its work
        recorded_ms = recorded_ms + per_image(folder, "synchronize", "host_ms")
    mean_ms, bare_ms = float(recorded_ms.mean()), float(np.mean(latency.image_ms))
    text = f"{mean_ms / bare_ms:.3f} ({mean_ms:.2f} / {bare_ms:.2f} ms)"
    return checked(name, where, mean_ms / bare_ms <= MOST_PROFILED, text, wanted)


def record(folder: Path, name: str = "run.json") -> RunRecord:
    """Read a record of a run.

    Raises:
        ResultsError: the file is missing, or is no record.
    """
    return read_record(folder / name, RunRecord, REMEDY)


def is_gpu(folder: Path) -> bool:
    """Return whether a GPU was measured."""
    return record(folder).request.device_type == "cuda"


def measured(folder: Path) -> pd.DataFrame:
    """Return the rows of `ranges.parquet` of the measured images."""
    table, _ = _ranges(folder)
    return table[table["phase"] == "measure"]


def per_image(folder: Path, path: str, column: str) -> pd.Series[float]:
    """Return a column added up over the calls of a path in each measured image, in their order."""
    table = measured(folder)
    return table[table["path"] == path].groupby("image_index")[column].sum()


def coverage_share(folder: Path) -> float | None:
    """Return the share of kernel time in submodules, as `analysis attribute` wrote it."""
    text = _ranges(folder)[1].get("kernel_time_coverage")
    return float(text) if text else None


def _ranges(folder: Path) -> tuple[pd.DataFrame, dict[str, str]]:
    return read_parquet(folder / "ranges.parquet", RANGE_COLUMNS, REMEDY)
