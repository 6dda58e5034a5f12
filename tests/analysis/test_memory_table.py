"""`memory.csv` from counts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from analysis.errors import ResultsError
from analysis.memory_table import MEMORY_COLUMNS, memory_table
from tests.gpu_profiles import write_memory_json

SUBMODULES = {"teacher": (1000, 4), "anomaly_map": (0, 0)}


def test_rows_are_the_counts(tmp_path: Path) -> None:
    write_memory_json(tmp_path / "b.json", "B", [512, 256], SUBMODULES)
    write_memory_json(tmp_path / "a.json", "A", [256], SUBMODULES)
    table = memory_table([tmp_path / "b.json", tmp_path / "a.json"])
    assert list(table.columns) == list(MEMORY_COLUMNS)
    keys = table[["method", "resolution_px", "submodule"]].itertuples(index=False, name=None)
    assert list(keys) == [
        ("A", 256, "teacher"),
        ("A", 256, "anomaly_map"),
        ("B", 256, "teacher"),
        ("B", 256, "anomaly_map"),
        ("B", 512, "teacher"),
        ("B", 512, "anomaly_map"),
    ]
    teacher = table.iloc[4]
    assert (teacher["parameters_bytes"], teacher["buffers_bytes"]) == (1000, 8)
    assert teacher["activations_bytes"] == 4 * 512**2
    assert teacher["total_bytes"] == 1008 + 4 * 512**2
    assert set(table["basis"]) == {"counted"}


def test_counts_beyond_four_gigabytes_stay_exact(tmp_path: Path) -> None:
    write_memory_json(tmp_path / "m.json", "M", [3001], {"unet": (1, 12345)})
    table = memory_table([tmp_path / "m.json"])
    assert table.loc[0, "total_bytes"] == 9 + 12345 * 3001**2


def test_counts_that_violate_their_schema(tmp_path: Path) -> None:
    write_memory_json(tmp_path / "m.json", "M", [256], {"teacher": (-1, 0)})
    with pytest.raises(ResultsError, match=r"parameters_bytes violates memory.schema.json"):
        memory_table([tmp_path / "m.json"])


def test_the_same_counts_in_two_files(tmp_path: Path) -> None:
    for name in ("a.json", "b.json"):
        write_memory_json(tmp_path / name, "M", [256], SUBMODULES)
    with pytest.raises(ResultsError, match=r"M reference-fp32 256 px is counted in .*a.json too"):
        memory_table([tmp_path / "a.json", tmp_path / "b.json"])


def test_the_same_counts_twice_in_one_file(tmp_path: Path) -> None:
    write_memory_json(tmp_path / "m.json", "M", [256, 256], SUBMODULES)
    assert len(json.loads((tmp_path / "m.json").read_text())["resolutions"]) == 2
    with pytest.raises(ResultsError, match="counted twice"):
        memory_table([tmp_path / "m.json"])
