"""All figures of a study, by name, and how they are drawn."""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import TYPE_CHECKING

from adscale.errors import ArgumentError, OutputError
from adscale.figures import ROWS, FigureKind, Labels
from adscale.interrupts import InterruptedByUser, follow_parent, raised_interrupts
from adscale.tables import Table
from adscale.variant import Variant

from ..hardware import Hardware
from ..missing import Missing, missing_names
from ..runs_table import RUNS
from ..runtime_table import RUNTIME
from . import clocks, feasibility, fit_check, memory, pareto, ratios, scaling, shares
from .canvas import Drawing, Style, empty_drawing, rc_parameters, save, with_remark
from .marks import with_runs

if TYPE_CHECKING:
    import pandas as pd

FIGURES: tuple[FigureKind, ...] = (
    *feasibility.FIGURES,
    *scaling.FIGURES,
    *shares.FIGURES,
    *memory.FIGURES,
    *clocks.FIGURES,
    *ratios.FIGURES,
    *pareto.FIGURES,
    *fit_check.FIGURES,
)
"""All kinds of figures of a study."""

TABLES: tuple[Table, ...] = tuple(
    dict.fromkeys([RUNS, *(table for kind in FIGURES for table in kind.reads)])
)
"""The tables they are drawn from."""

Figures = dict[str, Callable[[], Drawing]]
"""The function that draws each figure."""


def study_figures(
    tables: Mapping[str, pd.DataFrame],
    hardware: Hardware,
    style: Style,
    missing: Mapping[str, Sequence[Missing]] | None = None,
    planned: Collection[str] = (),
) -> Figures:
    """The figures that these tables allow, by name, and those that a study has planned besides.

    Args:
        tables: of the study, by name. A figure of which a table is missing is not there; without
            `runs`, captions do not say how the runs were executed.
        hardware: GPUs and sensors to read memory against.
        style: sizes and fonts.
        missing: what each table says is missing, by its name; captions name it.
        planned: names of figures to be drawn in any case, without contents if need be.
    """
    lost = missing or {}
    told = {RUNTIME.name: with_runs(tables[RUNTIME.name], tables.get(RUNS.name))}
    tables = {**tables, **told}
    found: Figures = {}
    for kind in FIGURES:
        if all(table.name in tables for table in kind.reads):
            lacks = [one for table in kind.reads for one in lost.get(table.name, ())]
            for labels, rows in _drawn(kind, [tables[table.name] for table in kind.reads]):
                own = with_remark(style, _remark(lacks, labels))
                given = (*rows, *([hardware] * kind.with_hardware), own)
                found[kind.name(labels)] = partial(kind.draw, *given)
    every = with_remark(style, _remark([one for some in lost.values() for one in some], {}))
    words = "Nothing was measured or counted for this figure."
    for name in planned:
        found.setdefault(name, partial(empty_drawing, name, words, every))
    return found


def _remark(missing: Sequence[Missing], labels: Labels) -> str:
    """A sentence on what is missing among what has these labels, or nothing."""
    own = [one for one in missing if _has(one, labels)]
    words = missing_names(own)
    return f" missing: {'; '.join(words)}; the tables say why." if words else ""


def _has(one: Missing, labels: Labels) -> bool:
    """Whether it belongs to a figure; what it does not name decides nothing."""
    named = {**one, "precision": Variant.comparison_of(str(one.get("variant", "")))}
    return all(named.get(label) in (None, "", value) for label, value in labels.items())


def _drawn(
    kind: FigureKind, tables: list[pd.DataFrame]
) -> Iterator[tuple[Labels, list[pd.DataFrame]]]:
    """The labels of each figure of a kind, and the rows of the tables that have them."""
    first, *others = tables
    if kind.when in ROWS:
        column, value = ROWS[kind.when]
        first = first[first[column] == value]
    for key, rows in first.groupby(list(kind.labels), sort=False):
        if kind.when == "compared" and all(Variant.of(name).is_plain for name in rows["variant"]):
            continue
        labels = dict(zip(kind.labels, map(str, key), strict=True))
        narrowed = [_with_labels(table, labels) for table in others]
        yield labels, [rows, *narrowed]


def _with_labels(table: pd.DataFrame, labels: Labels) -> pd.DataFrame:
    same = table[list(labels)] == list(labels.values())
    return table[same.fillna(value=False).all(axis=1)]


def draw_figures(
    figures: Figures, folder: Path, style: Style, only: Collection[str] = (), jobs: int = 1
) -> list[Path]:
    """Draw and store figures.

    Args:
        figures: what `study_figures` found.
        folder: where the files go.
        style: sizes and fonts.
        only: names of the figures to draw; all if empty.
        jobs: how many processes draw.

    Returns:
        The files written, in the order of the figures.

    Raises:
        ArgumentError: there is no figure of a name in `only`.
        OutputError: the folder cannot be written, or a process that draws was killed.
    """
    for name in only:
        if name not in figures:
            remedy = f"choose from: {', '.join(figures) or 'none, the tables are empty'}"
            raise ArgumentError("--only", f"there is no figure {name!r}", remedy)
    wanted = [figures[name] for name in only or figures]
    store = partial(_store, folder=folder, style=style)
    if min(jobs, len(wanted)) < 2:
        return [path for draw in wanted for path in store(draw)]
    with warnings.catch_warnings():
        # Python warns of threads, which numpy has started; what draws uses none
        warnings.simplefilter("ignore", DeprecationWarning)
        forking = get_context("fork")  # tables and libraries are there already
        with ProcessPoolExecutor(
            min(jobs, len(wanted)), forking, initializer=follow_parent, initargs=(os.getpid(),)
        ) as pool:
            try:
                stored = pool.map(partial(_store_for_parent, store), wanted)
                return [path for written in stored for path in written]
            except BrokenProcessPool:
                what = "a process that draws figures was killed, maybe for want of memory"
                remedy = "have fewer draw at a time: --jobs 1"
                raise OutputError(str(folder), what, remedy) from None
            except BaseException as error:
                pool.shutdown(wait=False, cancel_futures=True)
                for process in active_children() if isinstance(error, KeyboardInterrupt) else ():
                    process.terminate()
                raise


def _store_for_parent(
    store: Callable[[Callable[[], Drawing]], list[Path]], draw: Callable[[], Drawing]
) -> list[Path]:
    """Draws and stores a figure; where the parent ends meanwhile, nothing half written stays."""
    try:
        with raised_interrupts([signal.SIGTERM]):
            return store(draw)
    except InterruptedByUser as ending:  # nobody is there to be told
        os._exit(ending.exit_code)


def _store(draw: Callable[[], Drawing], folder: Path, style: Style) -> list[Path]:
    import matplotlib as mpl

    with mpl.rc_context(rc_parameters(style)):  # type: ignore[arg-type]
        return save(draw(), folder, style)
