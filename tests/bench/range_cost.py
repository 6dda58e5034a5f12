"""`python -m tests.bench.range_cost DEVICE_TYPE OUT`: the bench `annotation` in short, as JSON.

The file is written anew after each round, so that a cut-off leaves what there is.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tests.bench.annotation import (
    CASES,
    FEWEST_PROCESSES,
    MOST_NS,
    MOST_RATIO,
    Processes,
    image_cost,
    one_round,
    range_cost,
)

SECONDS = 0.5


def main(device_type: str, out: str) -> None:
    """Runs as few processes as an interval needs."""
    found: dict[str, list[dict[str, Any]]] = {}
    for number in range(FEWEST_PROCESSES):
        for kind, times in one_round(number, device_type, SECONDS).items():
            found.setdefault(kind, []).append(times)
        Path(out).write_text(json.dumps(summary(dict(found))), encoding="utf-8")


def summary(found: dict[str, Processes]) -> dict[str, Any]:
    """Limits and costs, as `analysis.gpu_check.cross_checks.range_checks` reads them.

    Args:
        found: what the processes of each kind measured.
    """
    cases = {
        title: _case(found[kind], receiver) if found.get(kind) else None
        for title, (kind, receiver) in CASES.items()
    }
    return {"most_ns": MOST_NS, "most_ratio": MOST_RATIO, "cases": cases}


def _case(processes: Processes, receiver: str) -> dict[str, Any]:
    cost = range_cost(processes, receiver)
    images: dict[str, Any] = dict.fromkeys(processes[0]["images"])
    if len(processes) >= FEWEST_PROCESSES:
        for label in images:
            image = image_cost(processes, label, receiver)
            images[label] = {**image._asdict(), "within": image.within}
    return {**cost._asdict(), "within": cost.within, "images": images}


if __name__ == "__main__":
    main(*sys.argv[1:])
