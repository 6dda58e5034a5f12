"""`memory.csv` and `memory_methods.csv` from counts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from adscale.errors import ResultsError
from analysis.memory_table import (
    MEMORY,
    MEMORY_METHODS,
    memory_methods_table,
    memory_table,
    read_counts,
)
from tests.memory_documents import CONVENTIONS, NOTHING, Count, Part, constant, per_pixel

TEACHER = Part(
    "teacher",
    parameters=constant(1000),
    activations=per_pixel(4),
    peak=per_pixel(30),
    kept=per_pixel(3),
    host_peak=per_pixel(1),
    flops=per_pixel(100),
)
SEARCH = Part(
    "search",
    parameters=constant(500),
    peak=constant(9_000_000),
    library=constant(1536 * 2**20),
    host_peak=per_pixel(2),
    flops=per_pixel(7),
)
MAP = Part("anomaly_map", parameters=NOTHING, buffers=NOTHING)
COUNT = Count("M", (TEACHER, SEARCH, MAP))


def tables(count: Count, folder: Path, *sides_px: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Both tables of one file."""
    counts = read_counts([count.write(folder / "memory.json", sides_px)])
    return memory_table(counts), memory_methods_table(counts)


def test_rows_are_sorted_and_submodules_in_the_order_of_inference(tmp_path: Path) -> None:
    paths = [
        Count(method, (TEACHER, MAP)).write(tmp_path / f"{method}.json", sides)
        for method, sides in (("B", [512, 256]), ("A", [256]))
    ]
    counts = read_counts(paths)
    table = memory_table(counts)
    assert list(table.columns) == list(MEMORY.schema)
    keys = table[["method", "side_px", "submodule"]].itertuples(index=False, name=None)
    assert list(keys) == [
        ("A", 256, "teacher"),
        ("A", 256, "anomaly_map"),
        ("B", 256, "teacher"),
        ("B", 256, "anomaly_map"),
        ("B", 512, "teacher"),
        ("B", 512, "anomaly_map"),
    ]
    methods = memory_methods_table(counts)
    assert list(methods.columns) == list(MEMORY_METHODS.schema)
    keys = methods[["method", "side_px"]].itertuples(index=False, name=None)
    assert list(keys) == [("A", 256), ("B", 256), ("B", 512)]
    assert set(table["basis"]) == set(methods["basis"]) == {"counted"}


def test_each_column_of_a_submodule_is_what_was_counted(tmp_path: Path) -> None:
    table, _ = tables(COUNT, tmp_path, 512)
    teacher, search, nothing = (row for _, row in table.iterrows())
    assert (teacher["parameters_bytes"], teacher["buffers_bytes"]) == (1000, 8)
    assert teacher["activations_bytes"] == 4 * 512**2
    assert teacher["total_bytes"] == 1008 + 4 * 512**2
    for factor, name in enumerate(CONVENTIONS, start=2):
        assert teacher[f"activations_{name}_bytes"] == factor * 4 * 512**2
    assert (teacher["peak_bytes"], teacher["kept_bytes"]) == (30 * 512**2, 3 * 512**2)
    assert (teacher["peak_operator"], teacher["peak_layer"]) == ("aten::bmm", "teacher.attention")
    assert teacher["host_peak_bytes"] == 512**2
    assert (teacher["library_bytes"], search["library_bytes"]) == (0, 1536 * 2**20)
    assert teacher["flops"] == 100 * 512**2
    assert set(table["device_type"]) == {"cuda"}
    assert nothing["peak_bytes"] == 0
    assert nothing[["peak_operator", "peak_layer", "incomplete"]].isna().all()


def test_a_method_has_the_sums_and_the_largest_peak_of_its_submodules(tmp_path: Path) -> None:
    _, methods = tables(COUNT, tmp_path, 256, 1024)
    small, large = (row for _, row in methods.iterrows())
    for row, side_px in ((small, 256), (large, 1024)):
        assert (row["parameters_bytes"], row["buffers_bytes"]) == (1500, 16)
        assert row["activations_bytes"] == 4 * side_px**2
        assert row["total_bytes"] == 1516 + 4 * side_px**2
        assert row["image_bytes"] == 12 * side_px**2
        assert row["library_bytes"] == 1536 * 2**20
        assert row["host_peak_bytes"] == 2 * side_px**2
        assert row["flops"] == 107 * side_px**2
        peak = row["peak_bytes"]
        assert row["needed_bytes"] == 1516 + 12 * side_px**2 + peak + 1536 * 2**20
    # which submodule decides depends on the resolution
    assert (small["peak_submodule"], small["peak_bytes"]) == ("search", 9_000_000)
    assert (large["peak_submodule"], large["peak_bytes"]) == ("teacher", 30 * 1024**2)
    assert large["peak_layer"] == "teacher.attention"


def test_what_is_alive_at_the_peak_is_named_largest_first(tmp_path: Path) -> None:
    part = replace(TEACHER, peak=constant(9 * 2**20), kept=constant(3 * 2**19))
    _, methods = tables(replace(COUNT, parts=(part,)), tmp_path, 256)
    assert methods["peak_alive"].item() == (
        "5.0 MiB: 1 aten::bmm in teacher.attention (teacher); "
        "2.5 MiB: 2 aten::clone (teacher); 1.5 MiB: 1 aten::empty"
    )


def test_many_groups_are_summed_up(tmp_path: Path) -> None:
    document = COUNT.document([256])
    group = {"submodule": "teacher", "operator": "aten::relu", "layer": "a", "tensors": 1}
    alive = [{**group, "bytes": size * 2**20} for size in (8, 4, 2, 1, 1)]
    document["resolutions"][0]["submodules"][1]["peak"]["alive"] = alive
    (tmp_path / "m.json").write_text(json.dumps(document))
    text = memory_methods_table(read_counts([tmp_path / "m.json"]))["peak_alive"].item()
    assert text.startswith("8.0 MiB: 1 aten::relu in a (teacher); 4.0 MiB")
    assert text.endswith("; 2.0 MiB: 2 more groups")


def test_a_method_in_which_nothing_is_alive(tmp_path: Path) -> None:
    _, methods = tables(replace(COUNT, parts=(MAP,)), tmp_path, 256)
    assert methods["peak_bytes"].item() == 0
    columns = ["peak_submodule", "peak_operator", "peak_layer", "peak_alive", "not_counted"]
    assert methods[columns].isna().all(axis=None)


def test_what_is_not_counted_is_passed_on(tmp_path: Path) -> None:
    count = replace(COUNT, incomplete="counted up to teacher", not_counted=("CUDA context", "b"))
    table, methods = tables(count, tmp_path, 256)
    assert set(table["incomplete"]) == set(methods["incomplete"]) == {"counted up to teacher"}
    assert methods["not_counted"].item() == "CUDA context; b"


def test_counts_beyond_four_gigabytes_stay_exact(tmp_path: Path) -> None:
    unet = Part("unet", parameters=constant(1), activations=per_pixel(12345))
    table, methods = tables(Count("M", (unet,)), tmp_path, 3001)
    assert table.loc[0, "total_bytes"] == 9 + 12345 * 3001**2
    assert methods.loc[0, "total_bytes"] == 9 + 12345 * 3001**2


def test_operations_that_64_bits_do_not_hold_are_named_and_no_number(tmp_path: Path) -> None:
    """A search in a bank that grows with the image, at the largest side: 10²¹."""
    search = replace(SEARCH, flops=lambda side_px: 10 * side_px**4)
    submodules, methods = tables(Count("M", (TEACHER, search)), tmp_path, 100, 100_000)
    assert submodules["flops"].tolist()[:3] == [100**3, 10**9, 100 * 10**10]
    assert pd.isna(submodules["flops"][3])
    assert methods["flops"][0] == 10**9 + 10**6
    assert pd.isna(methods["flops"][1])
    assert methods["needed_bytes"][1] > 0
    assert pd.isna(methods["incomplete"][0])
    assert methods["incomplete"][1] == "FLOP beyond 2^63 (1e+21 of the whole method)"


def test_bytes_that_64_bits_do_not_hold_are_refused(tmp_path: Path) -> None:
    odd = Count("M", (Part("a", activations=constant(10**20)),))
    with pytest.raises(ResultsError, match=r"column activations_bytes: .* more than 64 bits"):
        tables(odd, tmp_path, 8)


def test_counts_that_violate_their_schema(tmp_path: Path) -> None:
    wrong = Count("M", (replace(TEACHER, parameters=constant(-1)),))
    with pytest.raises(ResultsError, match=r"parameters_bytes violates memory.schema.json"):
        read_counts([wrong.write(tmp_path / "m.json", [256])])


def test_counts_of_an_older_schema_are_to_be_counted_again(tmp_path: Path) -> None:
    document = {**COUNT.document([256]), "schema_version": 1}
    (tmp_path / "m.json").write_text(json.dumps(document))
    with pytest.raises(ResultsError, match=r"schema_version violates .*; count again with"):
        read_counts([tmp_path / "m.json"])


def test_the_same_counts_in_two_files(tmp_path: Path) -> None:
    paths = [COUNT.write(tmp_path / name, [256]) for name in ("a.json", "b.json")]
    with pytest.raises(ResultsError, match=r"M reference-fp32 256 px is counted in .*a.json too"):
        read_counts(paths)


def test_the_same_counts_twice_in_one_file(tmp_path: Path) -> None:
    path = COUNT.write(tmp_path / "m.json", [256, 256])
    assert len(json.loads(path.read_text())["resolutions"]) == 2
    with pytest.raises(ResultsError, match="counted twice"):
        read_counts([path])
