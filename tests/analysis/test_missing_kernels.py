"""Kernels that a profile has lost without a word: seen by launches that have none."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from analysis.nsys.reading import read_profile
from tests.analysis.conftest import FIXTURES
from tests.gpu_profiles import SIDE_STREAM, STREAM, ProfileWriter

Analysis = Callable[..., tuple[int, str, str]]
KERNELS = 40


def profile(folder: Path, *lost: int, before: str | None = None) -> Path:
    """Kernels on two streams in turn; of some only the launch is there."""
    writer = ProfileWriter()
    with writer.range("step"):
        if before is not None:
            writer.call(before)
        first = writer.correlation + 1
        for number in range(KERNELS):
            stream = (STREAM, SIDE_STREAM)[number % 2]
            writer.kernel("k", writer.cpu_ns + 10_000, 100, stream=stream)
    path = folder / f"{before}.sqlite"
    writer.write(path)
    ids = ", ".join(str(first + number) for number in lost)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"DELETE FROM CUPTI_ACTIVITY_KIND_KERNEL WHERE correlationId IN ({ids})")
    return path


def missing(path: Path) -> int:
    return read_profile(path).capture.missing_kernels


def test_launches_in_the_middle_without_a_kernel_are_told(
    analysis: Analysis, tmp_path: Path
) -> None:
    path = profile(tmp_path, 3, 4, 17)
    assert missing(path) == 3
    _, text, _ = analysis("attribute", path)
    assert "At least 3 kernels are missing" in text
    _, document, told = analysis("attribute", path, "--json")
    assert '"missing_kernels": 3' in document
    assert "warning: At least 3 kernels are missing" in told


@pytest.mark.parametrize(
    ("lost", "found"),
    [((), 0), (range(30, KERNELS), 0), ((5, *range(30, KERNELS)), 1), (range(21, KERNELS, 2), 0)],
)
def test_what_the_end_of_a_capture_cuts_off_is_no_loss(
    tmp_path: Path, lost: tuple[int, ...], found: int
) -> None:
    """Nor are the last of one stream while another goes on: they may have waited for longer."""
    assert missing(profile(tmp_path, *lost)) == found


@pytest.mark.parametrize("call", ["cudaStreamBeginCapture_v10000", "cuProfilerStop"])
def test_where_launches_may_rightly_have_no_kernel_nothing_is_told(
    tmp_path: Path, call: str
) -> None:
    assert missing(profile(tmp_path, 3, before=call)) == 0
    assert missing(profile(tmp_path, 3, before="cudaMalloc_v3020")) == 1


@pytest.mark.fixtures
def test_no_published_profile_is_said_to_have_lost_kernels() -> None:
    """Two have launches without a kernel: in a graph's capture, and cut off at the end."""
    files = sorted(FIXTURES.rglob("*.sqlite"))
    assert files
    assert {file.name: missing(file) for file in files if missing(file)} == {}
