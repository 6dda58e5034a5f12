"""Whether an nsys records the ranges of Python here.

With some versions of nsys and nvtx no range is recorded, and nothing is said.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing, suppress
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from adscale.errors import CollectorError
from adscale.names import DOMAIN

from .run import export_command, nsys_version, run_profiled

RANGES_EXPECTED = 7
TIMEOUT_S = 120

# writes the version of nvtx that it used, then opens 1 + 3 x 2 ranges
PROGRAM = f"""
import sys
from importlib import metadata
import nvtx
with open(sys.argv[1], "w") as stream:
    stream.write(metadata.version("nvtx"))
with nvtx.annotate("outer", domain={DOMAIN!r}):
    for _ in range(3):
        with nvtx.annotate("image", domain={DOMAIN!r}):
            with nvtx.annotate("submodule", domain={DOMAIN!r}):
                pass
"""

# hands its environment to another process, and ends after that
HANDING_ON = """
import json, os, sys
with open(sys.argv[1], "w") as stream:
    json.dump(dict(os.environ), stream)
with open(sys.argv[2]) as stream:
    stream.read()
"""

# the other process, which nsys has not started
ADOPTED = f"""
import json, os, sys
with open(sys.argv[2]) as stream:
    os.environ.update(json.load(stream))
ends_with_this_process = open(sys.argv[3], "w")
{PROGRAM}
"""

COUNT_RANGES = """
SELECT count(*) FROM NVTX_EVENTS AS range
JOIN NVTX_EVENTS AS domain ON domain.eventType = 75 AND domain.domainId = range.domainId
WHERE range.eventType = 59 AND domain.text = ?
"""

MESSAGES = """
SELECT value FROM StringIds
WHERE value LIKE '%incompatible%' OR value LIKE 'Number of NVTX events collected%' ORDER BY id
"""


class SelfTest(NamedTuple):
    """The ranges that nsys recorded of a program, whose number is known."""

    ok: bool
    ranges_found: int
    ranges_expected: int
    reason: str
    """One sentence: both versions, and where ranges are missing, why and what to do."""


def self_test(nsys: Path, python: str = sys.executable, *, adopted: bool = False) -> SelfTest:
    """Records a tiny program with nested ranges and counts them in the export.

    Args:
        nsys: the nsys program.
        python: the interpreter whose ``nvtx`` is tested.
        adopted: whether the ranges are those of a process that nsys has not started, and that has
            the environment of one that it has, as in `profiling.fork_server`.

    Raises:
        CollectorError: nsys or the program fails outright, which is another fault than
            missing ranges.
    """
    version = nsys_version(nsys)
    with tempfile.TemporaryDirectory(prefix="adscale-self-test-") as name:
        folder = Path(name)
        nvtx = (_record_adopted if adopted else _record)(nsys, python, folder)
        found, messages = _read(_export(nsys, folder))
    recorded = f"nsys {version} with nvtx {nvtx} recorded {found} of {RANGES_EXPECTED} ranges"
    if found == RANGES_EXPECTED:
        return SelfTest(True, found, RANGES_EXPECTED, recorded)
    quoted = " ".join(" ".join(messages).split()) or "nothing about it"
    remedy = "install nvtx==0.2.11, or a newer nsys-cli"
    reason = f"{recorded} (nsys says: {quoted}); {remedy}"
    return SelfTest(False, found, RANGES_EXPECTED, reason)


def self_test_cached(
    nsys: Path, python: str, cache_dir: Path, *, adopted: bool = False
) -> SelfTest:
    """The result of :func:`self_test`, kept in a file for as long as nothing it rests on changes.

    That is the nsys program (path, time of change, and with them its version), the interpreter
    and the version of its ``nvtx``.

    Raises:
        CollectorError: as in :func:`self_test`; such a failure is not kept.
    """
    key = {**_cache_key(nsys, python), **({"adopted": 1} if adopted else {})}
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]
    file = cache_dir / f"nsys-self-test-{digest}.json"
    with suppress(OSError, ValueError, KeyError, TypeError):  # absent or damaged: test again
        kept = json.loads(file.read_text(encoding="utf-8"))
        if kept["key"] == key:
            return SelfTest(**kept["result"])
    result = self_test(nsys, python, adopted=adopted)
    _keep(file, {"key": key, "result": result._asdict()})
    return result


def records_adopted(nsys: Path, cache_dir: Path) -> bool:
    """Whether an nsys records ranges of a process that it has not started, with this interpreter.

    Args:
        nsys: the nsys program.
        cache_dir: as in `self_test_cached`.
    """
    try:
        return self_test_cached(nsys, sys.executable, cache_dir, adopted=True).ok
    except CollectorError:
        return False


def _record(nsys: Path, python: str, folder: Path) -> str:
    """Runs the program; returns its version of nvtx."""
    version = folder / "nvtx-version"
    _run(nsys, [python, "-c", PROGRAM, str(version)], folder)
    return version.read_text(encoding="utf-8")


def _record_adopted(nsys: Path, python: str, folder: Path) -> str:
    """Does ``_record`` with a program beside that which nsys runs."""
    version, *pipes = (str(folder / name) for name in ("nvtx-version", "environment", "end"))
    for pipe in pipes:
        os.mkfifo(pipe)
    with subprocess.Popen(
        [python, "-c", ADOPTED, version, *pipes],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
    ) as beside:
        try:
            _run(nsys, [python, "-c", HANDING_ON, *pipes], folder)
        finally:
            beside.kill()
    return Path(version).read_text(encoding="utf-8")


def _run(nsys: Path, command: list[str], folder: Path) -> None:
    log = folder / "log"
    report = folder / "self-test.nsys-rep"
    with log.open("wb") as stream:
        code = run_profiled(
            nsys, report, command, trace_cuda=False, log=stream, timeout_s=TIMEOUT_S
        )
    if code != 0:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        said = next((line for line in reversed(lines) if "Error" in line), "")
        what = f"a test program under nsys ended with exit code {code} {said}"
        remedy = f"see that {command[0]} has nvtx and that nsys runs"
        raise CollectorError(str(nsys), what, remedy)


def _export(nsys: Path, folder: Path) -> Path:
    sqlite = folder / "self-test.sqlite"
    command = export_command(nsys, folder / "self-test.nsys-rep", sqlite)
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise CollectorError(str(nsys), "its export did not end", "install nsys again") from None
    if done.returncode != 0 or not sqlite.is_file():
        what = f"its export failed: {done.stderr or done.stdout}"
        raise CollectorError(str(nsys), what, "install nsys with its host part (`nsys export`)")
    return sqlite


def _read(sqlite: Path) -> tuple[int, list[str]]:
    # without locks, which some file systems have not
    with closing(sqlite3.connect(f"{sqlite.absolute().as_uri()}?nolock=1", uri=True)) as database:
        messages = [text for (text,) in database.execute(MESSAGES)]
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
        if "NVTX_EVENTS" not in tables:  # nsys leaves out what would be empty
            return 0, messages
        (found,) = database.execute(COUNT_RANGES, (DOMAIN,)).fetchone()
    return found, messages


def _cache_key(nsys: Path, python: str) -> dict[str, str | int | None]:
    real = nsys.resolve()
    return {
        "nsys": str(real),
        "changed_ns": real.stat().st_mtime_ns,
        "python": python,
        "pythonpath": os.environ.get("PYTHONPATH"),
        "nvtx": _nvtx_version(python),
    }


def _nvtx_version(python: str) -> str | None:
    if python == sys.executable:
        try:
            return metadata.version("nvtx")
        except metadata.PackageNotFoundError:
            return None
    code = "from importlib import metadata; print(metadata.version('nvtx'))"
    command = [python, "-c", code]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def _keep(file: Path, content: dict[str, object]) -> None:
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    with suppress(OSError):  # without a cache it is slower, no more
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        temporary.replace(file)
