"""`flops.csv`: counted work over measured time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from adscale.resolution import square
from analysis.__main__ import main
from analysis.columns import size_values
from analysis.memory_table import memory_table, read_counts
from analysis.ratios import FLOPS, flops_table
from analysis.runtime_table import RUNTIME
from analysis.tables import make_table, read_csv, write_csv
from tests.memory_documents import Count, Part, constant

SIDE_PX = 256
UNET = Part("unet", flops=constant(6_000_000_000))
NET = Part("net", flops=constant(2_000_000_000))
MAP = Part("map")


def runtime_row(submodule: str, mean_ms: float | None, **changes: Any) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(RUNTIME.schema)
    return {
        **row,
        "device": "here", "device_type": "cuda", "hardware": "a GPU", "method": "M",
        "variant": "reference-fp32", **size_values(square(SIDE_PX)),
        "submodule": submodule, "role": "image" if submodule == "image" else "submodule",
        "clock": "busy", "status": "ok", "images": 7, "mean_ms": mean_ms,
        "ci95_low_ms": None if mean_ms is None else mean_ms * 0.8,
        "ci95_high_ms": None if mean_ms is None else mean_ms * 1.25,
        **changes,
    }  # fmt: skip


@pytest.fixture
def memory(tmp_path: Path) -> pd.DataFrame:
    count = Count("M", (UNET, NET, MAP))
    return memory_table(read_counts([count.write(tmp_path / "m.json", [SIDE_PX])]))


def rates(runtime: list[dict[str, Any]], memory: pd.DataFrame) -> pd.DataFrame:
    return flops_table(make_table(runtime, RUNTIME.schema), memory).set_index("submodule")


def test_a_rate_is_work_over_time_and_its_interval_turns_around(memory: pd.DataFrame) -> None:
    rows = [runtime_row("unet", 3.0), runtime_row("net", 4.0), runtime_row("image", 8.0)]
    table = rates(rows, memory)
    assert table["flops"].tolist() == [6_000_000_000, 2_000_000_000, 8_000_000_000]
    # 6 GFLOP in 3 ms
    assert table["gflop_per_s"].tolist() == pytest.approx([2000, 500, 1000])
    assert table.loc["unet", "gflop_per_s_ci95_low"] == pytest.approx(2000 / 1.25)
    assert table.loc["unet", "gflop_per_s_ci95_high"] == pytest.approx(2000 / 0.8)


def test_where_and_how_it_was_measured_is_kept(memory: pd.DataFrame) -> None:
    row = rates([runtime_row("unet", 3.0)], memory).loc["unet"]
    kept = ("device", "hardware", "clock", "images", "status", "role", "side_px")
    expected = ["here", "a GPU", "busy", 7, "ok", "submodule", SIDE_PX]
    assert [row[name] for name in kept] == expected
    assert (row["mean_ms"], row["ci95_low_ms"], row["ci95_high_ms"]) == pytest.approx(
        (3, 2.4, 3.75)
    )


@pytest.mark.parametrize(
    "row",
    [
        runtime_row("map", 2.0),
        runtime_row("unet", None, status="out_of_memory", images=0),
        runtime_row("unet", 0.0),
        runtime_row("unet", 3.0, **size_values(square(300))),
    ],
    ids=["no FLOP", "no time", "a time of zero", "not counted"],
)
def test_there_is_no_rate_without_work_or_time(row: dict[str, Any], memory: pd.DataFrame) -> None:
    table = rates([row], memory)
    columns = ["gflop_per_s", "gflop_per_s_ci95_low", "gflop_per_s_ci95_high"]
    assert len(table) == 1
    assert table[columns].isna().all(axis=None)


def test_one_image_has_a_rate_without_interval(memory: pd.DataFrame) -> None:
    alone = runtime_row("unet", 3.0, images=1, ci95_low_ms=None, ci95_high_ms=None)
    row = rates([alone], memory).loc["unet"]
    assert row["gflop_per_s"] == pytest.approx(2000)
    assert row[["gflop_per_s_ci95_low", "gflop_per_s_ci95_high"]].isna().all()


def test_an_interval_that_reaches_below_zero_bounds_the_rate_on_one_side(
    memory: pd.DataFrame,
) -> None:
    row = rates([runtime_row("unet", 3.0, ci95_low_ms=-1.0)], memory).loc["unet"]
    assert row["gflop_per_s_ci95_low"] == pytest.approx(1600)
    assert pd.isna(row["gflop_per_s_ci95_high"])


def test_the_clock_is_the_main_one_of_the_device(memory: pd.DataFrame) -> None:
    cpu = {"device": "cpu", "device_type": "cpu"}
    rows = [
        *(runtime_row("unet", 3.0, clock=clock) for clock in ("host", "busy", "span")),
        runtime_row("unet", 30.0, clock="host", **cpu),
        runtime_row("load", 1.0, role="outside"),
    ]
    table = rates(rows, memory)
    assert table[["device", "clock"]].to_numpy().tolist() == [["here", "busy"], ["cpu", "host"]]
    assert table["gflop_per_s"].tolist() == pytest.approx([2000, 200])


def test_what_is_not_wholly_counted_says_so(tmp_path: Path) -> None:
    count = Count("M", (UNET,), incomplete="counted up to unet")
    memory = memory_table(read_counts([count.write(tmp_path / "m.json", [SIDE_PX])]))
    table = rates([runtime_row("unet", 3.0), runtime_row("image", 3.0)], memory)
    assert set(table["incomplete"]) == {"counted up to unet"}


def test_the_command_writes_the_table(memory: pd.DataFrame, tmp_path: Path) -> None:
    runtime = make_table([runtime_row("unet", 3.0)], RUNTIME.schema)
    write_csv(runtime, tmp_path / "runtime.csv")
    write_csv(memory, tmp_path / "memory.csv")
    arguments = ["--runtime", str(tmp_path / "runtime.csv"), "--memory"]
    output = tmp_path / "flops.csv"
    assert main(["flops", *arguments, str(tmp_path / "memory.csv"), "-o", str(output)]) == 0
    assert read_csv(output, FLOPS.schema)["gflop_per_s"].tolist() == pytest.approx([2000])
    assert output.with_suffix(".parquet").exists()
