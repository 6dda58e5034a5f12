"""The lock of the device, the cost of ranges, and the tests that need a GPU."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from tests.bench.annotation import (
    CASES,
    FEWEST_PROCESSES,
    MOST_NS,
    MOST_RATIO,
    Processes,
    image_cost,
    range_cost,
)
from tests.gpu_check.check import Check, checked, unchecked
from tests.gpu_check.run_files import record

WAITED = "waiting for the measurement of"


def lock_check(runs: Sequence[tuple[Path, str]]) -> Check:
    """Do two measurements that are started together wait for each other?

    Args:
        runs: folder and printed text of each.
    """
    name, wanted = "device lock", "one waits and says for whom"
    waited = sum(WAITED in text for _, text in runs)
    times = sorted(_begin_end(folder) for folder, _ in runs)
    overlap = any(later[0] < earlier[1] for earlier, later in pairwise(times))
    text = f"{waited} of {len(runs)} waited, they {'overlap' if overlap else 'do not overlap'}"
    # with a latency pass a run measures twice, and may wait before that one, too
    holds = waited >= len(runs) - 1 and not overlap
    return checked(name, "two runs at once", holds, text, wanted)


def _begin_end(folder: Path) -> tuple[datetime, datetime]:
    """Of the measuring, in whole seconds."""
    run = record(folder)
    return datetime.fromisoformat(run["started_utc"]), datetime.fromisoformat(run["finished_utc"])


def range_checks(found: dict[str, Processes]) -> list[Check]:
    """What ranges cost, with and without nsys, from the processes of the bench `annotation`."""
    checks = []
    most_us, most_share = MOST_NS / 1e3, MOST_RATIO - 1
    for title, (kind, receiver) in CASES.items():
        name, wanted = "cost of a range", f"at most {most_us:g} µs"
        if not found.get(kind):
            checks.append(unchecked(name, title, "not measured: no nsys here", wanted))
            continue
        cost = range_cost(found[kind], receiver)
        text = f"median {cost.median_ns / 1e3:.2f} µs, mean {cost.mean_ns / 1e3:.2f} µs"
        checks.append(checked(name, title, cost.within, text, wanted))
        for label in found[kind][0]["images"]:
            name, wanted = "ranges of an image", f"at most {most_share:.0%} of its time"
            where = f"{label}, {title}"
            if len(found[kind]) < FEWEST_PROCESSES:
                checks.append(unchecked(name, where, "too few processes for an interval", wanted))
                continue
            image = image_cost(found[kind], label, receiver)
            text = (
                f"{image.share:.3%} by count; measured {image.ratio - 1:+.2%} "
                f"({image.low - 1:+.2%} to {image.high - 1:+.2%})"
            )
            holds = image.within != "NO" and image.share <= most_share
            checks.append(checked(name, where, holds, text, wanted))
    return checks


def junit_check(junit: Path, problem: str | None) -> Check:
    """What came of the tests marked `gpu`.

    Args:
        junit: pytest's report.
        problem: why pytest did not end well; None where it did.
    """
    name, wanted = "tests marked gpu", "none fails, some pass"
    if not junit.is_file():
        return checked(name, "", False, f"no report: {problem or 'pytest wrote none'}", wanted)
    cases = list(ET.parse(junit).getroot().iter("testcase"))
    results = Counter(_result(case) for case in cases)
    failed = [case.get("name", "?") for case in cases if _result(case) == "failed"]
    text = ", ".join(f"{results[word]} {word}" for word in ("passed", "failed", "skipped"))
    if failed:
        text += f" ({', '.join(failed[:3])}{' …' if len(failed) > 3 else ''})"
    if problem and not failed:
        text += f"; {problem}"
    holds = results["passed"] > 0 and not failed and problem is None
    return checked(name, "", holds, text, wanted)


def _result(case: ET.Element) -> str:
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    return "passed" if case.find("skipped") is None else "skipped"
