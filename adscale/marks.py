"""How a result is filed in Snakemake's own report: category, labels, caption.

The report shows a result by its category and subcategory, in a row of its labels. Captions are
files in workflow/report/; Snakemake reads them when it makes the report, so editing them causes
no job.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TypedDict

CAPTION_FOLDER = PurePosixPath("../report")
"""From the rules, as Snakemake wants it."""


class Mark(TypedDict):
    """Arguments of Snakemake's ``report()``."""

    caption: str
    category: str
    subcategory: str
    labels: dict[str, str]


def mark(caption: str, category: str, subcategory: str, labels: dict[str, str]) -> Mark:
    """A mark whose caption is in ``workflow/report/<caption>.rst``."""
    return {
        "caption": str(CAPTION_FOLDER / f"{caption}.rst"),
        "category": category,
        "subcategory": subcategory,
        "labels": labels,
    }


def summary_mark() -> Mark:
    """The mark of the study in three lines."""
    return mark("summary", "Summary", "In three lines", {"file": "summary.txt"})
