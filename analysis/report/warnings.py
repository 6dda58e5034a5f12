"""Warnings to a reader of the report before any number."""

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
        tables: by the names in `analysis.registry`; only `runtime` has to be there.
    """
    runtime = tables["runtime"]
    yield from _not_steady(runtime)
    yield from _lost(runtime)
    yield from _profiler(runtime)
    yield from _uncovered(runtime)
    if "fits" in tables:
        yield from _fits(tables["fits"])


def _not_steady(runtime: pd.DataFrame) -> Iterator[str]:
    for verdict, rows in runtime[runtime["verdict"].notna()].groupby("verdict", sort=False):
        if verdict != "steady":
            yield f"Not steady but {verdict}, see the table of runs: {_named(rows)}."


def _fits(fits: pd.DataFrame) -> Iterator[str]:
    """Intervals that were refused, and how far is extrapolated."""
    runtimes = fits[fits["quantity"] == "runtime"]
    refused = runtimes[runtimes["interval_refused"].fillna("") != ""]
    for reason, rows in refused.groupby("interval_refused", sort=False):
        curves = rows[["device", "method", "variant"]].drop_duplicates().to_numpy()
        named = ", ".join(f"{method} {variant} ({device})" for device, method, variant in curves)
        yield f"No band for {named}: {reason}."
    factor = runtimes["extrapolation_factor_pixels"].max()
    if pd.notna(factor) and factor > 1:
        end = runtimes["extrapolate_to_px"].max()
        yield (
            f"Runtimes are extrapolated to {end:,} px, up to {factor:.3g} times the pixels of the "
            "largest measured resolution: such values are predictions."
        )


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
            f"With the profiler an image takes up to {most:.3g} times as long as without, in: "
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
