"""The command lines of nsys that record and export without its traps."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path


def profile_command(
    nsys: Path, output: Path, trace_cuda: bool, command: Sequence[str]
) -> list[str]:
    """Records a program from its start to its end.

    What is not asked for matters as much: OS runtime tracing makes reports of gigabytes, a
    capture range can end without a report, memory usage tracing and statistics cost time.

    Args:
        nsys: the nsys program.
        output: the report, ending in ``.nsys-rep``; it is overwritten.
        trace_cuda: whether to record the GPU.
        command: the program and its arguments.
    """
    return [
        str(nsys),
        "profile",
        f"--trace={'cuda,nvtx' if trace_cuda else 'nvtx'}",
        "--sample=none",  # both need a low perf_event_paranoid
        "--cpuctxsw=none",
        "--show-output=true",
        "--wait=primary",  # not for processes that the program leaves behind
        "--force-overwrite=true",  # without it nsys writes elsewhere and exits 0
        f"--output={str(output).replace('%', '%%')}",  # %p and others are replaced by nsys
        *command,
    ]


def profile_environment(tmpdir: Path, base: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment for nsys and the program: the base's, with a private temporary folder.

    nsys puts libraries into the temporary folder and loads them into the program, and it makes
    a world-writable folder there that the next user of the machine may not write.

    Args:
        tmpdir: a folder of this run alone, on a file system that allows execution.
        base: the environment to start from; None: that of this process.
    """
    return {**(os.environ if base is None else base), "TMPDIR": str(tmpdir)}


def export_command(nsys: Path, report: Path, sqlite: Path) -> list[str]:
    """Exports a report to SQLite, overwriting what is there."""
    return [
        str(nsys),
        "export",
        "--type=sqlite",
        "--force-overwrite=true",
        "--quiet=true",
        f"--output={sqlite}",
        str(report),
    ]
