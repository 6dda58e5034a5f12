"""Names that measuring and analysing share: of files and of ranges."""

from __future__ import annotations

PROFILE_NAMES = {"nsys": "profile.nsys-rep", "embedded": "profile.sqlite"}
"""The files that collectors write. ``export`` makes ``profile.sqlite`` of nsys' report."""

MADE_OF_PROFILE = ("ranges.parquet", "kernels.parquet")
"""The files beside a record that ``attribute`` makes of its profile."""

DRAFT_NAME = "draft.json"
"""The record of a run as it stands if Linux kills the measuring process for its memory."""


PROBLEM_NAME = "problem.txt"
"""The error that ended a measuring process, in a line, for the process that waits for it."""


ENGINE_FOLDER = "engines"
"""Of the files of engines: below the results, or below the folder of a run by hand."""

NOT_DEVICES = ("counts", ENGINE_FOLDER, "figures", "logs", "tables")
"""Folders of results beside those of the devices."""


def record_name(collector: str) -> str:
    """The record of a process: of the latency pass, which nobody records, it has its own name."""
    return "latency.json" if collector == "none" else "run.json"


DOMAIN = "adscale"
"""The one NVTX domain of all our ranges."""

IMAGE = "image"
"""The range directly inside of which the submodules are."""

TILE = "tile"
"""The range of one inference of tiles, between ``image`` and the submodules, where it is cut."""

STITCH = "stitch"
"""The submodule of an image that is cut: tiles are taken out of it, and their maps joined."""

PAPER_SIDES_PX = (256, 384, 512, 640, 768, 896, 1024)
"""Side lengths through which the paper's parabola goes; memory is always counted at them."""
