"""`python -m tests.gpu_check.range_cost DEVICE_TYPE OUT`: the bench of the ranges in short.

The file is written anew after each round, so that a cut-off leaves what there is.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tests.bench.annotation import FEWEST_PROCESSES, one_round

SECONDS = 0.5


def main(device_type: str, out: str) -> None:
    """Runs as few processes as an interval needs."""
    found: dict[str, list[dict[str, Any]]] = {}
    for number in range(FEWEST_PROCESSES):
        for kind, times in one_round(number, device_type, SECONDS).items():
            found.setdefault(kind, []).append(times)
        Path(out).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
