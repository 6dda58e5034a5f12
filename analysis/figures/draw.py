"""All figures of a study, by name."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import pandas as pd

from adscale.errors import ArgumentError

from ..hardware import Hardware
from ..profiles.times import MAIN_CLOCK
from .canvas import Drawing, Style, rc_parameters, save
from .clocks import clocks, latency_parts, scaling_latency
from .feasibility import feasibility
from .fit_check import fit_check
from .marks import with_runs
from .memory import memory_extrapolation, memory_peak
from .ratios import implementation_ratios, launch_bound
from .scaling import scaling_memory, scaling_needed, scaling_runtime
from .shares import memory_share, runtime_share

Figures = dict[str, Callable[[], Drawing]]
"""What draws each figure."""


class StudyTables(NamedTuple):
    """What the figures of a study are drawn from."""

    runtime: pd.DataFrame
    """``runtime.csv``."""
    memory: pd.DataFrame
    """``memory.csv``."""
    methods: pd.DataFrame
    """``memory_methods.csv``."""
    fits: pd.DataFrame
    """``fits.csv``."""
    fit_models: pd.DataFrame
    """``fit_models.csv``."""
    fit_curves: pd.DataFrame
    """``fit_curves.csv``."""
    implementations: pd.DataFrame
    """``implementations.csv``."""
    extrapolation: pd.DataFrame
    """``memory_extrapolation.csv``."""
    feasibility: pd.DataFrame | None = None
    """``feasibility.csv``; without it there is no figure of it."""
    runs: pd.DataFrame | None = None
    """``runs.csv``; without it, captions do not say how the runs were executed."""


def study_figures(tables: StudyTables, hardware: Hardware, style: Style) -> Figures:
    """The figures that these tables allow, by name.

    Args:
        tables: of the study.
        hardware: GPUs and sensors to read memory against.
        style: sizes and fonts.
    """
    tables = tables._replace(runtime=with_runs(tables.runtime, tables.runs))
    return {
        **_runtime_figures(tables, hardware, style),
        **_clock_figures(tables, style),
        **_latency_figures(tables, style),
        **_fit_figures(tables, style),
        **_memory_figures(tables, hardware, style),
        **_feasibility_figures(tables.feasibility, style),
    }


def _runtime_figures(tables: StudyTables, hardware: Hardware, style: Style) -> Figures:
    figures: Figures = {}
    for key, rows in tables.runtime.groupby(["device", "method", "variant"], sort=False):
        figures["_".join(("runtime_share", *map(str, key)))] = partial(runtime_share, rows, style)
    for key, rows in tables.runtime.groupby(["device", "variant"], sort=False):
        name = "_".join(("scaling_runtime", *map(str, key)))
        figures[name] = partial(
            scaling_runtime, rows, tables.fits, tables.fit_curves, hardware, style
        )
    return figures


def _clock_figures(tables: StudyTables, style: Style) -> Figures:
    figures: Figures = {}
    for key, rows in tables.runtime.groupby(["device", "method", "variant"], sort=False):
        figures["_".join(("clocks", *map(str, key)))] = partial(clocks, rows, style)
    on_gpu = tables.runtime[tables.runtime["device_type"] == "cuda"]
    for key, rows in on_gpu.groupby(["device", "variant"], sort=False):
        figures["_".join(("launch_bound", *map(str, key)))] = partial(launch_bound, rows, style)
    pairs = tables.implementations.groupby(["device", "method", "precision"], sort=False)
    for key, rows in pairs:
        name = "_".join(("implementations", *map(str, key)))
        figures[name] = partial(implementation_ratios, rows, style)
    return figures


def _fit_figures(tables: StudyTables, style: Style) -> Figures:
    figures: Figures = {}
    for key, rows in tables.runtime.groupby(["device", "method", "variant"], sort=False):
        clock = MAIN_CLOCK[rows["device_type"].iloc[0]]
        curves, models, fits = (
            _of_series(table, (*map(str, key), clock))
            for table in (tables.fit_curves, tables.fit_models, tables.fits)
        )
        name = "_".join(("fit_check", *map(str, key)))
        of_clock = rows[rows["clock"] == clock]
        figures[name] = partial(fit_check, curves, models, fits, of_clock, style)
    return figures


def _of_series(table: pd.DataFrame, series: tuple[str, ...]) -> pd.DataFrame:
    """Rows of a table of fits that are of runtimes of one device, method, variant and clock."""
    runtime = table[table["quantity"] == "runtime"]
    return runtime[(runtime[["device", "method", "variant", "clock"]] == list(series)).all(axis=1)]


def _latency_figures(tables: StudyTables, style: Style) -> Figures:
    """Only where images were measured without a profiler."""
    figures: Figures = {}
    latency = tables.runtime[tables.runtime["clock"] == "latency"]
    for key, rows in latency.groupby(["device", "method", "variant"], sort=False):
        figures["_".join(("latency_parts", *map(str, key)))] = partial(latency_parts, rows, style)
    for key, rows in latency.groupby(["device", "variant"], sort=False):
        name = "_".join(("scaling_latency", *map(str, key)))
        figures[name] = partial(scaling_latency, rows, style)
    return figures


def _memory_figures(tables: StudyTables, hardware: Hardware, style: Style) -> Figures:
    figures: Figures = {}
    for key, rows in tables.memory.groupby(["method", "variant"], sort=False):
        name = "_".join(map(str, key))
        of_both = (tables.methods[["method", "variant"]] == list(key)).all(axis=1)
        figures[f"memory_share_{name}"] = partial(memory_share, rows, style)
        figures[f"memory_peak_{name}"] = partial(memory_peak, rows, tables.methods[of_both], style)
    for variant in tables.memory["variant"].unique():
        rows = tables.memory[tables.memory["variant"] == variant]
        whole = tables.methods[tables.methods["variant"] == variant]
        judged = tables.extrapolation[tables.extrapolation["variant"] == variant]
        figures[f"scaling_memory_{variant}"] = partial(
            scaling_memory, whole, tables.fit_curves, hardware, style
        )
        figures[f"scaling_needed_{variant}"] = partial(scaling_needed, whole, hardware, style)
        figures[f"memory_extrapolation_{variant}"] = partial(
            memory_extrapolation, rows, judged, style
        )
    return figures


def _feasibility_figures(table: pd.DataFrame | None, style: Style) -> Figures:
    """None without sensors to judge by."""
    if table is None:
        return {}
    return {
        f"feasibility_{variant}": partial(feasibility, rows, style)
        for variant, rows in table.groupby("variant", sort=False)
    }


def draw_figures(
    figures: Figures, folder: Path, style: Style, only: Collection[str] = ()
) -> list[Path]:
    """Draw and store figures.

    Args:
        figures: what `study_figures` found.
        folder: where the files go.
        style: sizes and fonts.
        only: names of the figures to draw; all if empty.

    Returns:
        The files written.

    Raises:
        ArgumentError: there is no figure of a name in `only`.
        OutputError: the folder cannot be written.
    """
    for name in only:
        if name not in figures:
            remedy = f"choose from: {', '.join(figures) or 'none, the tables are empty'}"
            raise ArgumentError("--only", f"there is no figure {name!r}", remedy)
    written: list[Path] = []
    with mpl.rc_context(rc_parameters(style)):  # type: ignore[arg-type]
        for name in only or figures:
            written.extend(save(figures[name](), folder, style))
    return written
