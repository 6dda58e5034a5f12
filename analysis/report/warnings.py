"""What a reader of the report has to know before believing a number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pandas as pd

MOST_NAMED = 6
"""Runs that a warning names one by one."""

PROFILER_LIMIT = 1.05
"""Profiled over unprofiled latency from which on the profiler is said to disturb."""

UNCOVERED_LIMIT = 0.01
"""Share of an image's time in no submodule from which on it is told."""

WHICH = ["device", "method", "variant", "resolution_px"]


def study_warnings(tables: Mapping[str, pd.DataFrame]) -> Iterator[str]:
    """Warnings of a study, one sentence each.

    Args:
        tables: those of `analysis.report.tables`; only `runtime` has to be there.
    """
    runtime = tables["runtime"]
    yield from _not_steady(runtime)
    yield from _lost(runtime)
    yield from _profiler(runtime)
    yield from _uncovered(runtime)


def _not_steady(runtime: pd.DataFrame) -> Iterator[str]:
    for verdict, rows in runtime[runtime["verdict"].notna()].groupby("verdict", sort=False):
        if verdict != "steady":
            yield f"Not steady but {verdict}, see the table of runs: {_named(rows)}."


def _lost(runtime: pd.DataFrame) -> Iterator[str]:
    for status, words in (
        ("out_of_memory", "Out of memory, a result"),
        ("predicted_out_of_memory", "Predicted out of memory by count, and not run"),
    ):
        rows = runtime[runtime["status"] == status]
        if len(rows):
            yield f"{words}: {_named(rows)}."


def _profiler(runtime: pd.DataFrame) -> Iterator[str]:
    rows = runtime[runtime["profiled_over_latency"] > PROFILER_LIMIT]
    if len(rows):
        most = rows["profiled_over_latency"].max()
        yield (
            f"With the profiler an image takes up to {most - 1:.0%} longer than without, in: "
            f"{_named(rows)}."
        )


def _uncovered(runtime: pd.DataFrame) -> Iterator[str]:
    rows = runtime[runtime["uncovered_share"] > UNCOVERED_LIMIT]
    if len(rows):
        most = rows["uncovered_share"].max()
        yield f"Up to {most:.1%} of an image's host time is in no submodule, in: {_named(rows)}."


def _named(rows: pd.DataFrame) -> str:
    runs = rows[WHICH].drop_duplicates()
    named = [
        f"{method} {variant} at {side:,} px ({device})"
        for device, method, variant, side in runs.head(MOST_NAMED).to_numpy()
    ]
    more = len(runs) - len(named)
    return ", ".join(named) + (f" and {more} more" if more > 0 else "")
