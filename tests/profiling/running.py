"""Runs started as a user starts them, and what they have written."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from adscale.files import read_record
from adscale.models import jsonable
from adscale.run_record import RunRecord

SUBMODULES = ["teacher", "student", "autoencoder", "anomaly_map"]
SMALL = ["--set", "size=S", "--device-type", "cpu", "--threads", "2"]
TINY = ["--method", "examples.small_autoencoder:SmallAutoencoder", "--device-type", "cpu",
        "--resolution", "32"]  # fmt: skip
"""A network that takes no time, where a test is not about one of ours."""
EMPTY_RANGES = ["empty range"] * 100
"""Behind the images of a profiled run: what a range costs."""
NOT_COUNTED = "of this test the memory is no matter"
"""In place of a count, where a test measures within its own process."""
SKIP = ["--skip-predicted-out-of-memory"]
FEW_TWICE = ["--warmup-images", "1", "--measured-images", "2", "--min-images", "2"]
FEW = [*FEW_TWICE, "--no-latency"]


def command(*arguments: str) -> list[str]:
    method = [] if "--method" in arguments else ["--method", "efficientad"]
    return [sys.executable, "-m", "profiling", "run", *method, *arguments]


def run(
    *arguments: str, environment: dict[str, str], cwd: Path, **options: Any
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), env=environment, cwd=cwd, capture_output=True, text=True,
        timeout=900, **options,  # others may be measuring on this device
    )  # fmt: skip


def record(folder: Path, name: str = "run.json") -> dict[str, Any]:
    """The record as it was written; its model reads it, too."""
    data: dict[str, Any] = json.loads((folder / name).read_text())
    assert jsonable(read_record(folder / name, RunRecord, "run again")) == data
    return data


def ranges(sqlite: Path) -> list[tuple[str, int, int]]:
    """Name, start and end of our push/pop ranges in order of their start.

    Libraries of a GPU may have ranges of their own, in other domains.
    """
    query = (
        "SELECT coalesce(s.value, e.text), e.start, e.end FROM NVTX_EVENTS e "
        "LEFT JOIN StringIds s ON s.id = e.textId WHERE e.eventType = 59 AND e.domainId IN ("
        "SELECT d.domainId FROM NVTX_EVENTS d LEFT JOIN StringIds t ON t.id = d.textId "
        "WHERE d.eventType = 75 AND coalesce(t.value, d.text) = 'adscale') "
        "ORDER BY e.start, e.end DESC"
    )
    with closing(sqlite3.connect(sqlite)) as connection:
        return connection.execute(query).fetchall()
