"""`memory_cpu.csv`: whole methods counted for a CPU, beside the counts for a GPU."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from adscale.tables import MISSING, Argument, Output, TableJob

from .memory_table import MEMORY_METHODS, memory_methods_table, read_step

MEMORY_CPU = replace(
    MEMORY_METHODS,
    columns=tuple(one for one in MEMORY_METHODS.columns if one not in MISSING),
    name="memory_cpu",
    row="counted memory of a method on a CPU at the image of a sensor ([memory.md](memory.md))",
    contents="counted memory of whole methods on a CPU",
    caption="""Whole methods, and what they must hold, where the device is a CPU.

Counted, not measured; no clock.""",
    in_report=False,
)
"""Beside the counts for a GPU, where the study has a CPU."""

MEMORY_CPU_JOB = TableJob(
    command="memory-cpu",
    rule="memory_cpu_table",
    description="Counted bytes of whole methods on a CPU at the images of sensors; no rows where "
    "the study has no CPU.",
    arguments=(
        Argument("counts", {"type": Path, "nargs": "*", "metavar": "memory.json"}, "cpu_counts"),
    ),
    outputs=(Output(MEMORY_CPU, memory_methods_table),),
    step=read_step,
)
