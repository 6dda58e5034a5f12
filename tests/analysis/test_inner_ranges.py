"""Ranges inside of submodules: rows of their own that count in no sum; and what ranges cost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adscale.errors import ProfileError
from analysis.figures.captions import costly_ranges
from analysis.nsys.reading import read_profile
from analysis.profiles.range_table import run_ranges
from analysis.profiles.record import read_run
from analysis.profiles.study_runs import read_study_runs
from analysis.report.summary import study_warnings
from analysis.runs_table import runs_table
from analysis.runtime_table import SUMMARIZE, runtime_table
from analysis.tables import write_parquet
from tests.gpu_profiles import GpuRun, ProfileWriter, write_run_json

RUN = GpuRun("M", 256, ("encoder", "head"), lambda _name, _image: 0, warmup_images=0)
INNER = [["encoder", "encoder.0"], ["encoder", "encoder.0", "encoder.0.1"]]
LAYER_NS, REST_NS, HEAD_NS = 400_000, 100_000, 200_000


def run_of(folder: Path, left_out: int = -1, **changes: Any) -> Path:
    """Images of two submodules, one with two levels of ranges inside."""
    writer = ProfileWriter()
    with writer.range("measure"):
        for image in range(RUN.measured_images):
            with writer.range("image"):
                with writer.range("encoder"):
                    with writer.range("encoder.0"):
                        if image != left_out:
                            writer.submodule("encoder.0.1", LAYER_NS)
                    start_ns = max(writer.gpu_ns, writer.cpu_ns + 10_000)
                    writer.kernel("rest", start_ns, REST_NS)
                    writer.gpu_ns = start_ns + REST_NS
                writer.submodule("head", HEAD_NS)
    writer.write(folder / "profile.sqlite")
    write_run_json(folder / "run.json", RUN, **{"inner_ranges": INNER, **changes})
    return folder


def read(folder: Path) -> Any:
    found = run_ranges(read_run(folder / "run.json"), read_profile(folder / "profile.sqlite"))
    write_parquet(found.table, folder / "ranges.parquet")
    return read_study_runs([folder], with_latency=False)


def test_they_have_rows_inclusive_of_what_is_inside_and_submodules_make_up_the_image(
    tmp_path: Path,
) -> None:
    table = runtime_table(read(run_of(tmp_path)))
    busy = table[table["clock"] == "busy"].set_index("submodule")
    assert busy["role"].to_dict() == {
        "encoder": "submodule", "encoder.0": "inner", "encoder.0.1": "inner",
        "head": "submodule", "image": "image",
    }  # fmt: skip
    ms = busy["mean_ms"]
    assert ms["encoder.0"] == ms["encoder.0.1"] == pytest.approx(LAYER_NS / 1e6)
    assert ms["encoder"] == pytest.approx((LAYER_NS + REST_NS) / 1e6)
    assert ms[busy["role"] == "submodule"].sum() == pytest.approx(ms["image"])


def test_one_that_a_profile_lacks_is_told(tmp_path: Path) -> None:
    folder = run_of(tmp_path, left_out=3)
    with pytest.raises(ProfileError, match="19 of 20 submodule ranges"):
        run_ranges(read_run(folder / "run.json"), read_profile(folder / "profile.sqlite"))


def test_what_ranges_cost_is_their_number_times_an_empty_one(tmp_path: Path) -> None:
    runs = read(run_of(tmp_path, empty_range_ns=5000.0))
    row = runs_table(runs).iloc[0]
    table = runtime_table(runs)
    host = table[table["clock"] == "host"].set_index("submodule")
    assert row["empty_range_ns"] == 5000
    assert row["ranges_per_image"] == 5
    share = 5 * 5000 / (host.loc["image", "mean_ms"] * 1e6)
    assert row["ranges_share"] == host.loc["image", "ranges_share"] == pytest.approx(share)
    assert host["ranges_share"].notna().sum() == 1
    assert share > 0.01
    assert f"up to {share:.1%} of an image's host time" in " ".join(
        study_warnings({"runtime": table})
    )
    assert f"Ranges take up to {share:.1%}" in costly_ranges(table)
    assert SUMMARIZE.warn is not None
    assert "its 5 ranges take" in " ".join(SUMMARIZE.warn(runs))


def test_where_it_was_not_measured_nothing_is_said(tmp_path: Path) -> None:
    """Records made before have neither inner ranges nor a cost."""
    runs = read(run_of(tmp_path, inner_ranges=[]))
    table = runtime_table(runs)
    assert set(table["role"]) == {"submodule", "image"}
    assert runs_table(runs)[["empty_range_ns", "ranges_share"]].isna().all(axis=None)
    assert costly_ranges(table) == ""
    assert "Ranges take" not in " ".join(study_warnings({"runtime": table}))


def test_ranges_of_one_name_in_two_submodules_have_rows_of_their_own(tmp_path: Path) -> None:
    """A class may name them so; they would be taken for processes of one part."""
    run = replace(RUN, submodules=("encoder", "head"), measured_images=3)
    writer = ProfileWriter()
    with writer.range("measure"):
        for _ in range(run.measured_images):
            with writer.range("image"):
                for submodule, layer_ns in (("encoder", LAYER_NS), ("head", HEAD_NS)):
                    with writer.range(submodule):
                        writer.submodule("layer", layer_ns)
                        writer.submodule("head", REST_NS)
    writer.write(tmp_path / "profile.sqlite")
    inner = [[one, other] for one in run.submodules for other in ("layer", "head")]
    write_run_json(tmp_path / "run.json", run, inner_ranges=inner)
    table = runtime_table(read(tmp_path))
    busy = table[table["clock"] == "busy"].set_index("submodule")["mean_ms"]
    assert busy.to_dict() == pytest.approx({
        "encoder": 0.5, "encoder/layer": 0.4, "encoder/head": 0.1,
        "head": 0.3, "head/layer": 0.2, "head/head": 0.1, "image": 0.8,
    })  # fmt: skip
    assert set(table["processes"]) == {1}
