"""Options of a study that must not cause a measurement when they are switched. No torch.

They are told to ``python -m profiling run`` besides the request, which Snakemake compares.
"""

from __future__ import annotations

from adscale.config import StudyConfig


def run_options(study: StudyConfig) -> str:
    """What every run is told, for a shell.

    Args:
        study: its configuration.
    """
    options = []
    if study.skip_margin is not None:
        options.append(f"--skip-predicted-out-of-memory --memory-margin {study.skip_margin!r}")
    if study.foreign_processes != "flag":
        options.append(f"--foreign-processes {study.foreign_processes}")
    return " ".join(options)
