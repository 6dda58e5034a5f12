"""Two studies at once: they never measure at the same time."""

from __future__ import annotations

import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from tests.profiling.running import FEW, TINY, command, ranges, record

PHASES = ("warmup", "measure")


def start(name: str, folder: Path, environment: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(*TINY, *FEW, "--device", name, "--collector", "embedded", "--out", name),
        env=environment, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def working_ns(run: Path) -> tuple[int, int]:
    """From the first image of the warm-up to the last that was measured, since 1970."""
    sqlite = run / "profile.sqlite"
    query = "SELECT utcEpochNs FROM TARGET_INFO_SESSION_START_TIME"
    with closing(sqlite3.connect(sqlite)) as connection:
        ((begin_ns,),) = connection.execute(query).fetchall()
    phases = {name: (start, end) for name, start, end in ranges(sqlite) if name in PHASES}
    return begin_ns + phases["warmup"][0], begin_ns + phases["measure"][1]


def test_two_runs_at_once_follow_each_other(
    tmp_path: Path, checkout_environment: dict[str, str]
) -> None:
    names = ("one", "other")
    started = {name: start(name, tmp_path, checkout_environment) for name in names}
    said = {name: process.communicate(timeout=600)[1] for name, process in started.items()}
    assert [process.returncode for process in started.values()] == [0, 0], said
    assert all(record(tmp_path / name)["status"] == "ok" for name in names)
    first, second = sorted(names, key=lambda name: working_ns(tmp_path / name))
    assert working_ns(tmp_path / first)[1] < working_ns(tmp_path / second)[0]
    assert (
        f"waiting for the measurement of {first}/SmallAutoencoder/reference-fp32/32" in said[second]
    )
