"""What of a study failed, in a line each. No torch."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from adscale.failure import note_of, read_failure
from adscale.plan import PlannedCount, planned_records
from adscale.plan_file import Plan

from .finished import RESULTS


def missing_words(
    plan: Plan, counts: Mapping[str, PlannedCount], since_s: float, results: Path = RESULTS
) -> list[str]:
    """Names what failed in this call of a study; a later call tries it again.

    Args:
        plan: of the study.
        counts: its counts by their path.
        since_s: when the call began, in s since 1970.
        results: folder of the results.

    Returns:
        A line for each failure; nothing where there is none.
    """
    records = planned_records(plan.runs, plan.latency)
    lines = [*_runs(records, results, since_s), *_counts(counts, results, since_s)]
    if not lines:
        return []
    more = "study: all else is made of what there is; call it again to try these again"
    return [*lines, more]


def _runs(records: list[str], results: Path, since_s: float) -> Iterator[str]:
    for record in records:
        file = results / record
        failure = read_failure(file)
        if failure is not None and _is_of_now(note_of(file), since_s):
            run, _, name = record.rpartition("/")
            by_pass = "latency" if name == "latency.json" else "profile"
            log = results / "logs" / by_pass / f"{run}.log"
            yield f"missing: {record}: {failure.problem} ({log})"


def _counts(counts: Mapping[str, PlannedCount], results: Path, since_s: float) -> Iterator[str]:
    for path in counts:
        file = results / path / "memory.json"
        with suppress(OSError, ValueError, LookupError, TypeError):
            document = json.loads(file.read_text(encoding="utf-8"))
            if not document["resolutions"] and _is_of_now(file, since_s):
                reason = document["refused"][0]["reason"]
                log = results / "logs" / "count_memory" / f"{path.partition('/')[2]}.log"
                yield f"missing: {path}/memory.json: {reason} ({log})"


def _is_of_now(file: Path, since_s: float) -> bool:
    return file.stat().st_mtime >= since_s - 1
