"""Answers to questions to a profile from what is kept of it.

Another depth, order, or part of the paths is answered from the sums of each path. In a window of
time the figures of ranges that lie wholly in it are those of the whole profile; only the few that
are open at its ends are attributed again, with the work of the window.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from ..nsys.records import strings
from .coverage import Asked, ProfileCoverage
from .kept import Kept
from .kernel_table import kernel_rows
from .questions import Question, nothing_left
from .range_table import table_of
from .windowed import Whole, Windowed
from .work import KINDS


def can_answer(question: Question) -> bool:
    """Whether a question is one that can be answered from what is kept of some profiles."""
    return not (question.exclude or question.calls or question.normalize)


def answer(
    kept: Kept, question: Question, levels: int | None, kernels: int | None
) -> tuple[dict[str, pa.Table], ProfileCoverage] | None:
    """The tables of a question, and what is in none of them.

    Args:
        kept: of the profile.
        question: for which `can_answer` holds.
        levels: leave out paths of more names; None for none.
        kernels: names of kernels per path, 0 for all; None: that table is not asked for.

    Returns:
        None where what is kept does not hold the answer.

    Raises:
        ArgumentError: the question means nothing of the profile.
        DamagedError: what is kept is damaged.
    """
    whole = Whole(kept.file)
    if kernels is not None and (question.window or whole.names is None):
        return None
    if question.inside and whole.overlap:
        return None  # a range may lie in another one without being on its path
    row = whole.rows_inside(question.inside)
    part = Windowed(whole, question.window) if question.window else None
    columns = dict(whole.sums() if part is None else part.columns())
    columns["calls"] = np.where(row, columns["calls"], 0)
    shown = columns["calls"] > 0
    if len(whole.file["start"]) and not shown.any():
        raise nothing_left(question)
    asked = None
    if question != Question():
        left_out: dict[str, int] = part.left_out if part else dict.fromkeys(KINDS, 0)
        asked = Asked(question, left_out, part.partial(row) if part else 0)
    inside = row if question.inside else None
    kinds = {kind: whole.coverage(kind, inside, part) for kind in KINDS}
    coverage = ProfileCoverage(whole.facts, kinds, whole.paths.depths()[shown], asked, levels)
    knows = whole.facts.capture.knows_kernels
    tables = {"ranges": table_of(columns, whole.paths, levels, knows_kernels=knows)}
    if kernels is not None:
        found = whole.kernels(row)
        rank, names = columns["first"], strings(whole.names or [])
        tables["kernels"] = kernel_rows(found, names, whole.paths, rank, kernels or None, levels)
    return tables, coverage
