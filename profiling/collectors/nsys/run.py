"""Running a program under nsys without its traps: a whole report under its name, or none."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO

from adscale.errors import CollectorError

from ...processes import Finished, run_forwarding
from ...seclusion import seclusion

VERSION_TIMEOUT_S = 60


def profile_command(
    nsys: Path,
    output: Path,
    trace_cuda: bool,
    command: Sequence[str],
    *,
    graph_nodes: bool = False,
) -> list[str]:
    """Records a program from its start to its end.

    What is not asked for matters as much: OS runtime tracing makes reports of gigabytes, a
    capture range can end without a report, memory usage tracing and statistics cost time.

    Args:
        nsys: the nsys program.
        output: the report, ending in ``.nsys-rep``; it is overwritten.
        trace_cuda: whether to record the GPU.
        command: the program and its arguments.
        graph_nodes: whether to record each kernel of a CUDA graph, which costs time; else there is
            the graph as a whole, which says nothing of its kernels.
    """
    return [
        str(nsys),
        "profile",
        *(["--cuda-graph-trace=node"] if graph_nodes else []),
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


def export_report(nsys: Path, report: Path, output: Path) -> int | None:
    """Exports a report to SQLite, without the environments that nsys puts into it.

    Args:
        nsys: the nsys program.
        report: of nsys.
        output: the file to write.

    Returns:
        The signal to this process that ended it; None: it is exported.

    Raises:
        CollectorError: nsys cannot export it.
    """
    with tempfile.TemporaryFile() as printed:
        done = run_forwarding(export_command(nsys, report, output), os.environ, output=printed)
        printed.seek(0)
        said = printed.read().decode(errors="replace").strip() or f"exit code {done.returncode}"
    if done.received is not None:
        return done.received
    if done.returncode != 0 or not output.is_file():
        remedy = "is it whole, and of this nsys or an older one? Else measure it again"
        raise CollectorError(str(report), f"nsys could not export it ({said})", remedy)
    try:
        _forget_processes(output)
    except sqlite3.Error as error:  # it may hold what is nobody else's business
        output.unlink()
        what = f"its texts could not be overwritten ({error})"
        raise CollectorError(str(output), what, "free the disk, or export to another") from None
    return None


def _forget_processes(sqlite: Path) -> None:
    """Overwrites the environments of processes, which nsys puts among its texts.

    They are of all processes that it could look into when it recorded, see
    ``profiling.seclusion``; none of what we read refers to them.
    """
    # without locks: nobody else has this file, and some file systems have none
    uri = f"{sqlite.absolute().as_uri()}?nolock=1"
    with closing(sqlite3.connect(uri, uri=True)) as database, database:
        database.execute("PRAGMA secure_delete = ON")
        if database.execute("SELECT 1 FROM sqlite_master WHERE name = 'StringIds'").fetchone():
            database.execute(
                "UPDATE StringIds SET value = '' "
                "WHERE instr(value, char(0)) > 0 AND instr(value, '=') > 0"
            )


def run_profiled(
    nsys: Path,
    output: Path,
    command: Sequence[str],
    *,
    trace_cuda: bool,
    graph_nodes: bool = False,
    environment: Mapping[str, str] | None = None,
    log: IO[bytes] | None = None,
    grace_s: float = 10.0,
    timeout_s: float | None = None,
    secluded: bool = True,
) -> int:
    """Runs a program under nsys and puts the report at ``output``, replacing what is there.

    SIGTERM and SIGINT to this process end the program and nsys; then there is no report.

    Args:
        nsys: the nsys program.
        output: the report; its folder is made.
        command: the program and its arguments.
        trace_cuda: whether to record the GPU.
        graph_nodes: see ``profile_command``.
        environment: the program's environment; None: that of this process.
        log: takes what the program and nsys print; None: it passes through.
        grace_s: seconds that all processes get to end after a signal before they are killed.
        timeout_s: seconds after which the program is ended.
        secluded: whether nsys is kept from looking into other processes, whose environments it
            would write into the report; root's right to set a GPU's clocks goes with it.

    Returns:
        The program's own exit code, 128 + n for signal n; a failed one may have left a report.

    Raises:
        CollectorError: nsys cannot be run, wrote no report, or was timed out.
    """
    # one fixed name: what a killed run left behind is overwritten by the next
    unfinished = output.with_name(f".{output.stem}.unfinished.nsys-rep")
    argv = profile_command(nsys, unfinished, trace_cuda, command, graph_nodes=graph_nodes)
    first = seclusion() if secluded and _is_driver_loaded(trace_cuda) else None
    run = partial(run_forwarding, output=log, grace_s=grace_s, timeout_s=timeout_s)
    try:
        finished = _run_secluded(run, argv, environment, first, unfinished)
        return _publish(nsys, finished, unfinished, output)
    except OSError as error:
        remedy = "check the path of nsys, and that its folders can be written and have room"
        raise CollectorError(str(nsys), f"cannot record to {output} ({error})", remedy) from None
    finally:
        with suppress(OSError):
            unfinished.unlink()


def _run_secluded(
    run: Callable[..., Finished],
    argv: Sequence[str],
    environment: Mapping[str, str] | None,
    first: Callable[[], None] | None,
    unfinished: Path,
) -> Finished:
    """Runs nsys with what secludes it, where there is that, and without if this lost the report."""
    unfinished.parent.mkdir(parents=True, exist_ok=True)
    unfinished.unlink(missing_ok=True)
    with _temporary_folder(unfinished.parent) as tmpdir:
        variables = profile_environment(tmpdir, environment)
        finished = run(argv, variables, first=first)
        if first is not None and _is_lost(finished, unfinished):
            # 2023.4.4 loses its agent now and then where it is secluded and others compute
            print("nsys wrote no report; once more, not secluded", file=sys.stderr, flush=True)
            finished = run(argv, variables)
    return finished


def _is_driver_loaded(needed: bool) -> bool:
    """Whether CUDA need not load a part of its driver, for which it starts a program as root."""
    return not needed or Path("/dev/nvidia-uvm").exists()


def _is_lost(finished: Finished, unfinished: Path) -> bool:
    """Whether nsys ended by itself, and without a report."""
    ended = finished.received is None and not finished.timed_out and 0 <= finished.returncode <= 128
    return ended and not (unfinished.is_file() and unfinished.stat().st_size > 0)


def _publish(nsys: Path, finished: Finished, unfinished: Path, output: Path) -> int:
    if finished.received is not None:
        return 128 + finished.received
    code = finished.returncode if finished.returncode >= 0 else 128 - finished.returncode
    if finished.timed_out:
        remedy = "see what it printed, or choose the embedded collector"
        raise CollectorError(str(nsys), "did not end in time and was stopped", remedy)
    if unfinished.is_file() and unfinished.stat().st_size > 0:
        os.replace(unfinished, output)  # noqa: PTH105 - says that it replaces
    elif code <= 128:  # a killed nsys writes none, which the exit code tells
        what = f"nsys ended with exit code {code} and wrote no report"
        remedy = f"read what it printed, and check that {output.parent} can be written and has room"
        raise CollectorError(str(nsys), what, remedy)
    return code


@contextmanager
def _temporary_folder(beside: Path) -> Iterator[Path]:
    """A private folder that allows execution: where temporary files go, or else beside a file."""
    parent = Path(tempfile.gettempdir())
    if os.statvfs(parent).f_flag & os.ST_NOEXEC:
        parent = beside.resolve()
    with tempfile.TemporaryDirectory(
        prefix="adscale-", dir=parent, ignore_cleanup_errors=True
    ) as folder:
        yield Path(folder)


def nsys_version(path: Path) -> str:
    """Version of an nsys, such as ``2023.4.4.54``.

    Raises:
        CollectorError: the program does not run, or does not name its version.
    """
    command = [str(path), "--version"]
    remedy = "correct the path of nsys, install it again, or choose the embedded collector"
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=VERSION_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CollectorError(str(path), f"does not run ({error})", remedy) from None
    found = re.search(r"\b(\d{4}(?:\.\d+)+)", done.stdout)
    if done.returncode != 0 or found is None:
        what = f"`--version` ended with exit code {done.returncode} and named no version"
        raise CollectorError(str(path), what, remedy)
    return found[1]
