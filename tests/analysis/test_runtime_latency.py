"""`runtime.csv` of what was measured without a profiler."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from adscale.errors import ResultsError
from tests.analysis.runtime_tables import (
    RUN,
    measured,
    one,
    runtime_table,
)
from tests.gpu_profiles import (
    latency_times,
    machine_document,
    run_document,
    write_latency_json,
    write_run_json,
)


def test_latency_has_rows_of_its_own(tmp_path: Path) -> None:
    folder = measured(tmp_path)
    table = runtime_table([folder], with_latency=True)
    latency = table[table["clock"] == "latency"]
    assert dict(zip(latency["submodule"], latency["role"], strict=True)) == {
        "image": "image",
        "load": "outside",
        "prepare": "outside",
        "copy_to_device": "outside",
        "copy_to_host": "outside",
        "end_to_end": "end_to_end",
    }
    for name, times_ms in latency_times(RUN).items():
        row = one(latency, submodule=name.removesuffix("_ms"))
        assert row["mean_ms"] == pytest.approx(np.mean(times_ms))
        assert row["max_ms"] == pytest.approx(np.max(times_ms))
    assert set(latency["collector"]) == {"none"}
    assert latency[["kernels_per_image", "launch_bound_share"]].isna().all(axis=None)
    without = runtime_table([folder], with_latency=False)
    pd.testing.assert_frame_equal(without, table[table["clock"] != "latency"])


def profiled_image_ms(folder: Path) -> float:
    """Mean time from the begin of an image to the end of waiting for it, without what lies between.

    Straight from the profile: the generator opens `synchronize` 0.1 µs after it closes `image`.
    """
    with closing(sqlite3.connect(folder / "profile.sqlite")) as profile:
        rows = profile.execute(
            "SELECT s.value, e.start, e.end FROM NVTX_EVENTS e JOIN StringIds s ON s.id = e.textId"
            " WHERE s.value IN ('image', 'synchronize', 'measure') ORDER BY e.start"
        ).fetchall()
    begin = next(start for name, start, _ in rows if name == "measure")
    inside = [end - start for name, start, end in rows if start > begin]
    return sum(inside) / 1e6 / RUN.measured_images


def test_megapixels_per_second_are_those_of_the_latency_clock(tmp_path: Path) -> None:
    table = runtime_table([measured(tmp_path)], with_latency=True)
    is_latency = table["clock"] == "latency"
    assert table.loc[~is_latency, "megapixels_per_s"].isna().all()
    for row in table[is_latency].to_dict("records"):
        expected = RUN.resolution_px**2 / 1e6 / (row["mean_ms"] / 1e3)
        assert row["megapixels_per_s"] == pytest.approx(expected)


def test_profiled_over_latency(tmp_path: Path) -> None:
    table = runtime_table([measured(tmp_path)], with_latency=True)
    expected = profiled_image_ms(tmp_path) / np.mean(latency_times(RUN)["image_ms"])
    given = table[table["profiled_over_latency"].notna()]
    assert given[["submodule", "clock"]].to_numpy().tolist() == [["image", "latency"]]
    assert given["profiled_over_latency"].item() == pytest.approx(expected)


@pytest.mark.parametrize(("factor", "warned"), [(1.0, False), (0.5, True)])
def test_a_profiler_that_slows_down_is_warned_about(
    tmp_path: Path, analysis: Callable[..., tuple[int, str, str]], factor: float, warned: bool
) -> None:
    times = {name: [factor * ms for ms in values] for name, values in latency_times(RUN).items()}
    write_latency_json(measured(tmp_path) / "latency.json", RUN, latency=times)
    code, _, err = analysis("summarize", tmp_path, "-o", tmp_path / "runtime.csv")
    assert code == 0
    said = "warning: generated: M reference-fp32 at 256 px: an image takes 1.99 times"
    assert (err.startswith(said) and err.count("\n") == 1) == warned
    assert bool(err) == warned
    assert "not steady" not in err
    machine = machine_document(RUN, others_share=[0.5] * 80)
    write_run_json(tmp_path / "run.json", RUN, machine=machine)
    _, _, err = analysis("summarize", tmp_path, "-o", tmp_path / "runtime.csv")
    assert ("it may not be the profiler, the run was not steady (shared)" in err) == warned


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"latency": None}, "latency is null"),
        ({"collector": {"name": "nsys", "version": "1"}}, "not without a profiler"),
        ({"clock": "host"}, "clock is 'host'"),
        (
            {"sampling": {"warmup_images": 2, "measured_images": 4, "stop_reason": "image_count"}},
            "image_ms has 5 times for 4 images",
        ),
        (
            {"request": {**run_document(replace(RUN, resolution_px=512))["request"]}},
            "request.resolution is '512'",
        ),
        (
            {"request": {**run_document(replace(RUN, process=2))["request"]}},
            "is of process 2",
        ),
    ],
)
def test_a_latency_pass_that_cannot_be_used(
    tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    write_latency_json(measured(tmp_path) / "latency.json", RUN, **changes)
    with pytest.raises(ResultsError, match=rf"latency.json: .*{told}"):
        runtime_table([tmp_path], with_latency=True)
    assert len(runtime_table([tmp_path], with_latency=False))
