"""The pages of docs/ define every column of the tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.comparison.table import COMPARISON_COLUMNS
from analysis.feasibility.tables import FEASIBILITY, FEASIBILITY_LIMITS
from analysis.fits.memory_extrapolation import MEMORY_EXTRAPOLATION
from analysis.fits.tables import FIT_CURVES, FIT_MODELS, FITS
from analysis.kernels_table import KERNELS
from analysis.measured_memory_table import MEASURED_MEMORY
from analysis.memory_table import MEMORY, MEMORY_METHODS
from analysis.profiles.kernel_table import KERNEL_COLUMNS
from analysis.profiles.range_table import PROFILE_COLUMNS
from analysis.ratios import FLOPS, IMPLEMENTATIONS
from analysis.runs_table import RUNS
from analysis.runtime_table import RUNTIME
from analysis.tables import Schema

DEFINITIONS = Path(__file__).parents[2] / "docs" / "definitions.md"
IN_ALL_TABLES = {
    "device", "hardware", "method", "variant", "resolution_px", "submodule", "role", "clock",
    "status", "images", "basis", "quantity", "model",
}  # fmt: skip
"""Which row it is: words that the page explains at its beginning, or that speak for themselves."""


@pytest.mark.parametrize(
    "schema",
    [
        RUNTIME.schema,
        RUNS.schema,
        KERNELS.schema,
        MEMORY.schema,
        MEMORY_METHODS.schema,
        FLOPS.schema,
        IMPLEMENTATIONS.schema,
        MEASURED_MEMORY.schema,
        MEMORY_EXTRAPOLATION.schema,
        FITS.schema,
        FIT_MODELS.schema,
        FIT_CURVES.schema,
    ],
)
def test_every_column_is_defined(schema: Schema) -> None:
    text = DEFINITIONS.read_text(encoding="utf-8")
    missing = [name for name in schema if name not in IN_ALL_TABLES and f"`{name}`" not in text]
    assert missing == []


@pytest.mark.parametrize(
    ("page", "schema"),
    [
        ("feasibility.md", FEASIBILITY.schema),
        ("feasibility.md", FEASIBILITY_LIMITS.schema),
        ("comparison.md", COMPARISON_COLUMNS),
        ("attribution.md", PROFILE_COLUMNS),
        ("attribution.md", KERNEL_COLUMNS),
    ],
)
def test_every_column_of_other_tables_is_defined_on_their_page(page: str, schema: Schema) -> None:
    text = DEFINITIONS.with_name(page).read_text(encoding="utf-8")
    assert [name for name in schema if f"`{name}`" not in text] == []
