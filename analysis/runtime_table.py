"""`runtime.csv`, `runs.csv` and `kernels.csv`: the tables that are made of the runs in one step.

Of `runtime.csv`: one row per device × method × variant × resolution × submodule × clock, of all
processes of the run together. The columns are defined in docs/definitions.md, their statistics in
docs/statistics.md.

Of `kernels.csv`: one row per device × method × variant × resolution × submodule × kernel name, of
all processes of the run together. The columns are defined in docs/definitions.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adscale.tables import Argument, Output, Table, TableJob, integer, join, names_of, real, text

from .columns import CLOCK, COLLECTOR, MEAN, PART, SAMPLE, STATUS
from .numbers import percent
from .runs_table import RUNS, runs_table

if TYPE_CHECKING:
    import pandas as pd

    from .profiles.study_runs import Pass, StudyRun
    from .profiles.times import PartTimes


KERNELS = Table(
    name="kernels",
    row="a kernel of a submodule, on a GPU",
    columns=join(
        PART,
        text("kernel", means="its name, with the types of its template"),
        COLLECTOR,
        SAMPLE,
        real("launches_per_image", means="launches over the images; of several processes the "
             "mean", unit=""),
        real("ms_per_image", means="sum of their durations over the images; of several processes "
             "the mean", unit="ms"),
        real("share", means="of the submodule's kernel sum"),
        real("us_per_launch", "max_us", means="mean duration of a launch, and the longest, over "
             "all launches of all processes", unit="µs"),
    ),
    category="Runtime",
    contents="kernels of the submodules",
    caption="""The kernels of each submodule on a GPU, with launches and time per image. Empty for
a CPU.

Measured, by the clock ``kernel_sum``.""",
    in_report=True,
)  # fmt: skip


def kernels_table(runs: Sequence[StudyRun]) -> pd.DataFrame:
    """The kernels of runs on a GPU whose images are complete.

    Args:
        runs: as `analysis.profiles.study_runs.read_study_runs` gives them; beside each `run.json`
            of a GPU lies `kernels.parquet`.

    Returns:
        Rows of `KERNELS`: the runs in the given order, their submodules in the order of
        inference, of each the kernel with the most time first. None for runs on a CPU device.

    Raises:
        ResultsError: a `kernels.parquet` is missing or damaged.
    """
    import pandas as pd

    from .tables import make_table

    found = [_run_kernels(run) for run in runs if run.profiled.times and run.first.clock == "gpu"]
    return pd.concat([make_table([], KERNELS.schema), *found], ignore_index=True)


def _run_kernels(run: StudyRun) -> pd.DataFrame:
    from .profiles.kernel_table import kernels_per_image

    processes = run.profiled.processes
    about = {
        **run.first.columns,
        "role": "submodule",
        "collector": run.first.collector,
        "collector_version": run.first.collector_version,
        "processes": len(processes),
        "images": sum(process.measured_images for process in processes),
    }
    rows = kernels_per_image(run).assign(**about, missing=None)
    return rows[list(KERNELS.schema)].astype(dict(KERNELS.schema))


_PERCENTILES = ("median", "p90", "p95", "p99")

RUNTIME = Table(
    name="runtime",
    row="the time of a submodule at a resolution, by one clock, with its interval",
    columns=join(
        PART,
        CLOCK,
        STATUS,
        integer("predicted_needed_bytes", means="what the device must hold at least, counted for "
                "the type of the run's device, see below"),
        integer("device_memory_bytes", means="memory of the GPU in all. Of a CPU device: main "
                "memory without swap, or what control groups and `ulimit -v` leave of it"),
        COLLECTOR,
        SAMPLE,
        MEAN,
        real("standard_error_ms", "degrees_of_freedom", means="standard error of the mean, and "
             "degrees of freedom of the Student's t by which its interval is as wide; null where "
             "it has none. Fits use these"),
        real("median_standard_error_ms", "median_degrees_of_freedom", means="the same of the "
             "median. Comparisons use these"),
        real(*(f"{name}{end}_ms" for name in _PERCENTILES for end in ("", "_low", "_high")),
             means="percentiles of the images, null for so few in a process that they would be the "
             "largest time (p90 below 7, p95 below 14, p99 below 67); and the ends of their 95 % "
             "intervals, null for fewer images than they need, or for a level that wanders"),
        real("std_ms", "process_std_ms", means="standard deviation of the images (n − 1), of "
             "several processes its mean; and of the processes' means"),
        real("min_ms", "max_ms", means="smallest and largest of all images"),
        real("effective_images",
             means="independent images that would know the mean as well, at most `images`; one "
             "process only, and null where its level wanders and the mean has no interval"),
        real("unseen_ms", means="what events too rare to be seen could add to the mean: 3 / "
             "`images` of the images (rule of three, 95 %), each 10 times as long as the median"),
        integer("outliers", means="images more than 3 quartile ranges outside of the quartiles; "
                "they are kept"),
        text("steadiness", means="of this row's own times: `steady`, `drifting`, `wandering`, "
             "`bimodal`, `too_short`; of several processes the worst"),
        text("verdict", means="on the run, the same in all rows of a pass: `steady`, `wandering`, "
             "`drifting`, `throttled`, `shared`, `altered`; of several processes the worst. Times "
             "that drift or wander are those of whole images, by `busy` on a GPU, by `host` on a "
             "CPU, by `latency` in the latency pass"),
        real("kernels_per_image", means="mean number of kernels; null on a CPU device and for "
             "the clock `latency`"),
        real("launch_bound_share", means="mean of 1 − busy / span over the images; on rows of "
             "the clock `busy` only"),
        real("uncovered_share", means="share of the image's host time in no submodule (median "
             "over the images), on rows of the whole image on a CPU device. More than 1 % is "
             "warned about when a run is attributed, and told in the figure's caption"),
        real("ranges_share", means="share of the image's host time that its ranges take, by their "
             "number and what an empty one was measured to cost in that process: a lower bound; on "
             "rows of the whole image by `host`. More than 1 % is warned about, and in captions"),
        real("profiled_over_latency", means="mean time of an image in the profiled pass, from its "
             "begin until the device is done (`image` and, on a GPU, `synchronize`), over that "
             "without a profiler; on the rows of `image` by `latency` only. More than 1.05 is "
             "warned about, and told in captions"),
        real("megapixels_per_s", means="`pixels` in millions, of all images of a batch, over "
             "`mean_ms`, one batch after the other; on rows of the clock `latency` only",
             unit="MP/s"),
    ),
    category="Runtime",
    contents="times by submodule and clock",
    caption="""Times of every submodule, of the whole image and of what surrounds it: mean with
95 % interval, percentiles, steadiness and verdict.

Measured, by the clock in the column ``clock``, of as many images as ``images`` and ``processes``
say.""",
    in_report=True,
)  # fmt: skip

_PIXELS_PER_MS = 1e3
"""In 10⁶ pixels per second."""

COSTLY_RANGES = 0.01
"""Share of an image's host time that its ranges take from which a run is warned about."""

MUCH_SLOWER = 1.05
"""Profiled over unprofiled time of an image from which a run is warned about."""


def runtime_table(runs: Sequence[StudyRun]) -> pd.DataFrame:
    """Summarise runs.

    Args:
        runs: as `analysis.profiles.study_runs.read_study_runs` gives them.

    Returns:
        Rows of `RUNTIME`: the runs in the given order, the parts of each in the order of
        inference, what was measured without a profiler behind them.
    """
    from .tables import make_table

    rows = [row for run in runs for row in _run_rows(run)]
    return make_table([{**dict.fromkeys(RUNTIME.schema), **row} for row in rows], RUNTIME.schema)


def slowed_down(run: StudyRun) -> float | None:
    """Mean time of an image with its profiler over that without; None where either is missing."""
    import numpy as np

    if run.latency is None or not (run.profiled.times and run.latency.times):
        return None
    with_profiler, without = (
        float(np.mean([times.until_done_ms for times in measured.times]))
        for measured in (run.profiled, run.latency)
    )
    return with_profiler / without


def profiler_warning(run: StudyRun) -> str | None:
    """Warn that a profiler slowed a run down, in one line; None where it did not by much."""
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
    from .profiles.times import LATENCY_PARTS, MAIN_CLOCK, parts_of

    run = max(measured.processes, key=lambda one: len(one.submodules))
    parts = LATENCY_PARTS.items() if measured.name == "latency" else parts_of(run)
    clock = "latency" if measured.name == "latency" else MAIN_CLOCK[run.device_type]
    for submodule, role, *_ in parts:
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
        batch = run.first.batch
        row = {**_about(measured), **_statistics(parts, 1 if first.clock == "latency" else batch)}
        if first.role == "image" and first.clock == "host":
            shares = [times.uncovered_share for times in measured.times]
            row["uncovered_share"] = _mean(shares)
            row["ranges_share"] = _mean([times.ranges_share for times in measured.times])
        if first.role == "image" and first.clock == "latency":
            row["profiled_over_latency"] = slowed_down(run)
        if first.clock == "latency" and row.get("mean_ms"):
            row["megapixels_per_s"] = batch * row["pixels"] / _PIXELS_PER_MS / row["mean_ms"]
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


def _statistics(parts: Sequence[PartTimes], per: int) -> dict[str, Any]:
    """Columns of one part by one clock, from its processes.

    Args:
        parts: its times.
        per: the number of images that a time is told of: it is divided by them.
    """
    from .statistics.steadiness import check_processes
    from .statistics.summary import summarize_series

    first = parts[0]
    row: dict[str, Any] = {
        "submodule": first.submodule,
        "role": first.role,
        "clock": first.clock,
        "kernels_per_image": _mean([part.kernels_per_image for part in parts], per),
        "launch_bound_share": _mean([part.launch_bound_share for part in parts]),
    }
    series = [part.times_ms / per for part in parts if len(part.times_ms)]
    if not series:
        return {**row, "processes": 0, "images": 0}
    summary, steadiness = summarize_series(series), check_processes(series)
    percentiles = {name: getattr(summary, name) or (None, None, None) for name in _PERCENTILES}
    return {
        **row,
        "processes": summary.processes,
        "images": summary.images,
        **dict(zip(names_of(MEAN), _of_times(*summary.mean), strict=True)),
        "standard_error_ms": summary.standard_error,
        "degrees_of_freedom": summary.degrees_of_freedom,
        "median_standard_error_ms": summary.median_standard_error,
        "median_degrees_of_freedom": summary.median_degrees_of_freedom,
        **{
            f"{name}{end}_ms": number
            for name, estimate in percentiles.items()
            for end, number in zip(("", "_low", "_high"), _of_times(*estimate), strict=True)
        },
        "std_ms": summary.std,
        "process_std_ms": summary.process_std,
        "min_ms": summary.minimum,
        "max_ms": summary.maximum,
        "effective_images": summary.effective_images,
        "unseen_ms": summary.unseen,
        "outliers": steadiness.outliers,
        "steadiness": steadiness.verdict,
    }


def _of_times(
    value: float | None, low: float | None, high: float | None
) -> tuple[float | None, float | None, float | None]:
    """An estimate whose lower end is not below 0, as no time is."""
    return value, None if low is None else max(low, 0.0), high


def _mean(values: Sequence[float | None], per: int = 1) -> float | None:
    """Over the processes that have one."""
    import numpy as np

    known = [value for value in values if value is not None]
    return float(np.mean(known)) / per if known else None


def _read(folders: Sequence[Path], *, no_latency: bool) -> tuple[list[StudyRun]]:
    from .profiles.study_runs import read_study_runs

    return (read_study_runs(folders, with_latency=not no_latency),)


def _warnings(runs: Sequence[StudyRun]) -> Iterator[str]:
    for run in runs:
        for warning in (profiler_warning(run), _ranges_warning(run)):
            if warning:
                yield f"{run.first.name}: {warning}"


def _ranges_warning(run: StudyRun) -> str | None:
    share = _mean([times.ranges_share for times in run.profiled.times])
    if share is None or share <= COSTLY_RANGES:
        return None
    ranges = _mean([times.ranges_per_image for times in run.profiled.times])
    return (
        f"its {ranges:.0f} ranges take {percent(share, 1)} of an image's host time by what an "
        "empty one costs here: name fewer modules, or a smaller depth"
    )


SUMMARIZE = TableJob(
    command="summarize",
    rule="runtime_table",
    description="""Times per image of each run's submodules, with confidence intervals.
Several folders may be processes of one run: their rows are those of all of them together.
All columns are defined in docs/definitions.md.""",
    arguments=(
        Argument(
            "folders",
            {
                "type": Path,
                "nargs": "+",
                "metavar": "RUN_DIR",
                "help": "folder of a process, with run.json and ranges.parquet; latency.json where "
                "it is",
            },
            "processes",
        ),
        Argument(
            "--no-latency",
            {
                "action": "store_true",
                "help": "leave out what was measured without a profiler (latency.json)",
            },
            "setting",
        ),
    ),
    outputs=(
        Output(RUNTIME, runtime_table),
        Output(RUNS, runs_table, "--runs", help="write how each run went, and on what"),
        Output(
            KERNELS,
            kernels_table,
            "--kernels",
            help="write the kernels of the submodules on a GPU, from kernels.parquet in the "
            "folders",
        ),
    ),
    step=_read,
    warn=_warnings,
)
