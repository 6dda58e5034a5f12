"""Names of the files of a run."""

from __future__ import annotations

PROFILE_NAMES = {"nsys": "profile.nsys-rep", "embedded": "profile.sqlite"}
"""What a collector leaves behind. ``export`` makes ``profile.sqlite`` of nsys' report."""

DRAFT_NAME = "draft.json"
"""The record of a run as it stands if Linux kills the measuring process for its memory."""


def record_name(collector: str) -> str:
    """The record of a process: of the latency pass, which nobody records, it has its own name."""
    return "latency.json" if collector == "none" else "run.json"
