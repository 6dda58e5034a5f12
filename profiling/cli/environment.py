"""``python -m profiling environment``: what a measurement would find here, as JSON (internal)."""

from __future__ import annotations

import argparse
import json
from typing import Any

from ..collectors.nsys import find_nsys


def add_environment_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand ``environment``: what a measurement would find here."""
    parser = subparsers.add_parser(
        "environment", help="print torch, its GPU and nsys as JSON (used by gpu-check)"
    )
    parser.set_defaults(main=print_environment)


def print_environment(_args: argparse.Namespace) -> int:
    """Prints one JSON object; null stands for what is not there.

    Raises:
        CollectorError: ``ADSCALE_NSYS`` names no program.
    """
    nsys = find_nsys(None)
    print(json.dumps({**_torch(), "nsys": None if nsys is None else str(nsys)}))
    return 0


def _torch() -> dict[str, Any]:
    """Versions of torch and of the CUDA it was built for, and whether it can use a GPU."""
    try:
        import torch
    except ImportError:
        return {"torch": None, "cuda": None, "gpu": False}
    gpu = torch.cuda.is_available()
    return {"torch": torch.__version__, "cuda": torch.version.cuda, "gpu": gpu}
