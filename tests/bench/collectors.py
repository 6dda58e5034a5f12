"""Do the two collectors measure the same? Host times under nsys over those of the embedded one.

Short runs of both alternate, and so does which of the two comes first, because the speed of a
machine drifts. A round yields one ratio of median times per submodule.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd

from profiling.collectors.nsys import find_nsys
from tests.bench.ratios import median_interval

CHECKOUT = Path(__file__).parents[2]
IMAGES = 12
LOW, HIGH = 0.95, 1.05


def main(rounds: int) -> None:
    """Prints a table of ratios, and whether each interval lies within 0.95 to 1.05."""
    if find_nsys(None) is None:
        print("no nsys here (ADSCALE_NSYS, PATH): nothing to compare")
        return
    ratios = pd.DataFrame([_round(number) for number in range(rounds)])
    print(f"EfficientAD-S, 256 px, CPU host time, {rounds} rounds of 2 × {IMAGES} images")
    print("median of the rounds' ratios, and an interval that holds it in 95 of 100 cases or more")
    print(f"{'range':<14}{'ratio nsys / embedded':>24}{'interval':>20}  within {LOW} to {HIGH}")
    for name in ratios:
        middle, low, high = median_interval(ratios[name])
        verdict = "yes" if low >= LOW and high <= HIGH else "NO"
        print(f"{name:<14}{middle:>24.4f}{f'{low:.4f} to {high:.4f}':>20}  {verdict}")


def _round(number: int) -> pd.Series:
    order = ("nsys", "embedded") if number % 2 == 0 else ("embedded", "nsys")
    medians = {collector: _medians(collector) for collector in order}
    return medians["nsys"] / medians["embedded"]


def _medians(collector: str) -> pd.Series:
    """Median host time per submodule and of the image, in ms, of one run."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["--warmup-images", "3", "--measured-images", str(IMAGES)]
        arguments += ["--min-images", str(IMAGES), "--resolution", "256", "--device-type", "cpu"]
        _call("profiling", "run", "--method", "efficientad", "--set", "size=S", *arguments,
              "--collector", collector, "--out", folder)  # fmt: skip
        if collector == "nsys":
            _call("profiling", "export", f"{folder}/profile.nsys-rep",
                  "-o", f"{folder}/profile.sqlite")  # fmt: skip
        table = f"{folder}/ranges.parquet"
        _call("analysis", "attribute", f"{folder}/profile.sqlite",
              "--run", f"{folder}/run.json", "-o", table)  # fmt: skip
        ranges = pd.read_parquet(table)
    inside = ranges[(ranges["phase"] == "measure") & ranges["path"].str.startswith("image")]
    return inside.groupby("name", sort=False)["host_ms"].median()


def _call(package: str, *arguments: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    subprocess.run(
        [sys.executable, "-m", package, *arguments], env=environment, check=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
