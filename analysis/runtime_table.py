"""`runtime.csv`: what each submodule of each run takes per image.

One row per device × method × variant × resolution × submodule × clock, of all processes of the run
together. The columns are defined in docs/definitions.md, their statistics in docs/statistics.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from .profiles.study_runs import Pass, StudyRun
from .profiles.times import LATENCY_PARTS, MAIN_CLOCK, OUTSIDE, PartTimes, parts_of
from .statistics.steadiness import check_processes
from .statistics.summary import Estimate, summarize_series
from .tables import RUN_COLUMNS, Schema, make_table

_PERCENTILES = ("median", "p90", "p95", "p99")

RUNTIME_COLUMNS: Schema = {
    **RUN_COLUMNS,
    "clock": "string",
    "status": "string",
    "predicted_needed_bytes": "Int64",
    "device_memory_bytes": "Int64",
    "collector": "string",
    "collector_version": "string",
    "processes": "Int64",
    "images": "Int64",
    "mean_ms": "Float64",
    "ci95_low_ms": "Float64",
    "ci95_high_ms": "Float64",
    **{f"{name}{end}_ms": "Float64" for name in _PERCENTILES for end in ("", "_low", "_high")},
    "std_ms": "Float64",
    "process_std_ms": "Float64",
    "min_ms": "Float64",
    "max_ms": "Float64",
    "effective_images": "Float64",
    "outliers": "Int64",
    "steadiness": "string",
    "verdict": "string",
    "kernels_per_image": "Float64",
    "launch_bound_share": "Float64",
    "uncovered_share": "Float64",
    "profiled_over_latency": "Float64",
}
"""Columns of `runtime.csv`."""

MUCH_SLOWER = 1.05
"""Profiled over unprofiled time of an image from which a run is warned about."""

__all__ = ["MAIN_CLOCK", "MUCH_SLOWER", "OUTSIDE", "RUNTIME_COLUMNS", "runtime_table"]


def runtime_table(runs: Sequence[StudyRun]) -> pd.DataFrame:
    """Summarise runs.

    Args:
        runs: as `analysis.profiles.study_runs.read_study_runs` gives them.

    Returns:
        Rows of `RUNTIME_COLUMNS`: the runs in the given order, the parts of each in the order of
        inference, what was measured without a profiler behind them.
    """
    rows = [row for run in runs for row in _run_rows(run)]
    return make_table([{**dict.fromkeys(RUNTIME_COLUMNS), **row} for row in rows], RUNTIME_COLUMNS)


def slowed_down(run: StudyRun) -> float | None:
    """Mean time of an image with its profiler over that without; None where either is missing."""
    if run.latency is None or not (run.profiled.times and run.latency.times):
        return None
    with_profiler, without = (
        float(np.mean([times.until_done_ms for times in measured.times]))
        for measured in (run.profiled, run.latency)
    )
    return with_profiler / without


def profiler_warning(run: StudyRun) -> str | None:
    """That a profiler slowed a run down, in one line; None where it did not by much."""
    ratio = slowed_down(run)
    if ratio is None or ratio <= MUCH_SLOWER:
        return None
    verdicts = {one.verdict.verdict for one in run.passes if one.verdict is not None}
    disturbed = ", ".join(sorted(verdicts - {"steady"}))
    doubt = f"; it may not be the profiler, the run was not steady ({disturbed})"
    return (
        f"an image takes {ratio:.2f} times as long with the collector {run.first.collector} as "
        f"without a profiler{doubt if disturbed else ''}: judge latencies by the clock latency"
    )


def _run_rows(run: StudyRun) -> Iterator[dict[str, Any]]:
    for measured in run.passes:
        if measured.times:
            yield from _pass_rows(run, measured)
        else:
            yield from _lost_rows(measured)


def _lost_rows(measured: Pass) -> Iterator[dict[str, Any]]:
    """Rows without times of a pass that did not fit, in some of its processes at least."""
    run = max(measured.processes, key=lambda one: len(one.submodules))
    parts = LATENCY_PARTS.items() if measured.name == "latency" else parts_of(run)
    clock = "latency" if measured.name == "latency" else MAIN_CLOCK[run.device_type]
    for submodule, role in parts:
        if role != "outside":
            about = {"submodule": submodule, "role": role, "clock": clock}
            yield {**_about(measured), **about, "processes": 0, "images": 0}


def _pass_rows(run: StudyRun, measured: Pass) -> Iterator[dict[str, Any]]:
    found: dict[tuple[str, str], list[PartTimes]] = {}
    for times in measured.times:
        for part in times.parts:
            found.setdefault((part.submodule, part.clock), []).append(part)
    for parts in found.values():
        first = parts[0]
        row = {**_about(measured), **_statistics(parts)}
        if first.role == "image" and first.clock == "host":
            shares = [times.uncovered_share for times in measured.times]
            row["uncovered_share"] = _mean(shares)
        if first.role == "image" and first.clock == "latency":
            row["profiled_over_latency"] = slowed_down(run)
        yield row


def _about(measured: Pass) -> dict[str, Any]:
    run, verdict = measured.processes[0], measured.verdict
    return {
        **run.columns,
        "status": measured.status,
        "predicted_needed_bytes": run.predicted_needed_bytes,
        "device_memory_bytes": run.device_memory_bytes,
        "collector": run.collector,
        "collector_version": run.collector_version,
        "verdict": None if verdict is None else verdict.verdict,
    }


def _statistics(parts: Sequence[PartTimes]) -> dict[str, Any]:
    """Columns of one part by one clock, from its processes."""
    first = parts[0]
    row: dict[str, Any] = {
        "submodule": first.submodule,
        "role": first.role,
        "clock": first.clock,
        "kernels_per_image": _mean([part.kernels_per_image for part in parts]),
        "launch_bound_share": _mean([part.launch_bound_share for part in parts]),
    }
    series = [part.times_ms for part in parts if len(part.times_ms)]
    if not series:
        return {**row, "processes": 0, "images": 0}
    summary, steadiness = summarize_series(series), check_processes(series)
    estimates: dict[str, Estimate] = {name: getattr(summary, name) for name in _PERCENTILES}
    return {
        **row,
        "processes": summary.processes,
        "images": summary.images,
        "mean_ms": summary.mean.value,
        "ci95_low_ms": summary.mean.low,
        "ci95_high_ms": summary.mean.high,
        **{f"{name}_ms": estimate.value for name, estimate in estimates.items()},
        **{f"{name}_low_ms": estimate.low for name, estimate in estimates.items()},
        **{f"{name}_high_ms": estimate.high for name, estimate in estimates.items()},
        "std_ms": summary.std,
        "process_std_ms": summary.process_std,
        "min_ms": summary.minimum,
        "max_ms": summary.maximum,
        "effective_images": summary.effective_images,
        "outliers": steadiness.outliers,
        "steadiness": steadiness.verdict,
    }


def _mean(values: Sequence[float | None]) -> float | None:
    """Over the processes that have one."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
