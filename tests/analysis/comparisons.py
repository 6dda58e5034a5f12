"""Folders of results with simulated times, to be compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from adscale.mean_error import Floats
from analysis.comparison.sides import Side, pair_sides
from analysis.comparison.table import comparison_table
from analysis.runtime_table import RUNTIME
from analysis.statistics.summary import summarize_series
from analysis.tables import make_table, write_csv
from tests.analysis.drawings import runs_table, runtime_row

PARTS = {"teacher": 1.0, "student": 2.0, "image": 3.2}


@dataclass
class Measured:
    """What `results` simulates: normal times around `ms(submodule, side)`.

    Attributes:
        ms: true mean of a submodule at a side in px.
        noise: standard deviation of images as a share of the mean.
        process_noise: standard deviation of processes, the same.
        images: in each process.
        processes: of each run.
        row: columns of `runtime.csv` that are different from the usual ones.
        runs: columns of `runs.csv` that are.
    """

    ms: Callable[[str, int], float] = lambda part, side: PARTS[part] * (1 + side**2 / 1e6)
    noise: float = 0.03
    process_noise: float = 0.0
    images: int = 100
    processes: int = 1
    sides_px: tuple[int, ...] = (256, 512, 1024)
    clocks: tuple[str, ...] = ("busy",)
    row: Mapping[str, Any] = field(default_factory=dict)
    runs: Mapping[str, Any] = field(default_factory=dict)

    def runtime(self, seed: int) -> pd.DataFrame:
        generator = np.random.default_rng(seed)
        rows = [
            self._row(part, side_px, clock, generator)
            for clock in self.clocks
            for side_px in self.sides_px
            for part in PARTS
            if part == "image" or clock != "latency"
        ]
        return make_table(rows, RUNTIME.schema)

    def _row(
        self, part: str, side_px: int, clock: str, generator: np.random.Generator
    ) -> dict[str, Any]:
        series = [self._times(self.ms(part, side_px), generator) for _ in range(self.processes)]
        summary = summarize_series(series)
        role = "image" if part == "image" else "submodule"
        times = {
            "clock": clock,
            "processes": summary.processes,
            "images": summary.images,
            "mean_ms": summary.mean.value,
            "standard_error_ms": summary.standard_error,
            "degrees_of_freedom": summary.degrees_of_freedom,
            "median_ms": summary.median.value,
            "median_standard_error_ms": summary.median_standard_error,
            "median_degrees_of_freedom": summary.median_degrees_of_freedom,
        }
        return {**runtime_row("M", side_px, part, role), **times, **self.row}

    def _times(self, mean_ms: float, generator: np.random.Generator) -> Floats:
        level = mean_ms * (1 + self.process_noise * generator.normal())
        return np.asarray(generator.normal(level, self.noise * level, self.images))

    def write(self, folder: Path, seed: int = 1) -> Path:
        """A folder of results; its path."""
        runtime = self.runtime(seed)
        write_csv(runtime, folder / "tables" / "runtime.csv")
        write_csv(runs_table(runtime, **self.runs), folder / "tables" / "runs.csv")
        return folder

    def side(self, name: str, seed: int) -> Side:
        runtime = self.runtime(seed)
        return Side(name, Path(name), Path(name), runtime, runs_table(runtime, **self.runs))


def compare(a: Measured, b: Measured, seeds: tuple[int, int] = (1, 2), **more: Any) -> pd.DataFrame:
    """The comparison of two simulated measurements."""
    return comparison_table(*pair_sides(a.side("A", seeds[0]), b.side("B", seeds[1]), {}), **more)


def times(factor: float) -> Callable[[str, int], float]:
    """Truth that is so many times that of `Measured`."""
    usual = Measured().ms
    return lambda part, side_px: factor * usual(part, side_px)
