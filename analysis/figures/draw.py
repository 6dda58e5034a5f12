"""All figures of a study, by name."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path

import matplotlib as mpl
import pandas as pd

from analysis.errors import ArgumentError
from analysis.figures.canvas import Drawing, save
from analysis.figures.scaling import scaling_memory, scaling_runtime
from analysis.figures.shares import memory_share, runtime_share
from analysis.figures.style import Style, rc_parameters

Figures = dict[str, Callable[[], Drawing]]
"""What draws each figure."""


def study_figures(
    runtime: pd.DataFrame, memory: pd.DataFrame, fits: pd.DataFrame, style: Style
) -> Figures:
    """The figures that these tables allow, by name.

    Args:
        runtime: `runtime.csv`.
        memory: `memory.csv`.
        fits: `fits.csv`.
        style: sizes and fonts.
    """
    figures: Figures = {}
    for key, rows in runtime.groupby(["device", "method", "variant"], sort=False):
        figures["_".join(("runtime_share", *map(str, key)))] = partial(runtime_share, rows, style)
    for key, rows in memory.groupby(["method", "variant"], sort=False):
        figures["_".join(("memory_share", *map(str, key)))] = partial(memory_share, rows, style)
    for key, rows in runtime.groupby(["device", "variant"], sort=False):
        name = "_".join(("scaling_runtime", *map(str, key)))
        figures[name] = partial(scaling_runtime, rows, fits, style)
    for variant, rows in memory.groupby("variant", sort=False):
        figures[f"scaling_memory_{variant}"] = partial(scaling_memory, rows, fits, style)
    return figures


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
