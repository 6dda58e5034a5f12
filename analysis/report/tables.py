"""The tables that a report is made of, and the command that makes each."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.memory_methods_table import MEMORY_METHODS_COLUMNS
from analysis.memory_table import MEMORY_COLUMNS
from analysis.runtime_table import RUNTIME_COLUMNS
from analysis.tables import Schema


@dataclass(frozen=True)
class ReportTable:
    """One table.

    Attributes:
        file: its name in the folder of the tables.
        command: what makes it.
        columns: its schema.
        required: whether a report without it makes no sense.
    """

    file: str
    command: str
    columns: Schema
    required: bool = False


REPORT_TABLES = {
    "runtime": ReportTable(
        "runtime.csv", "python -m analysis summarize", RUNTIME_COLUMNS, required=True
    ),
    "memory": ReportTable("memory.csv", "python -m analysis memory", MEMORY_COLUMNS),
    "memory_methods": ReportTable(
        "memory_methods.csv", "python -m analysis memory --methods", MEMORY_METHODS_COLUMNS
    ),
}
"""By the name that the page's scripts use."""
