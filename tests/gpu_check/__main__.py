"""`python -m tests.gpu_check`: exit code 0 where all is well, 1 where not, 3 without a GPU."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.gpu_check.session import BUDGET_S, PARTS, Session

FAILED, NO_GPU = 1, 3
QUESTION = "import torch; print(torch.__version__, torch.version.cuda, torch.cuda.is_available())"


def main() -> int:
    """Checks this machine and prints the page."""
    parser = argparse.ArgumentParser(prog="make gpu-check", description=__doc__)
    parser.add_argument("--out", type=Path, help="folder for all files; default: a new one in /tmp")
    parser.add_argument("--budget-s", type=float, default=BUDGET_S, help="seconds (%(default)g)")
    parser.add_argument(
        "--only", choices=PARTS, nargs="+", help="parts that are done; default: all"
    )
    # for the tests of the check itself: nothing about a GPU is checked then
    parser.add_argument(
        "--device-type", choices=["cuda", "cpu"], default="cuda", help=argparse.SUPPRESS
    )
    options = parser.parse_args()
    problem = no_gpu() if options.device_type == "cuda" else None
    if problem:
        print(f"gpu-check: {problem}; nothing was checked", file=sys.stderr)
        return NO_GPU
    folder = options.out or Path(tempfile.mkdtemp(prefix="adscale-gpu-check-"))
    print(f"gpu-check: files and page.txt in {folder}", flush=True)
    slack = 4.0 if options.device_type == "cpu" else 1.0
    session = Session(
        folder.resolve(), options.device_type, options.budget_s, slack=slack, only=options.only
    )
    is_well = session.run()
    print(session.text(), end="")
    return 0 if is_well else FAILED


def no_gpu() -> str | None:
    """Why no GPU can be used; None where one can. Asked in a process that leaves none in use."""
    done = subprocess.run([sys.executable, "-c", QUESTION], capture_output=True, text=True)
    words = done.stdout.split()
    if done.returncode != 0 or len(words) < 3:
        return "torch cannot be imported"
    torch, cuda, is_usable = words[-3:]
    if is_usable == "True":
        return None
    build = "a build for CPUs" if cuda == "None" else f"built for CUDA {cuda}"
    return f"no usable NVIDIA GPU here (torch {torch}, {build})"


if __name__ == "__main__":
    sys.exit(main())
