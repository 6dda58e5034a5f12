"""Prints how many tests were skipped and why; fails where one on fixtures had no reason to be."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree as ET


def main(report: Path, fixtures: Path) -> int:
    """Reads a JUnit report of pytest."""
    cases = ET.parse(report).iter("testcase")  # noqa: S314 - written by pytest just now
    reasons = Counter(
        skipped.get("message", "no reason") for case in cases for skipped in case.iter("skipped")
    )
    print(f"skipped tests: {reasons.total()}")
    for reason, number in reasons.most_common():
        print(f"  {number} × {reason}")
    lost = [reason for reason in reasons if "fixtures" in reason]
    if fixtures.is_dir() and lost:
        print(f"error: {fixtures} exists, but tests that read it were skipped")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
