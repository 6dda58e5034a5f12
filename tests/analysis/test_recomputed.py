"""All tables of generated studies agree with a second program that reads the raw files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.analysis.drawings import count_of
from tests.analysis.recomputed import batch, disagreements
from tests.gpu_profiles import GpuRun, write_gpu_run

Command = Callable[..., tuple[int, str, str]]
PARTS = ("teacher", "student")
WRONG = 1 + 1e-9
FLOP = 1_234_567_890_123_457
"""More digits than a real has in a table."""

IMAGES = {1: 180, 3: 40}
"""Measured ones by the number of processes: enough for intervals of p95, and of p90."""


VARIANTS = {
    1: {"reference-fp32": 1.0, "optimized-fp32": 0.7},
    3: {"reference-fp32": 1.0, "optimized-fp32": 0.7, "optimized-fp32-b4": 2.2},
}


def runs(processes: int) -> Iterator[tuple[str, GpuRun]]:
    """Folders and runs of the variants, with noise of images and of processes."""
    random = np.random.default_rng(processes)
    for variant, factor in VARIANTS[processes].items():
        for process in range(1, processes + 1):
            level = factor * 400_000 * (1 + 0.02 * random.normal())
            noise = np.exp(0.1 * random.normal(size=(2, IMAGES[processes])))

            def work_ns(name: str, image: int, level: float = level, noise: object = noise) -> int:
                return 4 * int(level * noise[PARTS.index(name), image] / 4)  # type: ignore[index]

            folder = f"generated/M/{variant}/256" + ("" if process == 1 else f"/process-{process}")
            yield folder, GpuRun("M", 256, PARTS, work_ns, variant=variant, warmup_images=1,
                                 measured_images=IMAGES[processes], process=process)  # fmt: skip


@pytest.fixture(params=[1, 3], ids=["one process", "three processes"])
def study(request: pytest.FixtureRequest, tmp_path: Path, analysis: Command) -> Path:
    """Raw files, and the tables that the commands make of them."""
    folders, counts = [], []
    for name, run in runs(request.param):
        write_gpu_run(tmp_path / name, run)
        folders.append(tmp_path / name)
        run_folder = tmp_path / name
        assert analysis(
            "attribute", run_folder / "profile.sqlite", "--run", run_folder / "run.json",
            "-o", run_folder / "ranges.parquet",
        )[0] == 0  # fmt: skip
    for variant in VARIANTS[request.param]:
        counts.append(tmp_path / "counts" / "M" / variant / "memory.json")
        counts[-1].parent.mkdir(parents=True)
        document = count_of(variant=variant).document((256, 512))
        for one in document["resolutions"]:
            for number, part in enumerate(one["submodules"], start=1):
                part["flops"] = number * FLOP * batch(variant)
        counts[-1].write_text(json.dumps(document))
    tables = tmp_path / "tables"
    runtime, memory = tables / "runtime.csv", tables / "memory.csv"
    both = ("--runtime", runtime, "--memory", memory, "-o")
    for arguments in (
        ("summarize", *folders, "-o", runtime),
        ("memory", *counts, "-o", memory),
        ("measured-memory", *folders[:: request.param], "--counts", *counts,
         "-o", tables / "memory_measured.csv"),
        ("flops", *both, tables / "flops.csv"),
        ("implementations", *both, tables / "implementations.csv"),
    ):  # fmt: skip
        assert analysis(*arguments)[0] == 0
    return tmp_path


def test_all_tables_agree_with_the_raw_files(study: Path) -> None:
    assert list(disagreements(study)) == []
    runtime = pd.read_csv(study / "tables/runtime.csv")
    assert set(runtime["clock"]) == {"host", "kernel_sum", "busy", "span", "latency"}
    busy = runtime[(runtime["submodule"] == "teacher") & (runtime["clock"] == "busy")]
    assert busy[["p90_low_ms", "median_standard_error_ms"]].notna().all(axis=None)


def test_a_cell_that_differs_is_named(study: Path) -> None:
    for table, column in (("runtime", "p90_ms"), ("implementations", "time_ratio"),
                          ("memory", "flops"), ("flops", "gflop_per_s")):  # fmt: skip
        path = study / "tables" / f"{table}.csv"
        whole = pd.read_csv(path, dtype=str, keep_default_na=False)
        row = int(np.argmax(whole[column] != ""))
        values = whole[column].tolist()
        is_whole = values[row].isdigit()
        values[row] = (
            str(int(values[row]) + 1) if is_whole else f"{float(values[row]) * WRONG:.17g}"
        )
        whole.assign(**{column: values}).to_csv(path, index=False)
        (found,) = disagreements(study)
        assert found.startswith(f"{table}: ")
        assert f" {column} is " in found
        whole.to_csv(path, index=False)
