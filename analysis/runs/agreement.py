"""Were several processes, or the two passes of one, asked for and given the same?"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict
from typing import Any

from adscale.errors import ResultsError

from .record import Run

NOT_MEASURED = frozenset({"process", "foreign_processes", "skip_margin"})
"""Of a request: what does not decide what one process measures."""

SOFTWARE = ("torch", "cuda", "cudnn")
"""Whose versions decide which kernels run."""

COLLECTOR = frozenset({"request.collector", "collector.name", "collector.version"})
"""What the two passes of a process differ in."""

_REMEDY = "remove the folder of the older one and measure again"


def check_processes(processes: Sequence[Run]) -> None:
    """Refuse processes that are not of the same run.

    Args:
        processes: with one key.

    Raises:
        ResultsError: two processes differ in what they measure.
    """
    for other in processes[1:]:
        _check(processes[0], other)


def check_latency(profiled: Run, latency: Run) -> None:
    """Refuse a latency pass that is not that of the process beside it.

    Raises:
        ResultsError: it was made with a collector, or of another request, or on another machine.
    """
    if latency.collector != "none":
        what = f"was measured with the collector {latency.collector}, not without a profiler"
        raise ResultsError(latency.path, what, f"remove {latency.path} and measure again")
    if latency.process != profiled.process:
        what = f"is of process {latency.process}, {profiled.path} of process {profiled.process}"
        raise ResultsError(latency.path, what, f"remove {latency.path} and measure again")
    _check(profiled, latency, but=COLLECTOR)


def _check(one: Run, other: Run, but: Collection[str] = ()) -> None:
    of_one, of_other = _measured(one), _measured(other)
    for name in of_one:
        if name in but or name not in of_other:
            continue
        if of_one[name] != of_other[name]:
            what = f"{name} is {_words(of_other[name])}, in {one.path} it is {_words(of_one[name])}"
            raise ResultsError(other.path, what, _REMEDY)


def _measured(run: Run) -> dict[str, Any]:
    """What decides which times a process finds, by name."""
    record, hardware = run.record, run.record.hardware
    request = {k: v for k, v in asdict(record.request).items() if k not in NOT_MEASURED}
    return {
        **{f"request.{name}": value for name, value in request.items()},
        "clock": run.clock,
        **{f"collector.{name}": value for name, value in asdict(record.collector).items()},
        "hardware.cpu_model": hardware.cpu_model,
        "hardware.gpu.name": hardware.gpu and hardware.gpu.name,
        "hardware.threads": hardware.threads,
        **{f"software.{name}": getattr(record.software, name) for name in SOFTWARE},
        **(_once_built(run) if run.status == "ok" else {}),
    }


def _once_built(run: Run) -> dict[str, Any]:
    """What is only known of a run whose method was built."""
    flags = {f"flags.{name}": value for name, value in asdict(run.record.flags).items()}
    return {"submodules": list(run.submodules), **flags}


def _words(value: object, limit: int = 80) -> str:
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]} …"
