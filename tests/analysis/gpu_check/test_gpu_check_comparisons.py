"""Our attribution against reports of nsys, and collectors against each other."""

from __future__ import annotations

import dataclasses
import subprocess
from pathlib import Path

import pytest

from analysis.gpu_check.cross_checks import (
    KERNEL_REPORT,
    PROJECTION_REPORT,
    collector_checks,
    nsys_checks,
    nsys_sums,
)
from tests.analysis.gpu_check.generated import IMAGES, RUN, write_run


def write_reports(nsys: Path, folder: Path) -> None:
    for report in (KERNEL_REPORT, PROJECTION_REPORT):
        command = [str(nsys), "stats", "--report", report, "--format", "csv"]
        done = subprocess.run(
            [*command, str(folder / "profile.sqlite")], capture_output=True, text=True, check=True
        )
        (folder / f"{report}.csv").write_text(done.stdout)


@pytest.mark.nsys
def test_every_range_has_the_times_that_nsys_itself_reports(nsys: Path, tmp_path: Path) -> None:
    write_run(tmp_path)
    write_reports(nsys, tmp_path)
    kernels, projections = nsys_checks(tmp_path, "M")
    # phases, image, submodules; the projection has copies besides
    assert (kernels.result, kernels.found) == ("pass", "6 of 6 equal")
    assert (projections.result, projections.found) == ("pass", "8 of 8 equal")
    sums = nsys_sums(KERNEL_REPORT, tmp_path / f"{KERNEL_REPORT}.csv")
    images = IMAGES + RUN.warmup_images + 1
    assert sums["adscale:teacher"] == images * 5_000_000
    path = tmp_path / f"{KERNEL_REPORT}.csv"
    total = str(images * 2_000_000)
    path.write_text(
        "\n".join(
            line.replace(total, str(images * 2_000_000 + 1)) if "student" in line else line
            for line in path.read_text().splitlines()
            if "adscale:measure" not in line
        )
    )
    kernels, _ = nsys_checks(tmp_path, "M")
    assert kernels.result == "FAIL"
    assert kernels.found.startswith("3 of 6 equal; adscale:image: ")


def test_a_report_that_nsys_did_not_make_is_no_agreement(tmp_path: Path) -> None:
    write_run(tmp_path)
    assert [check.result for check in nsys_checks(tmp_path, "M")] == ["not checked"] * 2
    (tmp_path / f"{KERNEL_REPORT}.csv").write_text("SKIPPED: does not contain CUDA trace data.\n")
    assert nsys_checks(tmp_path, "M")[0].result == "FAIL"


@pytest.mark.parametrize(
    ("slower", "verdict"), [(0.9, "FAIL"), (0.96, "pass"), (1.0, "pass"), (1.1, "FAIL")]
)
def test_kernel_times_of_both_collectors(slower: float, verdict: str, tmp_path: Path) -> None:
    def work_ns(name: str, image: int) -> int:
        return int(4_000_000 * (slower if name == "student" else 1)) // 4 * 4

    write_run(tmp_path / "nsys", run=dataclasses.replace(RUN, work_ns=work_ns))
    write_run(tmp_path / "embedded")
    times, counts = collector_checks(tmp_path / "nsys", tmp_path / "embedded", "M")
    assert times.result == verdict
    assert times.found.startswith(f"image {(1 + slower) / 2:.3f}, worst ")
    if slower != 1:
        assert times.found.endswith(f"worst student {slower:.3f}")
    assert (counts.result, counts.found) == ("pass", "8 and 8")


def test_a_collector_that_loses_kernels_is_seen(tmp_path: Path) -> None:
    write_run(tmp_path / "nsys", run=dataclasses.replace(RUN, submodules=("teacher",)))
    write_run(tmp_path / "embedded")
    _, counts = collector_checks(tmp_path / "nsys", tmp_path / "embedded", "M")
    assert (counts.result, counts.found) == ("FAIL", "4 and 8")
