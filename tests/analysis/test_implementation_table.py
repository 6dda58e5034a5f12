from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from adscale.resolution import square
from analysis.__main__ import main
from analysis.columns import size_values
from analysis.memory_table import MEMORY
from analysis.ratios import IMPLEMENTATIONS, implementations_table
from analysis.runtime_table import RUNTIME
from analysis.statistics.summary import summarize_series
from analysis.tables import make_table, write_csv

TIMES_MS = {
    ("reference-fp32", "a"): [10.0, 12.0, 11.0, 13.0],
    ("reference-fp32", "image"): [30.0, 31.0, 32.0],
    ("optimized-fp32", "a"): [2.0, 2.2, 2.4],
    ("optimized-fp32", "image"): [20.0],
    ("reference-tf32", "a"): [5.0, 5.0],
}


def runtime_rows(**changes: Any) -> pd.DataFrame:
    rows = []
    for (variant, part), times_ms in TIMES_MS.items():
        sample = summarize_series([np.array(times_ms)])
        row: dict[str, Any] = dict.fromkeys(RUNTIME.schema)
        row |= {
            "device": "here", "device_type": "cpu", "hardware": "CPU", "method": "M",
            "variant": variant, **size_values(square(64)), "submodule": part,
            "role": "image" if part == "image" else "submodule", "clock": "host", "status": "ok",
            "collector": "embedded", "collector_version": "1", "processes": 1,
            "images": sample.images, "mean_ms": sample.mean.value,
            "standard_error_ms": sample.standard_error,
            "degrees_of_freedom": sample.degrees_of_freedom, **changes,
        }  # fmt: skip
        rows.append(row)
    return make_table(rows, RUNTIME.schema)


def memory_rows() -> pd.DataFrame:
    rows = []
    for variant, factor in (("reference-fp32", 10), ("optimized-fp32", 1)):
        for part, number in (("a", 1), ("b", 2)):
            row: dict[str, Any] = dict.fromkeys(MEMORY.schema)
            row |= {
                "method": "M", "variant": variant, **size_values(square(64)),
                "submodule": part, "parameters_bytes": 100 * factor * number,
                "buffers_bytes": 7, "activations_bytes": 1000 * factor * number,
                "total_bytes": 0, "basis": "counted",
            }  # fmt: skip
            rows.append(row)
    return make_table(rows, MEMORY.schema)


def test_both_implementations_stand_side_by_side() -> None:
    table = implementations_table(runtime_rows(), memory_rows())
    assert list(table.columns) == list(IMPLEMENTATIONS.schema)
    assert list(table["submodule"]) == ["a", "image"]
    first, whole = (table.iloc[index] for index in (0, 1))
    assert (first["reference_ms"], first["optimized_ms"]) == (11.5, pytest.approx(2.2))
    assert (first["reference_images"], first["optimized_images"]) == (4, 3)
    assert first["time_ratio"] == pytest.approx(2.2 / 11.5)
    assert first["precision"] == "fp32"
    assert (first["reference_held_bytes"], first["optimized_held_bytes"]) == (1007, 107)
    activations = ("reference_activations_bytes", "optimized_activations_bytes")
    assert [first[name] for name in activations] == [10_000, 1_000]
    # of the whole image: the sum over its submodules
    assert [whole[name] for name in activations] == [30_000, 3_000]
    assert (whole["reference_held_bytes"], whole["optimized_held_bytes"]) == (3014, 314)


def test_the_interval_of_a_ratio_covers_the_truth() -> None:
    """Simulated: normal times with known means; 95 of 100 intervals hold their ratio."""
    generator = np.random.default_rng(1)
    template = runtime_rows().set_index(["variant", "submodule"])
    rows = []
    for number in range(1000):
        for variant, mean_ms in (("reference-fp32", 50.0), ("optimized-fp32", 20.0)):
            sample = summarize_series([generator.normal(mean_ms, 0.04 * mean_ms, 100)])
            row = template.loc[(variant, "a")].to_dict()
            row |= {"variant": variant, "submodule": "a", **size_values(square(number + 1))}
            row |= {"images": 100, "mean_ms": sample.mean.value}
            row |= {"standard_error_ms": sample.standard_error}
            rows.append(row | {"degrees_of_freedom": sample.degrees_of_freedom})
    table = implementations_table(make_table(rows, RUNTIME.schema), memory_rows())
    hits = table["time_ratio_ci95_low"].le(0.4) & table["time_ratio_ci95_high"].ge(0.4)
    assert len(hits) == 1000
    assert 0.93 <= hits.mean() <= 0.97


def test_a_single_image_has_a_ratio_without_interval() -> None:
    whole = implementations_table(runtime_rows(), memory_rows()).iloc[1]
    assert whole["time_ratio"] == pytest.approx(20 / 31)
    assert pd.isna(whole["time_ratio_ci95_low"])
    assert pd.isna(whole["time_ratio_ci95_high"])


def test_equal_times_have_a_ratio_of_one() -> None:
    runtime = runtime_rows(mean_ms=3.0, standard_error_ms=0.0, degrees_of_freedom=3)
    row = implementations_table(runtime, memory_rows()).iloc[0]
    found = [row[f"time_ratio{end}"] for end in ("", "_ci95_low", "_ci95_high")]
    assert found == [1.0, 1.0, 1.0]


def test_runs_out_of_memory_have_no_ratio() -> None:
    runtime = runtime_rows()
    lost = runtime["variant"] == "reference-fp32"
    runtime.loc[lost, ["mean_ms", "standard_error_ms"]] = pd.NA
    row = implementations_table(runtime, memory_rows()).iloc[0]
    assert pd.isna(row["time_ratio"])
    assert row["optimized_ms"] == pytest.approx(2.2)


def test_one_implementation_alone_gives_an_empty_table(tmp_path: Path) -> None:
    runtime = runtime_rows()
    runtime = runtime[runtime["variant"] != "optimized-fp32"]
    write_csv(runtime, tmp_path / "runtime.csv")
    write_csv(memory_rows(), tmp_path / "memory.csv")
    arguments = ["--runtime", str(tmp_path / "runtime.csv"), "--memory"]
    output = tmp_path / "implementations.csv"
    assert (
        main(["implementations", *arguments, str(tmp_path / "memory.csv"), "-o", str(output)]) == 0
    )
    assert output.read_text(encoding="utf-8").strip() == ",".join(IMPLEMENTATIONS.schema)


def test_other_clocks_and_roles_are_left_out() -> None:
    runtime = pd.concat(
        [runtime_rows(), runtime_rows(role="outside"), runtime_rows(clock="span")],
        ignore_index=True,
    )
    assert len(implementations_table(runtime, memory_rows())) == 2
    assert not math.isnan(implementations_table(runtime, memory_rows())["time_ratio"].sum())
