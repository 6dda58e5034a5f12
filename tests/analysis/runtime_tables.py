"""Runs and their tables, for the tests of `runtime.csv`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.nsys.reading import read_profile
from analysis.profiles.range_table import run_ranges
from analysis.profiles.record import read_run
from analysis.profiles.study_runs import read_study_runs
from analysis.profiles.times import PassTimes, profiled_times
from analysis.runtime_table import runtime_table as table_of
from analysis.tables import write_parquet
from tests.gpu_profiles import (
    GpuRun,
    write_gpu_run,
)

RUN = GpuRun("M", 256, ("teacher", "student"), lambda name, image: 400_000 * (len(name) + image))
Row = Callable[[str, str], Any]


def measured(folder: Path, run: GpuRun = RUN) -> Path:
    write_gpu_run(folder, run)
    return attributed(folder)


def attributed(folder: Path) -> Path:
    profile = read_profile(folder / "profile.sqlite")
    write_parquet(
        run_ranges(read_run(folder / "run.json"), profile).table, folder / "ranges.parquet"
    )
    return folder


def runtime_table(folders: Sequence[Path], with_latency: bool = False) -> pd.DataFrame:
    return table_of(read_study_runs(folders, with_latency))


def one(table: pd.DataFrame, **where: object) -> Any:
    for column, value in where.items():
        table = table[table[column] == value]
    assert len(table) == 1
    return table.iloc[0]


def study(folder: Path, factors: Sequence[float], images: int = 40, **more: Any) -> list[Path]:
    """Processes of one run, each by a factor slower than the first, with noise of 1 %."""
    folders = []
    for number, factor in enumerate(factors, start=1):
        noise = 1 + 0.01 * np.random.default_rng(number).standard_normal(images)

        def work_ns(name: str, image: int, level: Any = factor * noise) -> int:
            return 4 * round(100_000 * len(name) * float(level[image % images]))

        run = replace(RUN, work_ns=work_ns, measured_images=images, process=number, **more)
        folders.append(measured(folder / (f"process-{number}" if number > 1 else ""), run))
    return folders


def whole_images(folder: Path) -> PassTimes:
    return profiled_times(read_run(folder / "run.json"))
