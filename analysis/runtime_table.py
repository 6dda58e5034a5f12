"""`runtime.csv`: what each submodule of each run takes per image.

One row per device × method × variant × resolution × submodule × clock. Columns, in this order:

- `device`, `device_type`, `hardware`: the user's name, cpu or cuda, the GPU's or CPU's model.
- `method`, `variant`, `resolution_px` (side of the square image), `pixels` (its square).
- `submodule`, `role`: `submodule`; `image` for the whole inference (`image`); `outside` for what
  surrounds it (`load`, `prepare`, `copy_to_device`, `copy_to_host`).
- `clock`: `host` is the duration on the CPU thread, on a GPU device the time that launching takes;
  `kernel_sum`, `busy`, `span` are times of the GPU's kernels, see `analysis.runs.range_table`.
  Ranges around the image that launch no kernel have no rows for these three.
- `status`: rows of `out_of_memory` (the run was begun and did not fit) and of
  `predicted_out_of_memory` (its count ruled it out, and it was not begun) have no images and no
  times.
- `predicted_needed_bytes`: what the run needs at least, counted before it began, and
  `device_memory_bytes`, what its device has in all; null where nothing could be counted. The same
  in all rows of a run.
- `collector`, `collector_version`: what recorded the ranges.
- `images`: size of the sample, one value per measured image. Images in which a submodule launches
  no kernel have no span.
- `mean_ms`, `ci95_low_ms`, `ci95_high_ms` (Student's t, null below two images), `median_ms`,
  `std_ms`, `min_ms`, `max_ms`: over the measured images; several calls in an image are added up.
- `kernels_per_image`: mean number of kernels; null on a CPU device.
- `launch_bound_share`: mean of 1 − busy / span over the images; on rows of the clock busy only.
- `uncovered_share`: share of the image's host time in no submodule (median over the images); on
  rows of the whole image on a CPU device only (on a GPU, `ranges.parquet` has the share of kernel
  time).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.errors import ResultsError
from analysis.runs.coverage import uncovered_share
from analysis.runs.range_table import RANGE_COLUMNS
from analysis.runs.record import Run, read_run
from analysis.statistics.sample import SampleSummary, summarize_sample
from analysis.tables import RUN_COLUMNS, Schema, make_table, read_parquet

RUNTIME_COLUMNS: Schema = {
    **RUN_COLUMNS,
    "clock": "string",
    "status": "string",
    "predicted_needed_bytes": "Int64",
    "device_memory_bytes": "Int64",
    "collector": "string",
    "collector_version": "string",
    "images": "Int64",
    "mean_ms": "Float64",
    "ci95_low_ms": "Float64",
    "ci95_high_ms": "Float64",
    "median_ms": "Float64",
    "std_ms": "Float64",
    "min_ms": "Float64",
    "max_ms": "Float64",
    "kernels_per_image": "Float64",
    "launch_bound_share": "Float64",
    "uncovered_share": "Float64",
}
"""Columns of `runtime.csv`."""

MAIN_CLOCK = {"cpu": "host", "cuda": "busy"}
"""The clock that counts as a run's runtime, by the type of its device."""

OUTSIDE = ("load", "prepare", "copy_to_device", "copy_to_host")
"""Ranges around the image that have rows of their own."""

_VALUES = {
    "host": "host_ms",
    "kernel_sum": "kernel_sum_ms",
    "busy": "busy_ms",
    "span": "span_ms",
}
_SUMMED = [*_VALUES.values(), "kernels"]


def runtime_table(folders: Sequence[Path]) -> pd.DataFrame:
    """Summarise runs.

    Args:
        folders: folders of runs, each with `run.json` and `ranges.parquet`.

    Returns:
        Rows of `RUNTIME_COLUMNS`: runs sorted by device, method, variant and resolution, the
        parts of each in the order of inference.

    Raises:
        ResultsError: a file of a run is missing or damaged, or a run is named twice.
    """
    runs = [read_run(folder / "run.json") for folder in folders]
    runs.sort(key=lambda run: run.key)
    _check_distinct(runs)
    return make_table([row for run in runs for row in _run_rows(run)], RUNTIME_COLUMNS)


def _check_distinct(sorted_runs: Sequence[Run]) -> None:
    for first, second in pairwise(sorted_runs):
        if first.key == second.key:
            what = f"{' '.join(map(str, first.key))} px is in {first.path} too"
            raise ResultsError(second.path, what, "name one of the two folders only")


def _run_rows(run: Run) -> Iterator[dict[str, Any]]:
    if run.status != "ok":
        for path, role in _parts(run):
            if role != "outside":
                clock = MAIN_CLOCK[run.device_type]
                yield _row(run, path, role, clock, summarize_sample(np.empty(0)), None, None)
        return
    file = run.path.with_name("ranges.parquet")
    ranges, _ = read_parquet(file, RANGE_COLUMNS, remedy=run.remeasure)
    measured = ranges[ranges["phase"] == "measure"]
    sums = measured.groupby(["path", "image_index"])[_SUMMED].sum(min_count=1)
    for path, role in _parts(run):
        of_part = sums[sums.index.get_level_values("path") == path]
        if len(of_part):
            uncovered = uncovered_share(ranges) if role == "image" and run.clock == "host" else None
            yield from _part_rows(run, path, role, of_part, uncovered)
        elif role != "outside":
            raise ResultsError(file, f"holds no measured range {path}", run.remeasure)


def _parts(run: Run) -> Iterator[tuple[str, str]]:
    """Path and role of every range that has rows, in the order of a run."""
    yield from ((f"image/{name}", "submodule") for name in run.submodules)
    yield ("image", "image")
    yield from ((name, "outside") for name in OUTSIDE)


def _part_rows(
    run: Run, path: str, role: str, sums: pd.DataFrame, uncovered: float | None
) -> Iterator[dict[str, Any]]:
    """Rows of one part, a clock each.

    Args:
        run: the run.
        path: path of the part.
        role: its role.
        sums: one row per measured image, calls added up.
        uncovered: share of the part's host time that its own parts leave over.
    """
    host = _row(run, path, role, "host", _summary(sums, "host"), _kernels(sums), None)
    yield {**host, "uncovered_share": uncovered}
    if run.clock == "host" or (role == "outside" and not sums["kernels"].any()):
        return
    for clock in ("kernel_sum", "busy", "span"):
        share = _launch_bound_share(sums) if clock == "busy" else None
        yield _row(run, path, role, clock, _summary(sums, clock), _kernels(sums), share)


def _summary(sums: pd.DataFrame, clock: str) -> SampleSummary:
    return summarize_sample(sums[_VALUES[clock]].dropna().to_numpy(dtype=np.float64))


def _kernels(sums: pd.DataFrame) -> float | None:
    kernels = sums["kernels"].dropna()
    return float(kernels.mean()) if len(kernels) else None


def _launch_bound_share(sums: pd.DataFrame) -> float | None:
    share = (1.0 - sums["busy_ms"] / sums["span_ms"]).dropna()
    return float(share.mean()) if len(share) else None


def _row(
    run: Run,
    path: str,
    role: str,
    clock: str,
    sample: SampleSummary,
    kernels_per_image: float | None,
    launch_bound_share: float | None,
) -> dict[str, Any]:
    return {
        "device": run.device,
        "device_type": run.device_type,
        "hardware": run.hardware,
        "method": run.method,
        "variant": run.variant,
        "resolution_px": run.resolution_px,
        "pixels": run.resolution_px**2,
        "submodule": path.removeprefix("image/"),
        "role": role,
        "clock": clock,
        "status": run.status,
        "predicted_needed_bytes": run.predicted_needed_bytes,
        "device_memory_bytes": run.device_memory_bytes,
        "collector": run.collector,
        "collector_version": run.collector_version,
        "images": sample.size,
        "mean_ms": sample.mean,
        "ci95_low_ms": sample.ci95_low,
        "ci95_high_ms": sample.ci95_high,
        "median_ms": sample.median,
        "std_ms": sample.std,
        "min_ms": sample.minimum,
        "max_ms": sample.maximum,
        "kernels_per_image": kernels_per_image,
        "launch_bound_share": launch_bound_share,
        "uncovered_share": None,
    }
