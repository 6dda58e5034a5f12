"""Runs as on a GPU, with faults where a check shall see some."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from analysis.nsys.reading import read_profile
from analysis.profiles.range_table import run_ranges
from analysis.profiles.record import read_run
from analysis.tables import write_parquet
from tests.gpu_profiles import GpuRun, ProfileWriter, record_image, run_document

DROP = """DELETE FROM NVTX_EVENTS WHERE rowid = (SELECT max(rowid) FROM NVTX_EVENTS
          WHERE textId = (SELECT id FROM StringIds WHERE value = ?))"""
SUBMODULES = ("teacher", "student")
IMAGES = 40
RUN = GpuRun("M", 256, SUBMODULES, lambda name, image: 4_000_000, measured_images=IMAGES)


def write_run(
    folder: Path, *, run: GpuRun = RUN, stray_ns: int = 0, without: str = "", **changes: Any
) -> Path:
    """Folder of a run, measured and attributed.

    Args:
        folder: where.
        run: what to generate.
        stray_ns: of a kernel in each image that belongs to no submodule.
        without: range of which one is missing in the profile.
        changes: replace keys of `run.json`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    writer = ProfileWriter()
    for phase, images in (("warmup", run.warmup_images), ("measure", run.measured_images)):
        with writer.range(phase):
            for image in range(images):
                _image(writer, run, image, stray_ns)
    with writer.range("memory"):
        record_image(writer, run, 0)
    (folder / "run.json").write_text(json.dumps(run_document(run, **changes)))
    writer.write(folder / "profile.sqlite")
    attribute(folder)
    if without:
        with closing(sqlite3.connect(folder / "profile.sqlite")) as connection, connection:
            connection.execute(DROP, [without])
    return folder


def attribute(folder: Path) -> None:
    """What `python -m analysis attribute --run` writes."""
    found = run_ranges(read_run(folder / "run.json"), read_profile(folder / "profile.sqlite"))
    metadata = {} if found.coverage is None else found.coverage.as_metadata()
    write_parquet(found.table, folder / "ranges.parquet", metadata)


def _image(writer: ProfileWriter, run: GpuRun, image: int, stray_ns: int) -> None:
    if not stray_ns:
        record_image(writer, run, image)
        return
    for name in ("load", "prepare", "copy_to_device"):
        with writer.range(name):
            writer.cpu_ns += 1_000
    with writer.range("image"):
        for name in run.submodules:
            writer.submodule(name, run.work_ns(name, image))
        writer.kernel("stray", writer.gpu_ns, stray_ns)
        writer.gpu_ns += stray_ns
    writer.synchronize()
    with writer.range("copy_to_host"):
        writer.cpu_ns += 1_000


def machine(**changes: Any) -> dict[str, Any]:
    """`machine` of run.json: 20 samples of a GPU at work; lists replace those of a quantity."""
    samples: Mapping[str, Any] = {
        "time_ms": [100.0 * at for at in range(20)],
        "sm_clock_mhz": [1980.0] * 20,
        "memory_clock_mhz": [2619.0] * 20,
        "temperature_c": [45.0] * 20,
        "power_w": [320.0] * 20,
        "slowdown_reasons": [0.0] * 20,
        "others_share": [0.0] * 20,
    }
    return {
        "interval_ms": 100.0,
        "measured_ms": [0.0, 2000.0],
        "samples": {**samples, **changes},
        "unavailable": {},
        "idle_power_w": 70.0,
        "energy": None,
        "locked_sm_clock_mhz": None,
        "lock_problem": None,
        "foreign_processes": [],
    }
