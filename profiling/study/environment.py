"""The environment in which the jobs of a study call our programs."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path


def shell_prefix(checkout: Path, nsys: Path | None) -> str:
    """What every shell command of the workflow begins with.

    ``python`` becomes the one that runs Snakemake, and our packages are found from any working
    directory. This is no parameter of a rule: where the checkout lies must not cause a run.

    Args:
        checkout: the folder of the Snakefile.
        nsys: the program that records, None without one.
    """
    settings = {
        "PYTHONPATH": str(checkout),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "ADSCALE_NSYS": "" if nsys is None else str(nsys),
    }
    return "".join(f"export {key}={shlex.quote(value)}; " for key, value in settings.items())
