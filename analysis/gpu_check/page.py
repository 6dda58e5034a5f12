"""Results of checks, and the page of text that all of them end in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from adscale.run_record import RunRecord

from .steps import Outcome

Result = Literal["pass", "FAIL", "not checked"]

NO_GPU = "no GPU"
GIB = 2**30


class Check(NamedTuple):
    """A line of the page.

    Attributes:
        name: what is checked.
        where: the run that is checked; empty where it is the whole machine.
        result: what came of it.
        found: the number; where nothing was checked, why.
        wanted: what the number should be.
    """

    name: str
    where: str
    result: Result
    found: str
    wanted: str


def checked(name: str, where: str, holds: bool, found: str, wanted: str) -> Check:
    """Return a check that was made."""
    return Check(name, where, "pass" if holds else "FAIL", found, wanted)


def unchecked(name: str, where: str, reason: str, wanted: str) -> Check:
    """Return a check that could not be made."""
    return Check(name, where, "not checked", reason, wanted)


def page(
    parts: Mapping[str, Sequence[Check]],
    outcomes: Sequence[Outcome],
    run: RunRecord | None,
    unfinished: str | None,
) -> str:
    """Return the text.

    Args:
        parts: checks by title.
        outcomes: of the commands, in their order.
        run: a `run.json` of this machine; None where there is none yet.
        unfinished: what is under way; None at the end.
    """
    lines = ["adscale gpu-check", *machine_lines(run), ""]
    if unfinished:
        lines += [f"NOT FINISHED: {unfinished} was under way when this was written", ""]
    for title, checks in parts.items():
        lines += [f"## {title}", *map(check_line, checks), ""]
    lines += ["## commands", *map(outcome_line, outcomes), ""]
    lines.append(summary_line(parts, outcomes))
    return "\n".join(lines) + "\n"


def check_line(check: Check) -> str:
    """Return the line of a check: its number, and what was wanted."""
    wanted = "" if check.result == "not checked" else f"  [wanted: {check.wanted}]"
    return f"{check.result:<12}{check.name:<37}{check.where:<31} {check.found}{wanted}"


def outcome_line(outcome: Outcome) -> str:
    """Return the line of a command: how long it took, and what went wrong."""
    return f"{outcome.wall_s:>6.1f} s  {outcome.name:<48} {outcome.problem or 'ok'}"


def summary_line(parts: Mapping[str, Sequence[Check]], outcomes: Sequence[Outcome]) -> str:
    """Return the sums of all in one line."""
    counts = Counter(check.result for checks in parts.values() for check in checks)
    failed = sum(outcome.problem is not None for outcome in outcomes)
    total_s = sum(outcome.wall_s for outcome in outcomes)
    return (
        f"{counts['pass']} pass, {counts['FAIL']} FAIL, {counts['not checked']} not checked; "
        f"{failed} of {len(outcomes)} commands failed; {total_s:.0f} s"
    )


def machine_lines(run: RunRecord | None) -> list[str]:
    """Return the lines that name the machine."""
    if run is None:
        return ["machine: unknown, no run was completed"]
    hardware, software, gpu = run.hardware, run.software, run.hardware.gpu
    first = "no GPU"
    if gpu is not None:
        first = (
            f"{gpu.name}, {gpu.memory_bytes / GIB:.1f} GiB, compute capability "
            f"{gpu.compute_capability}, driver {gpu.driver}"
        )
    versions = ", ".join(
        f"{name} {getattr(software, name)}"
        for name in ("adscale", "torch", "cuda", "cudnn", "nsys", "nvtx", "python")
    )
    host = (
        f"{hardware.cpu_model}, {hardware.cpu_count} of {hardware.online_cpus} CPUs, "
        f"{hardware.memory_bytes / GIB:.0f} GiB, {software.os}"
    )
    return [
        f"device:   {first}",
        f"host:     {host}",
        f"software: {versions}",
        f"time:     {run.started_utc}",
    ]


def failed(parts: Mapping[str, Sequence[Check]], outcomes: Sequence[Outcome]) -> bool:
    """Return whether a check or a command failed."""
    results = [check.result for checks in parts.values() for check in checks]
    return "FAIL" in results or any(outcome.problem is not None for outcome in outcomes)
