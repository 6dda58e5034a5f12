"""The methods and commands of a check, their results, and the page of text that they end in."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple

from adscale.parts import ROOT
from adscale.run_record import RunRecord

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


GRACE_S = 15.0
"""For a command that is interrupted: pytest writes its report then, a run ends its processes."""
LEAST_S = 5.0
"""Time left below which nothing is begun."""
BUDGET_S = 570.0
"""For everything: it has to fit into ten minutes."""
TWO_RUNS, RANGES, TESTS = "two at once", "cost of ranges", "tests"
VARIANT = "reference-fp32"


class Case(NamedTuple):
    """A method that is run.

    Attributes:
        target: the method.
        settings: settings of the method, as `--set` takes them.
        side_px: side length on a GPU.
        cpu_side_px: side length on a CPU: the smallest that the method runs at.
        images: number of measured images on a GPU.
    """

    target: str
    settings: tuple[str, ...]
    side_px: int
    cpu_side_px: int
    images: int

    @property
    def name(self) -> str:
        """The name of the method on the page."""
        return self.target

    def arguments(self, device_type: str) -> list[str]:
        """Return the arguments of a run and of a count."""
        chosen = [word for setting in self.settings for word in ("--set", setting)]
        side_px = self.side_px if device_type == "cuda" else self.cpu_side_px
        return [
            *("--method", self.target, *chosen, "--variant", VARIANT),
            *("--resolution", str(side_px), "--device-type", device_type),
        ]


CASES = (
    Case("efficientad", ("size=S",), 256, 256, 100),
    Case("patchcore", (), 256, 64, 100),
    Case("ddad", (), 128, 32, 40),
)

PARTS = (*(case.name for case in CASES), TWO_RUNS, RANGES, TESTS)
"""Titles of all parts."""


class Outcome(NamedTuple):
    """How a command ended.

    Attributes:
        name: what it does, in words.
        wall_s: how long it took.
        problem: why it counts as failed; None where it does not.
    """

    name: str
    wall_s: float
    problem: str | None


class Steps:
    """Runs commands one after the other and keeps how they ended.

    Args:
        folder: of the output files.
        budget_s: for all commands together.
        slack: by which factor the limits of single commands are longer.
    """

    def __init__(self, folder: Path, budget_s: float, slack: float = 1.0) -> None:
        self.folder = folder
        self.outcomes: list[Outcome] = []
        self._slack = slack
        self._end_s = time.monotonic() + budget_s

    def run(self, name: str, *commands: Sequence[str], budget_s: float) -> list[str] | None:
        """Runs one command, or several at once.

        Args:
            name: what they do; names the file of their output, too.
            commands: programs with their arguments, run in `ROOT`.
            budget_s: time after which they are interrupted.

        Returns:
            What each printed; None where one failed.
        """
        start_s = time.monotonic()
        limit_s = min(budget_s * self._slack, self._end_s - start_s)
        if limit_s < LEAST_S:
            self.outcomes.append(Outcome(name, 0.0, "not begun: no time left"))
            return None
        word = "-".join("".join(c if c.isalnum() else " " for c in name).split())
        logs = [self.folder / f"{word}-{number}.log" for number in range(len(commands))]
        problems = run_together(commands, logs, limit_s)
        texts = [log.read_text(encoding="utf-8", errors="replace") for log in logs]
        said = [
            f"{problem}: {last_line(text)}"
            for problem, text in zip(problems, texts, strict=True)
            if problem
        ]
        wall_s = time.monotonic() - start_s
        self.outcomes.append(Outcome(name, wall_s, said[0] if said else None))
        return None if said else texts


def run_together(
    commands: Sequence[Sequence[str]], logs: Sequence[Path], limit_s: float
) -> list[str | None]:
    """Runs commands at once, each in a session of its own.

    They end with this process where that is interrupted.

    Returns:
        What went wrong with each; None where nothing did.
    """
    end_s = time.monotonic() + limit_s
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for command, log in zip(commands, logs, strict=True):
            with log.open("wb") as file:
                processes.append(
                    subprocess.Popen(
                        command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL,
                        stdout=file, stderr=subprocess.STDOUT, start_new_session=True,
                    )
                )  # fmt: skip
        waits_s = (max(0.0, end_s - time.monotonic()) for _ in processes)
        return [_finish(*one, limit_s) for one in zip(processes, waits_s, strict=True)]
    except BaseException:
        for process in processes:
            _end(process)
        raise


def _finish(process: subprocess.Popen[bytes], wait_s: float, limit_s: float) -> str | None:
    try:
        code = process.wait(wait_s)
    except subprocess.TimeoutExpired:
        _end(process)
        return f"stopped after {limit_s:.0f} s"
    return None if code == 0 else f"exit code {code}"


def _end(process: subprocess.Popen[bytes]) -> None:
    """Asks a process, and what it has started, to end; kills what does not."""
    for signum in (signal.SIGINT, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signum)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_S)
            break


def last_line(text: str) -> str:
    """Return the last line that says something."""
    lines = [line.strip() for line in text.replace("\r", "\n").splitlines() if line.strip()]
    return lines[-1][:160] if lines else "it printed nothing"
