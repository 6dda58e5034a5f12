"""How time and memory of planning a study grow with its runs."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from tests.workflow.conftest import SNAKEMAKE

LAUNCHER = Path(__file__).with_name("launcher.py")
RUNS = (300, 600, 1200, 2400, 4800)
DEVICES, SIDES = 2, 30
VARIANTS = ["reference-fp32", "optimized-fp32"]


def main(_rounds: int) -> None:
    """Plans studies of several sizes once each, by a dry run."""
    print("| runs | jobs | wall s | CPU s | peak MiB |\n|---|---|---|---|---|")
    for runs in RUNS:
        with tempfile.TemporaryDirectory(prefix="scale-") as name:
            print(_row(Path(name), runs), flush=True)


def _row(folder: Path, runs: int) -> str:
    (folder / "config").mkdir()
    (folder / "config/config.yaml").write_text(yaml.safe_dump(_study(runs)))
    report = folder / "report.json"
    command = [sys.executable, "-S", "-E", str(LAUNCHER), str(report)]
    command += [*SNAKEMAKE, "-n", "--quiet", "rules", "--jobs", "100", "--default-resources"]
    command += ["--executor", "slurm"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return f"| {runs} | failed: {done.stderr.strip().splitlines()[-1]} | | | |"
    took = json.loads(report.read_text())
    jobs = done.stdout.split("total")[1].split()[0] if "total" in done.stdout else "?"
    mib = took["peak_bytes"] / 2**20
    return f"| {runs} | {jobs} | {took['wall_s']:.1f} | {took['cpu_s']:.1f} | {mib:.0f} |"


def _study(runs: int) -> dict[str, Any]:
    methods = runs // (DEVICES * SIDES * len(VARIANTS))
    return {
        "devices": [
            {"name": f"d{k}", "type": "cuda", "threads": 4, "hardware": f"GPU {k}"}
            for k in range(DEVICES)
        ],
        "methods": {f"M{k}": {"target": "efficientad", "size": "S"} for k in range(methods)},
        "resolutions": list(range(256, 256 + 8 * SIDES, 8)),
        "variants": VARIANTS,
        "collector": "embedded",
        "latency": True,
        "sampling": {"measured_images": 100, "min_images": 30},
    }
