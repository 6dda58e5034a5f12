"""The two parts of adscale: where they lie, and their commands in a line each.

In a checkout their packages lie beside this one, in a wheel inside of it. Names of modules in
records, digests and declarations are those of a checkout; ``module_name`` tells those to import.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

_HERE = Path(__file__).parent

IS_INSTALLED = (_HERE / "analysis").is_dir()
"""Whether this is an installed wheel, and no checkout."""

ROOT = _HERE.parent
"""The folder from which all modules are imported."""

DATA = _HERE / "data" if IS_INSTALLED else ROOT
"""The folder with what else belongs to the packages, such as ``config``."""

COMMANDS: Mapping[str, Mapping[str, str]] = {
    "profiling": {
        "methods": "list methods, implementations, submodules, resolutions, parameters",
        "run": "measure one method at one resolution",
        "memory": "count memory without running an image",
        "plan": "list the runs of a study, or split it",
        "export": "export a report of nsys to SQLite",
        "environment": "print torch, its GPU and nsys as JSON (used by gpu-check)",
        "check": "check methods of your own (used by Snakemake)",
        "counts": "make the counts of a study that are not there (used by Snakemake)",
        "measure": "the measuring process itself (used by `run`)",
        "engine": "export networks for an engine (used by `run`)",
    },
    "analysis": {
        "attribute": "kernel times of the ranges of a profile",
        "diff": "two profiles: what changed, and may it",
        "summarize": "the runs of a study as tables",
        "memory": "the counts of a study as two tables",
        "memory-cpu": "the counts of a study for a CPU as a table",
        "measured-memory": "measured memory as one table, with the count beside it",
        "fit": "fit the growth and extrapolate it",
        "extrapolation": "judge the paper's extrapolation of memory by exact counts",
        "flops": "at which rate a device does the counted work",
        "implementations": "what variants gain over their references, and how far their results "
        "are off",
        "tiles": "in which tiles does an image fit a GPU, and how long does that take?",
        "feasible": "does it fit, and is it fast enough?",
        "figures": "draw the figures of a study",
        "report": "the study in one page",
        "conclude": "the study in three lines",
        "compare": "two measurements: the same, faster, slower, or unclear",
        "claims": "what the paper claims, held against counts",
        "verify": "are results whole and of one kind?",
        "gpu-check": "is everything measured right on this machine?",
    },
}
"""By part and name, in the order in which they are listed: what ``--help`` says of them."""

OF_PROFILES = ("attribute", "diff")
"""Commands of ``analysis`` that read profiles. They need little, and start fast."""


def module_name(name: str) -> str:
    """The name under which a module of a part is imported.

    Args:
        name: in a checkout, such as ``profiling.runner``.
    """
    is_of_part = name.partition(".")[0] in COMMANDS
    return f"adscale.{name}" if IS_INSTALLED and is_of_part else name


def module_path(name: str, root: Path = ROOT) -> Path:
    """Where a module lies below a folder, without the ending of its file.

    Args:
        name: in a checkout.
        root: the folder; another one than ``ROOT`` holds modules of somebody else.
    """
    return root.joinpath(*(module_name(name) if root == ROOT else name).split("."))


def program(module: str, *arguments: str) -> list[str]:
    """The command that runs a part, or another module of ours, in a process of its own."""
    return [sys.executable, "-m", module_name(module), *arguments]
