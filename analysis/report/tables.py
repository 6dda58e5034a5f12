"""The tables that a report is made of, and the command that makes each."""

from __future__ import annotations

from dataclasses import dataclass

from ..feasibility.tables import FEASIBILITY
from ..fits.tables import FIT_CURVES, FIT_MODELS, FITS
from ..kernels_table import KERNELS
from ..memory_table import MEMORY, MEMORY_METHODS
from ..runs_table import RUNS
from ..runtime_table import RUNTIME
from ..tables import Schema


@dataclass(frozen=True)
class ReportTable:
    """One table.

    Attributes:
        file: its name in the folder of the tables.
        command: what makes it.
        columns: its schema.
        required: whether a report without it makes no sense.
        left_out: columns that the page does not show.
    """

    file: str
    command: str
    columns: Schema
    required: bool = False
    left_out: frozenset[str] = frozenset()


REPORT_TABLES = {
    "feasibility": ReportTable(
        "feasibility.csv", "python -m analysis feasible", FEASIBILITY.schema
    ),
    "runtime": ReportTable(
        "runtime.csv", "python -m analysis summarize", RUNTIME.schema, required=True
    ),
    "runs": ReportTable("runs.csv", "python -m analysis summarize --runs", RUNS.schema),
    "kernels": ReportTable("kernels.csv", "python -m analysis summarize --kernels", KERNELS.schema),
    "memory": ReportTable("memory.csv", "python -m analysis memory", MEMORY.schema),
    "memory_methods": ReportTable(
        "memory_methods.csv", "python -m analysis memory --methods", MEMORY_METHODS.schema
    ),
    "fits": ReportTable("fits.csv", "python -m analysis fit", FITS.schema),
    "fit_models": ReportTable(
        "fit_models.csv", "python -m analysis fit --models", FIT_MODELS.schema
    ),
    "fit_curves": ReportTable(
        "fit_curves.csv",
        "python -m analysis fit --curves",
        FIT_CURVES.schema,
        left_out=frozenset(
            {
                "unit",
                "pixels",
                "extrapolation_factor_pixels",
                "observed",
                "interval_low",
                "interval_high",
                "spread_low",
                "spread_high",
            }
        ),
    ),
}
"""By the name that the page's scripts use."""
