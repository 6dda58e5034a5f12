"""`runs.csv`: how each run went, on what, and what is to be thought of it.

One row per device × method × variant × resolution × process × pass. The columns are defined in
docs/definitions.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from adscale.run_record import Energy, ForeignProcess

from .machine import MachineState, RunVerdict
from .profiles.study_runs import Pass, StudyRun, machine_state
from .profiles.times import PassTimes, image_energy
from .runs.record import Run
from .statistics.mean_error import Floats
from .tables import Schema, make_table

FLAGS = (
    "tf32_matmul", "tf32_cudnn", "cudnn_benchmark", "cudnn_deterministic",
    "deterministic_algorithms",
)  # fmt: skip
VERSIONS = ("adscale", "python", "torch", "cuda", "cudnn", "numpy", "nvtx", "nsys")

RUNS_COLUMNS: Schema = {
    "device": "string",
    "device_type": "string",
    "hardware": "string",
    "method": "string",
    "variant": "string",
    "resolution_px": "Int64",
    "pixels": "Int64",
    "process": "Int64",
    "pass": "string",
    "status": "string",
    "verdict": "string",
    "evidence": "string",
    "remarks": "string",
    "stop_reason": "string",
    "warmup_images": "Int64",
    "measured_images": "Int64",
    "asked_warmup_images": "Int64",
    "asked_measured_images": "Int64",
    "asked_min_images": "Int64",
    "asked_time_budget_s": "Float64",
    "asked_target_precision": "Float64",
    "collector": "string",
    "collector_version": "string",
    "seed": "Int64",
    "threads": "Int64",
    "cache": "string",
    "asked_cudnn_benchmark": "boolean",
    "asked_deterministic": "boolean",
    **dict.fromkeys(FLAGS, "boolean"),
    "asked_sm_clock_mhz": "Float64",
    "locked_sm_clock_mhz": "Float64",
    "lock_problem": "string",
    "cpu_model": "string",
    "cpus": "string",
    "cpu_count": "Int64",
    "online_cpus": "Int64",
    "gpu_driver": "string",
    "machine_samples": "Int64",
    "sm_clock_min_mhz": "Float64",
    "sm_clock_median_mhz": "Float64",
    "sm_clock_max_mhz": "Float64",
    "cpu_frequency_min_mhz": "Float64",
    "cpu_frequency_median_mhz": "Float64",
    "cpu_frequency_max_mhz": "Float64",
    "temperature_max_c": "Float64",
    "power_mean_w": "Float64",
    "idle_power_w": "Float64",
    "energy_window_s": "Float64",
    "energy_per_image_j": "Float64",
    "energy_per_image_error_j": "Float64",
    "others_share_mean": "Float64",
    "foreign_processes": "string",
    "kernel_time_coverage": "Float64",
    "uncovered_share": "Float64",
    "container": "string",
    **{f"{name}_version": "string" for name in VERSIONS},
    "started_utc": "string",
    "finished_utc": "string",
}
"""Columns of `runs.csv`."""


def runs_table(runs: Sequence[StudyRun]) -> pd.DataFrame:
    """One row per process and pass.

    Args:
        runs: as `analysis.profiles.study_runs.read_study_runs` gives them.

    Returns:
        Rows of `RUNS_COLUMNS`: the runs in the given order, the profiled processes of each before
        those without a profiler.

    Raises:
        ResultsError: the state of the machine during a run cannot be used.
    """
    rows = [row for run in runs for measured in run.passes for row in _rows(measured)]
    return make_table([{**dict.fromkeys(RUNS_COLUMNS), **row} for row in rows], RUNS_COLUMNS)


def _rows(measured: Pass) -> list[dict[str, Any]]:
    """Rows of a pass; a process that is whole has no verdict where another one did not fit."""
    count = len(measured.processes)
    times: Sequence[PassTimes | None] = measured.times or [None] * count
    verdicts: Sequence[RunVerdict | None] = measured.verdicts or [None] * count
    return [
        {"pass": measured.name, **_record(run), **_machine(run), **_verdict(verdict), **_found(one)}
        for run, one, verdict in zip(measured.processes, times, verdicts, strict=True)
    ]


def _record(run: Run) -> dict[str, Any]:
    """What the record says of itself."""
    record = run.record
    request, hardware = record.request, record.hardware
    return {
        **run.columns,
        "process": run.process,
        "status": run.status,
        "stop_reason": record.sampling.stop_reason,
        "warmup_images": run.warmup_images,
        "measured_images": run.measured_images,
        **{f"asked_{name}": value for name, value in asdict(request.sampling).items()},
        "collector": run.collector,
        "collector_version": run.collector_version,
        "seed": request.seed,
        "threads": hardware.threads,
        "cache": request.execution.cache,
        "asked_cudnn_benchmark": request.execution.cudnn_benchmark,
        "asked_deterministic": request.execution.deterministic,
        **asdict(record.flags),
        "asked_sm_clock_mhz": request.lock_clocks,
        "cpu_model": hardware.cpu_model,
        "cpus": hardware.cpus,
        "cpu_count": hardware.cpu_count,
        "online_cpus": hardware.online_cpus,
        "gpu_driver": hardware.gpu and hardware.gpu.driver,
        "container": request.container,
        **{f"{name}_version": getattr(record.software, name) for name in VERSIONS},
        "started_utc": record.started_utc,
        "finished_utc": record.finished_utc,
    }


def _machine(run: Run) -> dict[str, Any]:
    """What the machine did; nothing where that was not recorded."""
    machine = run.record.machine
    if machine is None:
        return {}
    return {
        "locked_sm_clock_mhz": machine.locked_sm_clock_mhz,
        "lock_problem": machine.lock_problem,
        "idle_power_w": machine.idle_power_w,
        "foreign_processes": "; ".join(map(_process_words, machine.foreign_processes)) or None,
        **_energy(machine.energy),
        **_samples(machine_state(run)),
    }


def _energy(counter: Energy | None) -> dict[str, Any]:
    if counter is None:
        return {}
    found = image_energy(counter.joules, counter.window_s, counter.images)
    return {
        "energy_window_s": counter.window_s,
        "energy_per_image_j": None if found is None else found.joules,
        "energy_per_image_error_j": None if found is None else found.error_joules,
    }


def _samples(state: MachineState | None) -> dict[str, Any]:
    if state is None:
        return {}
    return {
        "machine_samples": state.size,
        **_range("sm_clock", state.sm_clock_mhz),
        **_range("cpu_frequency", state.cpu_frequency_mhz),
        "temperature_max_c": _number(np.max, state.temperature_c),
        "power_mean_w": _number(np.mean, state.power_w),
        "others_share_mean": _number(np.mean, state.others_share),
    }


def _range(name: str, values_mhz: Floats) -> dict[str, float | None]:
    ends = {"min": np.min, "median": np.median, "max": np.max}
    return {f"{name}_{end}_mhz": _number(function, values_mhz) for end, function in ends.items()}


def _number(function: Any, values: Floats) -> float | None:
    """A number of the samples that are there; None where none is."""
    known = values[~np.isnan(values)]
    return float(function(known)) if len(known) else None


def _process_words(process: ForeignProcess) -> str:
    """Such as `python 1234, 812 MiB, throughout`."""
    name, used_bytes = process.name or "unknown", process.used_bytes
    size = "" if used_bytes is None else f", {used_bytes / 2**20:.0f} MiB"
    return f"{name} {process.pid}{size}, {process.seen}"


def _verdict(verdict: RunVerdict | None) -> dict[str, Any]:
    if verdict is None:
        return {}
    return {
        "verdict": verdict.verdict,
        "evidence": verdict.evidence,
        "remarks": "; ".join(verdict.remarks) or None,
    }


def _found(times: PassTimes | None) -> dict[str, Any]:
    if times is None:
        return {}
    return {
        "kernel_time_coverage": times.kernel_time_coverage,
        "uncovered_share": times.uncovered_share,
    }
