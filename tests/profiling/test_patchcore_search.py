"""What faiss takes besides, against the process in which it searches."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import faiss
import pytest

from profiling.methods.patchcore.search import is_search_by_products

SEARCH = """
import sys
import faiss, numpy as np
from profiling.methods.patchcore.search import FlatSearch
queries, rows = (int(text) for text in sys.argv[1:])
faiss.omp_set_num_threads(1)
search = FlatSearch(rows, 1024)
search.bank.numpy()[:] = 0.5
found = np.full((queries, 1024), 0.25, np.float32)

def peak():
    lines = dict(line.split(":") for line in open("/proc/self/status"))
    return int(lines["VmHWM"].split()[0]) * 1024

open("/proc/self/clear_refs", "w").write("5")
before = peak()
search._nearest(found)
print(peak() - before, search._takes(queries).device_bytes)
"""


@pytest.mark.parametrize(("queries", "rows"), [(100, 5000), (1024, 5000), (4096, 5000)])
def test_what_the_search_takes_is_what_its_process_grows_by(queries: int, rows: int) -> None:
    """On both sides of faiss' threshold, and where a block is full."""
    done = subprocess.run(
        [sys.executable, "-c", SEARCH, str(queries), str(rows)],
        capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    grown, told = (int(text) for text in done.stdout.split())
    assert told == pytest.approx(grown, rel=0.15, abs=0.75 * 2**20)


@pytest.mark.parametrize(
    ("version", "threshold", "one_by_one", "by_products"),
    [("1.13.2", 20, (19, 1024), (20, 1)), ("1.15.1", 128_000, (124, 1024), (125, 1024))],
)
def test_the_threshold_has_the_unit_of_its_version(
    version: str,
    threshold: int,
    one_by_one: tuple[int, int],
    by_products: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(faiss, "__version__", version)
    monkeypatch.setattr(faiss.cvar, "distance_compute_blas_threshold", threshold)
    assert not is_search_by_products(*one_by_one)
    assert is_search_by_products(*by_products)
