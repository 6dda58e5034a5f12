"""`runs.csv`: how each run went, on what, and what is to be thought of it.

One row per device × method × variant × resolution × process × pass. The columns are defined in
docs/definitions.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from adscale.mean_error import Floats
from adscale.tables import Table, flag, integer, join, real, text

from .columns import COLLECTOR, RUN, STATUS

if TYPE_CHECKING:
    import pandas as pd

    from adscale.first_convolution import FirstConvolution
    from adscale.run_record import Energy, ForeignProcess

    from .machine import MachineState, RunVerdict
    from .profiles.record import Run
    from .profiles.study_runs import Pass, StudyRun
    from .profiles.times import PassTimes

FLAGS = (
    "tf32_matmul", "tf32_cudnn", "cudnn_benchmark", "cudnn_deterministic",
    "deterministic_algorithms",
)  # fmt: skip
VERSIONS = ("adscale", "python", "torch", "cuda", "cudnn", "numpy", "nvtx", "nsys")

RUNS = Table(
    name="runs",
    row="a process of a run: what was asked, what the machine did, verdict and evidence",
    columns=join(
        RUN,
        integer("process", means="its number within the run, from 1"),
        text("pass", means="`profiled` or `latency`"),
        STATUS,
        text("verdict", "evidence", "remarks", means="of this process and pass: the verdict, why, "
             "and what else was seen or could not be seen. No verdict where a process of the run "
             "did not fit"),
        text("stop_reason", means="why the measurement ended: `precision`, `image_count`, "
             "`time_budget`, `out_of_memory`, `predicted_out_of_memory`"),
        integer("warmup_images", "measured_images", means="the images that were completed; a batch "
                "counts as one"),
        integer("images", "unreadable_images", means="files that were run in turn, and those that "
                "could not be read"),
        integer("asked_warmup_images", "asked_measured_images", "asked_min_images",
                means="the numbers of images asked for; a batch counts as one"),
        real("asked_time_budget_s", means="the time asked for"),
        real("asked_target_precision", means="the width of the intervals asked for, as a share"),
        integer("asked_precision_min_images", means="images before which that ends no run"),
        real("asked_precision_min_s", means="seconds before which it ends none"),
        real("asked_profiled_share", means="share of these images and of the time asked for "
             "that a profiled pass measures"),
        COLLECTOR,
        integer("seed", means="of the random numbers"),
        integer("threads", means="that torch used inside an operator"),
        text("cache", means="`warm`: caches hold what the image before left; `cold`: the "
             "last-level cache is overwritten before each image"),
        flag("asked_cudnn_benchmark", "asked_deterministic", means="settings asked for: cuDNN "
             "tries its algorithms and takes the fastest; deterministic algorithms only"),
        flag(*FLAGS, means="torch's flags at the end of the run"),
        text("cpu_precision", means="what the CPU then computed fp32 in: `ieee` as it is"),
        text("default_dtype", means="torch's type of numbers then"),
        flag("autocast", "gradients", means="whether torch then chose types by itself, and kept "
             "what gradients need"),
        text("changed_switches", means="what of these, or of the threads, was not as asked for"),
        text("first_convolution", means="what that of a network of yours was given: images × "
             "channels × height × width, and type; without one the type of its products"),
        real("asked_sm_clock_mhz", "locked_sm_clock_mhz",
             means="SM clock to lock the GPU to, and the one it was locked to"),
        text("lock_problem", means="why it was not locked"),
        text("cpu_model", "cpus", means="model, and the logical CPUs that the process may use"),
        integer("cpu_count", "online_cpus", means="their number, and that of the machine"),
        real("cpu_quota", means="CPU time that a container or control group leaves the process, in "
             "CPUs; null: no bound", unit=""),
        text("gpu_driver", means="version of the driver"),
        integer("machine_samples", means="samples of the machine's state taken while images were "
                "measured; the next eight columns, and the share of others, are over these"),
        real("sm_clock_min_mhz", "sm_clock_median_mhz", "sm_clock_max_mhz",
             means="clock of the GPU's multiprocessors"),
        real("cpu_frequency_min_mhz", "cpu_frequency_median_mhz", "cpu_frequency_max_mhz",
             means="of the fastest of the CPUs that the process may use"),
        real("temperature_max_c", "power_mean_w", means="of the GPU"),
        real("idle_power_w", means="power of the GPU before the method was built"),
        real("energy_window_s", means="time between two readings of the GPU's energy counter "
             "around the measured images"),
        real("energy_per_image_j", means="difference of the two readings over the images, with "
             "what the GPU draws idle. Null for windows below 5 s"),
        real("energy_per_image_error_j", means="largest error of that: the counter steps about "
             "every 100 ms, so 2 × 100 ms of mean power over the images"),
        real("others_share_mean", means="mean share of the GPU, or of the CPUs the process may "
             "use, that others used"),
        text("foreign_processes", means="others that computed on the GPU"),
        real("kernel_time_coverage", means="share of the kernel time of measured images that "
             "submodules account for (GPU, profiled)"),
        real("uncovered_share", means="as in `runtime.csv`, of this process"),
        real("empty_range_ns", means="host time of a range without anything in it, measured in "
             "this process behind its images (`run.json`); null in the latency pass, which has no "
             "ranges, and for runs measured before", unit="ns"),
        real("ranges_per_image", means="ranges that an image, or batch, opens, with its own",
             unit=""),
        real("ranges_share", means="their number × what an empty one takes, over the mean host "
             "time of an image"),
        text("container", means="digest of the image in which it was measured"),
        text(*(f"{name}_version" for name in VERSIONS), means="software"),
        text("started_utc", "finished_utc", means="when"),
    ),
    category="Runs",
    contents="how each measurement went",
    caption="""How each measurement went: status, verdict and its evidence, sampling, settings,
state of the machine, software.

Recorded in ``run.json`` and ``latency.json`` of each run.""",
    in_report=True,
)  # fmt: skip


def runs_table(runs: Sequence[StudyRun]) -> pd.DataFrame:
    """One row per process and pass.

    Args:
        runs: as `analysis.profiles.study_runs.read_study_runs` gives them.

    Returns:
        Rows of `RUNS`: the runs in the given order, the profiled processes of each before
        those without a profiler.

    Raises:
        ResultsError: the state of the machine during a run cannot be used.
    """
    from .tables import make_table

    rows = [row for run in runs for measured in run.passes for row in _rows(measured)]
    return make_table([{**dict.fromkeys(RUNS.schema), **row} for row in rows], RUNS.schema)


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
    """Return what the record says of itself."""
    record = run.record
    request, hardware = record.request, record.hardware
    return {
        **run.columns,
        "process": run.process,
        "status": run.status,
        "stop_reason": record.sampling.stop_reason,
        "warmup_images": run.warmup_images,
        "measured_images": run.measured_images,
        "images": record.images.count,
        "unreadable_images": len(record.images.unreadable),
        **{f"asked_{name}": value for name, value in asdict(request.sampling).items()},
        "collector": run.collector,
        "collector_version": run.collector_version,
        "seed": request.seed,
        "threads": hardware.threads,
        "cache": request.execution.cache,
        "asked_cudnn_benchmark": request.execution.cudnn_benchmark,
        "asked_deterministic": request.execution.deterministic,
        **asdict(record.flags),
        "changed_switches": "; ".join(record.changed_switches) or None,
        "empty_range_ns": record.empty_range_ns,
        "first_convolution": _given(record.first_convolution),
        "asked_sm_clock_mhz": request.lock_clocks,
        "cpu_model": hardware.cpu_model,
        "cpus": hardware.cpus,
        "cpu_count": hardware.cpu_count,
        "online_cpus": hardware.online_cpus,
        "cpu_quota": hardware.cpu_quota,
        "gpu_driver": hardware.gpu and hardware.gpu.driver,
        "container": request.container,
        **{f"{name}_version": getattr(record.software, name) for name in VERSIONS},
        "started_utc": record.started_utc,
        "finished_utc": record.finished_utc,
    }


def _given(found: FirstConvolution | None) -> str | None:
    if found is None:
        return None
    shape = "no convolution," if found.shape is None else " × ".join(map(str, found.shape))
    return f"{shape} {found.dtype}"


def _machine(run: Run) -> dict[str, Any]:
    """Return what the machine did; nothing where it was not recorded."""
    from .profiles.study_runs import machine_state

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
    from .profiles.times import image_energy

    found = image_energy(counter.joules, counter.window_s, counter.images)
    return {
        "energy_window_s": counter.window_s,
        "energy_per_image_j": None if found is None else found.joules,
        "energy_per_image_error_j": None if found is None else found.error_joules,
    }


def _samples(state: MachineState | None) -> dict[str, Any]:
    import numpy as np

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
    import numpy as np

    ends = {"min": np.min, "median": np.median, "max": np.max}
    return {f"{name}_{end}_mhz": _number(function, values_mhz) for end, function in ends.items()}


def _number(function: Any, values: Floats) -> float | None:
    """A number of the samples that are there; None where none is."""
    import numpy as np

    known = values[~np.isnan(values)]
    return float(function(known)) if len(known) else None


def _process_words(process: ForeignProcess) -> str:
    """Return words such as `python 1234, 812 MiB, throughout`."""
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
        "ranges_per_image": times.ranges_per_image,
        "ranges_share": times.ranges_share,
    }
