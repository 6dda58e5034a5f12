"""Tables of runs in batches: times per image, latency and memory of the batch, who is compared."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from adscale.resolution import Resolution
from adscale.variant import Variant
from analysis.__main__ import main
from analysis.columns import size_values
from analysis.feasibility.answer import answer, keeps_cycle
from analysis.feasibility.process import GIB
from analysis.feasibility.tables import FeasibilityTables, feasibility_table, limits_table
from analysis.figures.captions import measured_on
from analysis.figures.clocks import clocks
from analysis.hardware import Gpu, Hardware, Sensor
from analysis.memory_table import MEMORY
from analysis.profiles.record import read_run
from analysis.profiles.study_runs import read_study_runs
from analysis.ratios import flops_table, implementations_table
from analysis.runs_table import runs_table
from analysis.runtime_table import RUNTIME
from analysis.tables import make_table, write_csv
from tests.analysis.drawings import STYLE
from tests.analysis.feasibility_tables import counts, latency
from tests.analysis.runtime_tables import RUN, measured, one, runtime_table

BATCH = 4
VARIANT = f"optimized-fp32-b{BATCH}"
SCALED = ["mean_ms", "ci95_low_ms", "ci95_high_ms", "standard_error_ms", "median_ms", "std_ms",
          "min_ms", "max_ms", "unseen_ms", "kernels_per_image"]  # fmt: skip
KEPT = ["images", "degrees_of_freedom", "effective_images", "launch_bound_share", "steadiness"]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pd.DataFrame]:
    """The same ranges, kernels and latencies as those of single images and of batches."""
    folder = tmp_path_factory.mktemp("runs")
    return {
        variant: runtime_table([measured(folder / variant, replace(RUN, variant=variant))], True)
        for variant in ("optimized-fp32", VARIANT)
    }


def test_times_by_the_profile_are_per_image(both: dict[str, pd.DataFrame]) -> None:
    single, batched = (table[table["clock"] != "latency"] for table in both.values())
    assert set(single["batch"]) == {1}
    assert set(batched["batch"]) == {BATCH}
    assert len(single) == len(batched) > 10
    pd.testing.assert_frame_equal(batched[KEPT], single[KEPT])
    for column in SCALED:
        wanted = (single[column] / BATCH).to_numpy("float64", na_value=float("nan"))
        assert batched[column].to_numpy("float64", na_value=float("nan")) == pytest.approx(
            wanted, nan_ok=True
        )


def test_latency_is_of_the_batch_and_megapixels_are_of_all_its_images(
    both: dict[str, pd.DataFrame],
) -> None:
    single, batched = (table[table["clock"] == "latency"] for table in both.values())
    times = ["mean_ms", "ci95_low_ms", "median_ms", "max_ms", "profiled_over_latency"]
    pd.testing.assert_frame_equal(batched[times], single[times])
    row = one(batched, submodule="end_to_end")
    assert row["megapixels_per_s"] == pytest.approx(BATCH * 256 * 256 / 1e3 / row["mean_ms"])


def test_energy_is_per_image(tmp_path: Path) -> None:
    found = {}
    for variant in ("optimized-fp32", VARIANT):
        folder = measured(tmp_path / variant, replace(RUN, variant=variant))
        found[variant] = runs_table(read_study_runs([folder], with_latency=False)).iloc[0]
    single, batched = found.values()
    assert batched["measured_images"] == single["measured_images"] == RUN.measured_images
    assert batched["energy_per_image_j"] == pytest.approx(single["energy_per_image_j"] / BATCH)


def runtime_rows(medians_ms: dict[str, float]) -> pd.DataFrame:
    rows = []
    for variant, time_ms in medians_ms.items():
        row: dict[str, Any] = dict.fromkeys(RUNTIME.schema)
        row |= {
            "device": "here", "device_type": "cpu", "hardware": "CPU", "method": "M",
            "variant": variant, "batch": Variant.of(variant).batch,
            **size_values(Resolution(64, 32)), "submodule": "image",
            "role": "image", "clock": "host", "status": "ok", "collector": "embedded",
            "collector_version": "1", "processes": 1, "images": 100, "mean_ms": time_ms,
            "standard_error_ms": time_ms / 100, "degrees_of_freedom": 99,
        }  # fmt: skip
        rows.append(row)
    return make_table(rows, RUNTIME.schema)


def memory_rows(flops: dict[str, int]) -> pd.DataFrame:
    rows = []
    for variant, number in flops.items():
        row: dict[str, Any] = dict.fromkeys(MEMORY.schema)
        row |= {
            "method": "M", "variant": variant, **size_values(Resolution(64, 32)),
            "submodule": "a", "parameters_bytes": 5, "buffers_bytes": 2,
            "activations_bytes": number, "total_bytes": 0, "flops": number, "basis": "counted",
        }  # fmt: skip
        rows.append(row)
    return make_table(rows, MEMORY.schema)


def test_flops_are_those_of_an_image() -> None:
    runtime = runtime_rows({VARIANT: 2.0})
    row = flops_table(runtime, memory_rows({VARIANT: 8_000_000})).iloc[0]
    assert row["flops"] == 2_000_000
    assert row["gflop_per_s"] == pytest.approx(1.0)
    assert row["batch"] == BATCH
    many = 9_007_199_254_740_993  # a real has not so many digits
    single = flops_table(
        runtime_rows({"reference-fp32": 2.0}), memory_rows({"reference-fp32": many})
    )
    assert single["flops"].tolist() == [many]


@pytest.mark.parametrize(
    ("others", "batch", "ratio"),
    [
        (["reference-fp32"], 1, 3 / 12),
        (["reference-fp32", f"reference-fp32-b{BATCH}"], BATCH, 3 / 10),
        (["reference-fp32", "reference-fp32-b8"], 1, 3 / 12),
        (["reference-tf32"], None, None),
    ],
)
def test_optimized_is_compared_with_its_batch_and_else_with_single_images(
    others: list[str], batch: int | None, ratio: float | None
) -> None:
    times_ms = {"reference-fp32": 12.0, "reference-fp32-b4": 10.0, "reference-fp32-b8": 9.0,
                "reference-tf32": 8.0}  # fmt: skip
    runtime = runtime_rows({**{name: times_ms[name] for name in others}, VARIANT: 3.0})
    counts = memory_rows({"reference-fp32": 10, "reference-fp32-b4": 40, VARIANT: 20})
    table = implementations_table(runtime, counts)
    if batch is None:
        assert table.empty
        return
    row = table.iloc[0]
    assert len(table) == 1
    assert (row["precision"], row["batch"], row["reference_batch"]) == ("fp32-b4", BATCH, batch)
    assert row["time_ratio"] == pytest.approx(ratio)
    # each side's own count, whatever else was counted
    assert row["reference_activations_bytes"] == {1: 10, BATCH: 40}[batch]
    assert row["optimized_activations_bytes"] == 20


def test_captions_and_the_figure_of_clocks_say_what_a_time_is_of(
    both: dict[str, pd.DataFrame],
) -> None:
    single, batched = both.values()
    is_latency = batched["clock"] == "latency"
    assert "batch 1, mean of n = 5 images" in measured_on(single)
    assert "batch 4, times of whole batches, mean of n = 5 batches" in measured_on(
        batched[is_latency]
    )
    assert "batch 4, times per image, mean of n = 5 batches" in measured_on(batched[~is_latency])
    drawn = clocks(batched, STYLE).data
    of_image = drawn[(drawn["clock"] == "latency") & (drawn["submodule"] == "image")]
    latency_ms = one(batched[is_latency], submodule="image")["mean_ms"]
    assert of_image["mean_ms"].iloc[0] == pytest.approx(latency_ms / BATCH)


def test_the_run_reads_its_batch_off_the_variant(tmp_path: Path) -> None:
    run = read_run(measured(tmp_path, replace(RUN, variant=VARIANT)) / "run.json")
    assert (run.variant, run.batch) == (VARIANT, BATCH)


def batched_tables(**more: Any) -> FeasibilityTables:
    """One way in batches 1, 4 and 8, each of twice the memory of the one before; 4 was measured."""
    ways = {"optimized-fp32": 1, VARIANT: 2, "optimized-fp32-b8": 4}
    needed = [counts({1000: factor * 3 * GIB}, variant=variant) for variant, factor in ways.items()]
    on_gpu = {"device": "lab", "hardware": "NVIDIA GeForce RTX 4090", "variant": VARIANT,
              "device_memory_bytes": 24 * GIB, **more}  # fmt: skip
    return FeasibilityTables(pd.concat(needed), runtime=latency((1000, 512, 256), 0, **on_gpu))


SENSOR = Hardware((Gpu("RTX 4090", 24), Gpu("small", 2), Gpu("middle", 8)), (Sensor("S", 1.0),))


def test_feasibility_is_of_the_batch_and_rates_are_of_its_images() -> None:
    table = feasibility_table(batched_tables(), SENSOR).set_index(["gpu", "variant"])
    row = table.loc[("RTX 4090", VARIANT)]
    assert row["batch"] == BATCH
    assert row["latency_ms"] == pytest.approx(80)
    assert row["images_per_second"] == pytest.approx(BATCH * 1000 / 80)
    assert "per batch of 4" in answer(row.to_dict() | names(row), None)
    # a camera with 30 ms between images gives a batch 120 ms
    assert keeps_cycle(row.to_dict(), 30) == "yes"
    assert keeps_cycle(row.to_dict(), 20) == "no"
    assert "keeps 4 × 30 ms" in answer(row.to_dict() | names(row), 30)


def names(row: Any) -> dict[str, Any]:
    return {"gpu": row.name[0], "variant": row.name[1]}


def test_the_largest_batch_that_fits_is_told_of_those_that_were_counted() -> None:
    table = feasibility_table(batched_tables(), SENSOR)
    limits = limits_table(table)
    found = limits[limits["limit"] == "largest batch"].set_index("gpu")
    assert (found.loc["RTX 4090", "batch"], found.loc["middle", "batch"]) == (8, BATCH)
    assert pd.isna(found.loc["small", "batch"])
    assert found.loc["small", "variant"] == "optimized-fp32"
    assert found.loc["middle", "variant"] == VARIANT
    # measured on one GPU in one batch, and nowhere else
    assert found["images_per_second"].isna().all()
    with_8 = batched_tables(variant="optimized-fp32-b8")
    rates = limits_table(feasibility_table(with_8, SENSOR))
    rates = rates[rates["limit"] == "largest batch"].set_index("gpu")["images_per_second"]
    assert rates["RTX 4090"] == pytest.approx(8 * 1000 / 80)
    assert pd.isna(rates["middle"])
    alone = FeasibilityTables(counts({1000: GIB}))
    assert "largest batch" not in set(limits_table(feasibility_table(alone, SENSOR))["limit"])


def test_the_command_tells_the_largest_batch(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = batched_tables()
    assert written.runtime is not None
    write_csv(written.counts, tmp_path / "memory_methods.csv")
    write_csv(written.runtime, tmp_path / "runtime.csv")
    question = ["feasible", "--tables", str(tmp_path), "--sensor", "1000x1000"]
    question += ["--vram-gib", "8"]
    assert main(question) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == (
        "M optimized-fp32, 8 GiB: largest counted batch that fits: 4, 50 images per second "
        "measured on NVIDIA GeForce RTX 4090 (device lab)"
    )
