"""The environment in which the jobs of a study call our programs."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

CACHES = {
    "XDG_CACHE_HOME": "",
    "TORCH_HOME": "torch",
    "HF_HOME": "hf",
    "MPLCONFIGDIR": "matplotlib",
}


def host_prefix(checkout: Path, nsys: Path | None) -> str:
    """What every shell command of the workflow begins with, on the host.

    ``python`` becomes the one that runs Snakemake, and our packages are found from any working
    directory. This is no parameter of a rule: where the checkout lies must not cause a run.

    Args:
        checkout: the folder of the Snakefile.
        nsys: the program that records, None without one.
    """
    return exports(
        PYTHONPATH=_python_path(checkout),
        PATH=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        ADSCALE_NSYS="" if nsys is None else str(nsys),
    )


def container_prefix(checkout: Path, cache: Path) -> str:
    """The same in the container, whose environment is its own: ``python`` and ``nsys`` are there.

    Snakemake makes the working directory the home folder; what libraries would put there goes
    where our own caches are.

    Args:
        checkout: the folder of the Snakefile.
        cache: folder for what libraries keep.
    """
    caches = {name: str(cache.absolute() / below) for name, below in CACHES.items()}
    return exports(PYTHONPATH=_python_path(checkout), **caches)


def _python_path(checkout: Path) -> str:
    """Our packages, then where the user's own methods are."""
    return os.pathsep.join(filter(None, [str(checkout), os.environ.get("PYTHONPATH")]))


def exports(**settings: str) -> str:
    """Shell commands that set environment variables.

    Args:
        settings: value by name.
    """
    return "".join(f"export {key}={shlex.quote(value)}; " for key, value in settings.items())
