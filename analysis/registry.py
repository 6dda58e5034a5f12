"""All tables of a study, and the jobs that make them, in the order of a study."""

from __future__ import annotations

from adscale.tables import Table, TableJob

from .feasibility.tables import FEASIBLE
from .feasibility.tile_table import TILES
from .fit_tables import FIT
from .measured_memory_table import MEASURED_MEMORY_JOB
from .memory_cpu_table import MEMORY_CPU_JOB
from .memory_extrapolation import EXTRAPOLATION
from .memory_table import MEMORY_JOB
from .ratios import FLOPS_JOB, IMPLEMENTATIONS_JOB
from .runtime_table import SUMMARIZE

TABLE_JOBS: tuple[TableJob, ...] = (
    SUMMARIZE,
    MEMORY_JOB,
    MEMORY_CPU_JOB,
    MEASURED_MEMORY_JOB,
    IMPLEMENTATIONS_JOB,
    FLOPS_JOB,
    FIT,
    EXTRAPOLATION,
    TILES,
    FEASIBLE,
)
"""In the order in which a study calls them."""

TABLES: tuple[Table, ...] = tuple(output.table for job in TABLE_JOBS for output in job.outputs)
"""In the order of the jobs."""
