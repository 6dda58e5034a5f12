"""The paper's assumption, judged by real counts: methods.md, section 5, found again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from adscale.names import PAPER_SIDES_PX
from analysis.memory_extrapolation import memory_extrapolation_table
from analysis.memory_table import memory_table, read_counts

CHECKOUT = Path(__file__).parents[2]


def judged(folder: Path, target: str, variant: str, last_px: int) -> pd.DataFrame:
    """The rows of a method's peaks, by submodule and side."""
    sides = [str(side_px) for side_px in (*PAPER_SIDES_PX, 2048, last_px)]
    command = [sys.executable, "-m", "profiling", "memory", "--method", target, "--label", target]
    done = subprocess.run(
        [*command, "--variant", variant, "--resolution", *sides, "--json"],
        cwd=CHECKOUT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    path = folder / "memory.json"
    path.write_text(done.stdout)
    table = memory_extrapolation_table(memory_table(read_counts([path])), 3000)
    assert set(table["at_px"]) == {2048, last_px}
    return table[table["quantity"] == "peak"].set_index(["submodule", "at_px"])


@pytest.mark.slow
def test_the_peak_of_ddads_unet_grows_with_the_fourth_power(tmp_path: Path) -> None:
    rows = judged(tmp_path, "ddad", "reference-fp32", 3008)
    unet = rows.loc["denoising_unet"]
    assert unet["relative_error"].tolist() == pytest.approx([-0.57, -0.77], abs=0.006)
    assert unet["r_squared"].tolist() == pytest.approx([0.9951] * 2, abs=5e-4)
    assert unet["counted_growth_power"].tolist() == pytest.approx([3.95] * 2, abs=0.01)
    assert unet["verdict"].str.startswith("not quadratic").all()
    assert rows.loc["feature_extraction", "relative_error"].abs().max() < 0.003


@pytest.mark.slow
def test_with_fused_attention_it_grows_with_the_pixels(tmp_path: Path) -> None:
    rows = judged(tmp_path, "ddad", "optimized-fp32", 3008)
    assert rows["relative_error"].abs().max() < 0.003


@pytest.mark.parametrize(
    "target", ["efficientad", pytest.param("patchcore", marks=pytest.mark.slow)]
)
def test_the_peaks_of_the_other_methods_grow_with_the_pixels(tmp_path: Path, target: str) -> None:
    """Networks, PatchCore's embedding and its maps; what is nothing has no error."""
    rows = judged(tmp_path, target, "reference-fp32", 3000)
    assert rows["relative_error"].abs().max() < 0.003
    quadratic = rows["verdict"] == "quadratic: error below 1 %"
    assert (quadratic | (rows["verdict"] == "constant: 0 bytes at every resolution")).all()
