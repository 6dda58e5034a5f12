"""Studies run by the real Snakemake in folders of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.shared_folders import Share

CHECKOUT = Path(__file__).parents[2]

Study = Callable[..., subprocess.CompletedProcess[str]]

TINY: dict[str, Any] = {
    "preset": "smoke",
    "device": {"name": "test", "type": "cpu"},
    "methods": {"Small": {"target": "efficientad", "size": "S"}},
    "resolutions": [256, 288],
    "sampling": {"warmup_images": 1, "measured_images": 2, "min_images": 2},
    "collector": "embedded",
    "extrapolate_to_px": 1024,
    "figures": {"png_dpi": 72},
    "sensors": [{"name": "1024 px", "megapixels": 1.048576}],
}


def write_config(folder: Path, changes: Mapping[str, Any]) -> None:
    """The configuration of a tiny study, with changes, where Snakemake looks for it."""
    path = folder / "config" / "config.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump({**TINY, **changes}))


SNAKEMAKE = [
    str(Path(sys.executable).parent / "snakemake"), "--snakefile", str(CHECKOUT / "Snakefile"),
]  # fmt: skip
"""The command line of a study in the working directory."""


def run_study(
    folder: Path, *arguments: str, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs Snakemake to its end."""
    timespan = () if "--workflow-profile" in arguments else ("--max-jobs-per-timespan", "1000/1s")
    return subprocess.run(  # it ends a timespan after its last choice: two seconds less, each time
        [*SNAKEMAKE, *timespan, *arguments], env={**os.environ, **(environment or {})},
        capture_output=True, text=True, timeout=900, cwd=folder,
    )  # fmt: skip


def planned(folder: Path, *arguments: str) -> dict[str, int]:
    """How many jobs of each rule a dry run would execute."""
    done = run_study(folder, *arguments, "-n", "--quiet", "rules")
    assert done.returncode == 0, done.stderr
    text = done.stdout + done.stderr
    if "Nothing to be done" in text:
        return {}
    rows = text.split("Job stats:")[1].split("total")[0].splitlines()[3:]
    return {name: int(count) for name, count in (row.split() for row in rows if row.strip())}


@pytest.fixture(scope="session")
def finished_study(share: Share) -> Path:
    """The folder of a tiny study that has run. Tests that change it take a copy.

    It ran on three cores and without the profile's limit, which is the harder case: a measurement
    must not overlap another one even so.
    """

    def fill(folder: Path) -> None:
        write_config(folder, {})
        done = run_study(folder, "--cores", "3", "--resources", "other=1")
        assert done.returncode == 0, done.stdout + done.stderr

    return share("study", fill)
