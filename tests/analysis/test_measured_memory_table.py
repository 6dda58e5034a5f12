"""`memory_measured.csv`: measured and counted bytes that belong together, and no others."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from adscale.errors import ResultsError
from adscale.failure import begin
from adscale.files import read_record
from adscale.run_record import RunRecord
from analysis.measured_memory_table import MEASURED_MEMORY, measured_memory_table
from tests.gpu_profiles import GpuRun, run_document

RUN = GpuRun("M", 256, ("teacher", "search"), lambda name, image: 4000)
MIB = 2**20
IMAGE_BYTES = 3 * 4 * 256**2
LIBRARY_BYTES = 1500 * MIB

HOST = {
    "resident_before_build_bytes": 700 * MIB,
    "peak_before_build_bytes": 710 * MIB,
    "peak_bytes": 1000 * MIB,
}
GPU: Mapping[str, Any] = {
    "context_bytes": 500 * MIB,
    "moved_outside_bytes": 1600 * MIB,
    "built_allocated_bytes": 20 * MIB,
    "peak_allocated_bytes": 90 * MIB,
    "peak_reserved_bytes": 128 * MIB,
    "process_bytes": 2300 * MIB,
    "process_source": "nvml",
    "outside_allocator_bytes": 2172 * MIB,
    "cublas_workspace_bytes": None,
    "submodules": [
        {
            "submodule": "teacher",
            "begin_allocated_bytes": 21 * MIB,
            "peak_allocated_bytes": 80 * MIB,
            "peak_reserved_bytes": 128 * MIB,
        },
        {
            "submodule": "search",
            "begin_allocated_bytes": 30 * MIB,
            "peak_allocated_bytes": 60 * MIB,
            "peak_reserved_bytes": 128 * MIB,
        },
    ],
}
PEAKS_BYTES = {"teacher": 50 * MIB, "search": 30 * MIB}
HELD_BYTES = 2 * (9 * MIB + 8)


def write_run(folder: Path, gpu: Mapping[str, Any] | None = GPU, **changes: Any) -> Path:
    document = run_document(RUN, **{"memory": {"host": HOST, "gpu": gpu}, **changes})
    if gpu is None:
        document["request"]["device_type"] = "cpu"
        document["hardware"]["gpu"] = None
        document["clock"] = "host"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text(json.dumps(document))
    return folder


def write_counts(file: Path, *, device_type: str = "cuda", library_bytes: int = 0) -> Path:
    """Counts of both submodules at 256 px, with a library in the second."""
    libraries = [
        {"library": "faiss", "purpose": "memory", "device_bytes": library_bytes, "host_bytes": 1}
    ]
    conventions = ("convolution", "not_in_place", "leaf", "torchsummary", "allocated")
    parts = [
        {
            "submodule": name,
            "complexity": "unknown",
            "parameters_bytes": 9 * MIB,
            "buffers_bytes": 8,
            "activations_bytes": 7,
            "conventions": dict.fromkeys(conventions, 7),
            "peak": {
                "bytes": peak_bytes, "kept_bytes": 0, "operator": None, "layer": None, "alive": []
            },
            "host_peak_bytes": 0,
            "flops": 0,
            "libraries": libraries if name == "search" else [],
            "layers": [],
        }
        for name, peak_bytes in PEAKS_BYTES.items()
    ]  # fmt: skip
    entry = {
        "resolution": "256",
        "image_bytes": IMAGE_BYTES,
        "needed_bytes": HELD_BYTES + IMAGE_BYTES + 50 * MIB + library_bytes,
        "not_counted": [],
        "incomplete": None,
        "submodules": parts,
    }
    document = {
        "schema_version": 3, "method": "M", "target": "generated", "settings": {},
        "variant": "reference-fp32", "device_type": device_type, "resolutions": [entry],
    }  # fmt: skip
    file.write_text(json.dumps(document))
    return file


def table_of(folders: Sequence[Path], counts: Sequence[Path]) -> pd.DataFrame:
    table = measured_memory_table(folders, counts)
    assert list(table.columns) == list(MEASURED_MEMORY.schema)
    return table.set_index("submodule")


def test_a_submodule_is_its_peak_beside_what_must_be_there_at_once(tmp_path: Path) -> None:
    table = table_of([write_run(tmp_path / "run")], [write_counts(tmp_path / "memory.json")])
    assert list(table.index) == ["teacher", "search", "run"]
    assert list(table["role"]) == ["submodule", "submodule", "run"]
    teacher = table.loc["teacher"]
    assert teacher["measured_bytes"] == teacher["peak_allocated_bytes"] == 80 * MIB
    assert teacher["measured_as"] == "allocator"
    assert teacher["counted_bytes"] == HELD_BYTES + IMAGE_BYTES + 50 * MIB
    ratio = 80 * MIB / (HELD_BYTES + IMAGE_BYTES + 50 * MIB)
    assert teacher["measured_to_counted"] == pytest.approx(ratio)
    assert teacher["begin_allocated_bytes"] == 21 * MIB
    assert teacher[["process_bytes", "context_bytes", "host_peak_bytes"]].isna().all()


def test_the_run_is_its_own_row_with_what_is_known_of_it_alone(tmp_path: Path) -> None:
    table = table_of([write_run(tmp_path / "run")], [write_counts(tmp_path / "memory.json")])
    run = table.loc["run"]
    assert run["measured_bytes"] == 90 * MIB
    assert run["counted_bytes"] == HELD_BYTES + IMAGE_BYTES + 50 * MIB
    for name in ("context_bytes", "moved_outside_bytes", "process_bytes", "process_source"):
        assert run[name] == GPU[name]
    assert run["cublas_workspace_bytes"] is pd.NA
    assert run["begin_allocated_bytes"] is pd.NA
    for name, size in HOST.items():
        assert run[f"host_{name}"] == size


def test_libraries_that_are_counted_are_measured_too(tmp_path: Path) -> None:
    counts = write_counts(tmp_path / "memory.json", library_bytes=LIBRARY_BYTES)
    table = table_of([write_run(tmp_path / "run")], [counts])
    search = table.loc["search"]
    assert search["measured_as"] == "allocator and libraries"
    assert search["measured_bytes"] == 60 * MIB + 1600 * MIB
    assert search["counted_bytes"] == HELD_BYTES + IMAGE_BYTES + 30 * MIB + LIBRARY_BYTES
    unknown = write_run(tmp_path / "other", {**GPU, "moved_outside_bytes": None})
    row = table_of([unknown], [counts]).loc["search"]
    assert row[["measured_bytes", "measured_as", "measured_to_counted"]].isna().all()
    assert row["peak_allocated_bytes"] == 60 * MIB


def test_a_count_for_another_type_of_device_is_not_compared(tmp_path: Path) -> None:
    counts = write_counts(tmp_path / "memory.json", device_type="cpu")
    table = table_of([write_run(tmp_path / "run")], [counts])
    assert table[["counted_bytes", "measured_to_counted"]].isna().all(axis=None)
    assert table["measured_bytes"].notna().all()


def test_on_a_cpu_the_process_grows_and_parts_are_unknown(tmp_path: Path) -> None:
    prediction = {
        "needed_bytes": 240 * MIB, "device_memory_bytes": 2**34, "available_bytes": 2**33,
        "incomplete": None, "counted_by": "0" * 16,
    }  # fmt: skip
    run = write_run(tmp_path / "run", None, prediction=prediction, prediction_problem=None)
    table = table_of([run], [write_counts(tmp_path / "memory.json")])
    row = table.loc["run"]
    assert row["measured_as"] == "growth of the process"
    assert row["measured_bytes"] == 300 * MIB
    assert row["counted_bytes"] == 240 * MIB
    assert row["measured_to_counted"] == pytest.approx(1.25)
    assert row[["peak_allocated_bytes", "process_bytes"]].isna().all()
    parts = table.loc[["teacher", "search"]]
    assert parts[["measured_bytes", "counted_bytes", "measured_as"]].isna().all(axis=None)


@pytest.mark.parametrize("incomplete", [None, "counted up to teacher (x)"])
def test_the_ratio_is_of_whole_runs_and_whole_counts(
    tmp_path: Path, incomplete: str | None
) -> None:
    counts = write_counts(tmp_path / "memory.json")
    document = json.loads(counts.read_text())
    document["resolutions"][0]["incomplete"] = incomplete
    counts.write_text(json.dumps(document))
    lost = {
        "status": "ok" if incomplete else "out_of_memory",
        "problem": {"phase": "measure", "message": "does not fit", "requested_bytes": None},
    }
    table = table_of([write_run(tmp_path / "run", **lost)], [counts])
    assert table["measured_to_counted"].isna().all()
    assert table["measured_bytes"].notna().all()
    assert list(table["incomplete"].fillna("")) == [incomplete or ""] * 3


def test_a_run_that_was_not_begun_has_measured_nothing(tmp_path: Path) -> None:
    host = {**HOST, "peak_bytes": None}
    gpu = {**dict.fromkeys(GPU), "context_bytes": 500 * MIB}
    run = write_run(
        tmp_path / "run", gpu, status="predicted_out_of_memory", memory={"host": host, "gpu": gpu}
    )
    table = table_of([run], [write_counts(tmp_path / "memory.json")])
    assert set(table["status"]) == {"predicted_out_of_memory"}
    assert table["measured_bytes"].isna().all()
    assert table.loc["run", "counted_bytes"] == HELD_BYTES + IMAGE_BYTES + 50 * MIB


def test_counts_may_be_left_out_and_must_fit_their_schema(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    assert table_of([run], [])["counted_bytes"].isna().all()
    (tmp_path / "memory.json").write_text("{}")
    with pytest.raises(ResultsError, match=r"memory.schema.json.*count again"):
        measured_memory_table([run], [tmp_path / "memory.json"])


def test_the_command_writes_both_files(tmp_path: Path, analysis: Any) -> None:
    run, counts = write_run(tmp_path / "run"), write_counts(tmp_path / "memory.json")
    output = tmp_path / "memory_measured.csv"
    code, _, complaints = analysis("measured-memory", run, "--counts", counts, "-o", output)
    assert (code, complaints) == (0, "")
    written = pd.read_csv(output)
    assert list(written.columns) == list(MEASURED_MEMORY.schema)
    pd.testing.assert_frame_equal(
        pd.read_parquet(output.with_suffix(".parquet")), measured_memory_table([run], [counts])
    )


def test_a_latency_pass_under_way_is_no_failure_of_the_run(tmp_path: Path, analysis: Any) -> None:
    """The table rests on `run.json` alone, so it may be made while the other pass measures."""
    folder = write_run(tmp_path / "run")
    request = read_record(folder / "run.json", RunRecord, "").request
    output = tmp_path / "measured.csv"
    begin(folder / "latency.json", request)
    analysis("measured-memory", folder, "-o", output)
    assert pd.read_csv(output)["missing"].isna().all()
    begin(folder / "run.json", request)
    analysis("measured-memory", folder, "-o", output)
    assert pd.read_csv(output)["missing"].notna().any()
