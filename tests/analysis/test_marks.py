"""Figures tell which runs were not steady, how they were executed, and what a profiler cost."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import pandas as pd
import pytest
from matplotlib.container import BarContainer

from analysis.figures.canvas import Drawing
from analysis.figures.marks import with_runs
from tests.analysis.drawings import (
    LATENCY_MS,
    SIDES_PX,
    VARIANT,
    bars,
    caption,
    draw,
    latency_table,
    runs_table,
    runtime_table,
    study_tables,
    texts,
)

SCALING, SHARE = f"scaling_runtime_lab_{VARIANT}", f"runtime_share_lab_M_{VARIANT}"
CLOCKS, LAUNCH_BOUND = f"clocks_lab_M_{VARIANT}", f"launch_bound_lab_{VARIANT}"
FIT_CHECK, IMPLEMENTATIONS = f"fit_check_lab_M_{VARIANT}", "implementations_lab_M_fp32"
SCALING_LATENCY, PARTS = f"scaling_latency_lab_{VARIANT}", f"latency_parts_lab_M_{VARIANT}"


def both(**more: Any) -> pd.DataFrame:
    """Rows of both passes of one method."""
    return pd.concat([runtime_table(**more), latency_table(**more)], ignore_index=True)


def unsteady(runtime: pd.DataFrame, *sides_px: int, verdict: str = "shared") -> pd.DataFrame:
    runtime.loc[runtime["side_px"].isin(sides_px), "verdict"] = verdict
    return runtime


def said(drawing: Drawing) -> str:
    return caption(drawing).replace("\u00a0", " ")


def hollow_sides(drawing: Drawing) -> list[int]:
    """Sides of the points that are drawn hollow, and of no others."""
    lines = drawing.figure.axes[0].lines
    return [
        int(side)
        for line in lines
        if line.get_marker() == "o" and mpl.colors.to_hex(line.get_markerfacecolor()) == "#ffffff"
        for side in line.get_xdata()
    ]


def hatched(drawing: Drawing) -> list[int]:
    """Positions of the bars that are hatched."""
    found = drawing.figure.axes[0].containers
    return [
        round(bar.get_x() + bar.get_width() / 2)
        for container in found
        if isinstance(container, BarContainer)
        for bar in container
        if bar.get_hatch()
    ]


@pytest.mark.parametrize("name", [SCALING, SCALING_LATENCY])
def test_points_of_runs_that_were_not_steady_are_hollow(name: str) -> None:
    assert hollow_sides(draw(name, both())) == []
    drawing = draw(name, unsteady(both(), 384, 640))
    assert hollow_sides(drawing) == [384, 640]
    assert "Not steady (hollow): M at 384 px (shared); M at 640 px (shared)." in said(drawing)
    labels = drawing.figure.axes[0].get_legend_handles_labels()[1]
    assert not any("unsteady" in label for label in labels)


@pytest.mark.parametrize("name", [SHARE, PARTS])
def test_bars_of_runs_that_were_not_steady_are_hatched(name: str) -> None:
    assert hatched(draw(name, both())) == []
    drawing = draw(name, unsteady(both(), 384, 640))
    assert hatched(drawing) == [SIDES_PX.index(384), SIDES_PX.index(640)]
    assert "Not steady (hatched): M at 384 px (shared)" in said(drawing)


def crossed(drawing: Drawing) -> set[int]:
    """Sides whose points are crossed out, in any panel."""
    return {
        int(side)
        for axes in drawing.figure.axes
        for line in axes.lines
        if line.get_marker() == "x"
        for side in line.get_xdata()
    }


@pytest.mark.parametrize("name", [CLOCKS, LAUNCH_BOUND, FIT_CHECK])
def test_points_of_runs_that_were_not_steady_are_crossed_out(name: str) -> None:
    assert crossed(draw(name, both(launch_bound_share=0.2))) == set()
    drawing = draw(name, unsteady(both(launch_bound_share=0.2), 384, 640))
    assert crossed(drawing) == {384, 640}
    assert "Not steady (crossed out): M at 384 px (shared); M at 640 px (shared)." in said(drawing)
    assert set(drawing.data.loc[drawing.data["verdict"] == "shared", "side_px"]) == {384, 640}


def test_a_ratio_is_crossed_out_where_one_of_its_runs_was_not_steady() -> None:
    optimized = runtime_table(variant="optimized-fp32")
    steady = pd.concat([runtime_table(), optimized], ignore_index=True)
    assert crossed(draw(IMPLEMENTATIONS, steady)) == set()
    disturbed = [unsteady(runtime_table(), 384), unsteady(optimized, 640, verdict="drifting")]
    drawing = draw(IMPLEMENTATIONS, pd.concat(disturbed, ignore_index=True))
    assert crossed(drawing) == {384, 640}
    words = "reference at 384 px (shared); optimized at 640 px (drifting)."
    assert f"Not steady (crossed out): {words}" in said(drawing)


def test_fits_name_runs_that_were_not_steady() -> None:
    runtime = unsteady(runtime_table(), 384, 640)
    fits = study_tables(unsteady(runtime, 512, verdict="drifting"))["fits"]
    of_runtime = fits[(fits["quantity"] == "runtime") & (fits["submodule"] != "method")]
    expected = "runs that were not steady: shared at 384, 640 px; drifting at 512 px"
    assert of_runtime["problems"].str.endswith(expected).all()
    assert not study_tables()["fits"]["problems"].str.contains("not steady").any()


@pytest.mark.parametrize("name", [SCALING, SHARE, SCALING_LATENCY, PARTS])
def test_the_evidence_is_that_of_the_table_of_runs(name: str) -> None:
    runtime = unsteady(both(), 512, verdict="throttled")
    drawing = draw(name, runtime, runs=runs_table(runtime))
    assert "M at 512 px (throttled: evidence for throttled)." in said(drawing)


def test_only_a_few_runs_are_named() -> None:
    drawing = draw(SCALING, unsteady(both(), *SIDES_PX))
    assert "M at 512 px (shared); and 2 more, see runs.csv." in said(drawing)


def test_a_long_evidence_is_cut_between_words() -> None:
    runtime = unsteady(both(), 512)
    runs = runs_table(runtime, evidence="other processes used the device again " * 9)
    words = said(draw(SCALING, runtime, runs=runs))
    found = words.partition("M at 512 px (shared: ")[2].partition(" …)")[0]
    assert 60 < len(found) <= 90
    assert found.endswith(("processes", "used", "the", "device", "again", "other"))


def test_details_in_brackets_are_left_out() -> None:
    runtime = unsteady(both(), 512)
    runs = runs_table(runtime, evidence="heat held the clocks down (SM clock 900 to 1410 MHz)")
    words = said(draw(SCALING, runtime, runs=runs))
    assert "M at 512 px (shared: heat held the clocks down)." in words


@pytest.mark.parametrize("name", [SCALING, SHARE, SCALING_LATENCY, PARTS])
def test_settings_are_told_once(name: str) -> None:
    runtime = both()
    words = said(draw(name, runtime, runs=runs_table(runtime)))
    expected = (
        "Settings: 8 threads, cuDNN autotuning off, deterministic algorithms off, caches warm, "
        "SM clock not locked."
    )
    assert words.count(expected) == 1
    locked = runs_table(runtime, asked_cudnn_benchmark=True, locked_sm_clock_mhz=1200.0)
    words = said(draw(name, runtime, runs=locked))
    assert "cuDNN autotuning on" in words
    assert "SM clock locked to 1200 MHz" in words
    assert "Settings" not in said(draw(name, runtime))


def test_settings_that_differ_are_all_told() -> None:
    runtime = both()
    runs = runs_table(runtime)
    runs.loc[runs["side_px"] == 256, "threads"] = 1
    words = said(draw(SCALING, runtime, runs=runs))
    assert "Settings: 1 thread, cuDNN" in words
    assert " / 8 threads, cuDNN" in words


def test_settings_of_a_cpu_do_not_speak_of_a_gpu() -> None:
    cpu = {"device_type": "cpu", "hardware": "generated CPU"}
    runtime = pd.concat([runtime_table(**cpu, clock="host"), latency_table(**cpu)])
    for name in (SCALING, SHARE, SCALING_LATENCY, PARTS):
        words = said(draw(name, runtime, runs=runs_table(runtime)))
        assert "Settings: 8 threads, deterministic algorithms off, caches warm." in words
        assert not {"GPU", "cuDNN", "SM clock"} & set(words.split())


def test_what_runs_say_is_joined_by_run_and_pass() -> None:
    runtime = both()
    runtime.loc[runtime["clock"] == "latency", "verdict"] = "drifting"
    runs = runs_table(runtime)
    twice = pd.concat([runs, runs.assign(process=2, evidence="later").astype(runs.dtypes)])
    found = with_runs(runtime, twice)
    pd.testing.assert_frame_equal(found[runtime.columns], runtime)
    expected = {"busy": "evidence for steady", "latency": "evidence for drifting"}
    assert found["evidence"].tolist() == [expected[clock] for clock in runtime["clock"]]


@pytest.mark.parametrize("name", [SCALING, SHARE, SCALING_LATENCY, PARTS])
@pytest.mark.parametrize(("ratio", "told"), [(1.04, False), (1.31, True)])
def test_a_profiler_that_slows_down_is_told(name: str, ratio: float, told: bool) -> None:
    runtime = both()
    is_image = (runtime["clock"] == "latency") & (runtime["role"] == "image")
    runtime.loc[is_image, "profiled_over_latency"] = ratio
    expected = "With its profiler an image takes up to 1.31 times as long as without."
    assert (expected in said(draw(name, runtime))) == told


def test_latency_of_all_methods_with_interval_and_tail() -> None:
    runtime = pd.concat([both(method="M"), both(method="N")], ignore_index=True)
    drawing = draw(SCALING_LATENCY, runtime)
    end_to_end = runtime[runtime["role"] == "end_to_end"]
    first = end_to_end[end_to_end["method"] == "M"]
    lines = drawing.figure.axes[0].lines
    points = next(line for line in lines if line.get_marker() == "o" and len(line.get_xdata()))
    assert list(points.get_ydata()) == pytest.approx(first["mean_ms"].tolist())
    tail = next(line for line in lines if line.get_linestyle() == ":")
    assert list(tail.get_ydata()) == pytest.approx(first["p99_ms"].tolist())
    labels = drawing.figure.axes[0].get_legend_handles_labels()[1]
    assert labels == ["99th percentile", "M", "N"]
    words = said(drawing)
    for expected in (
        "wall time without any profiler, until the device is done",
        "measured on generated GPU (device “lab”), batch 1, mean of n = 5 images",
        "95 % confidence interval",
    ):
        assert expected in words
    assert "collector" not in words
    assert len(drawing.data) == len(end_to_end)


def test_parts_of_the_latency_are_stacked() -> None:
    drawing = draw(PARTS, both())
    found = {name: heights for name, heights in bars(drawing, 0).items() if name[0] != "_"}
    names = ["prepare", "copy to the device", "inference", "copy to the host", "load"]
    assert [name.partition(" (")[0] for name in found] == names
    parts = ["prepare", "copy_to_device", "image", "copy_to_host", "load"]
    for part, heights in zip(parts, found.values(), strict=True):
        expected = [LATENCY_MS[part][1] * side_px**2 / 1e6 for side_px in SIDES_PX]
        assert heights == pytest.approx(expected)
    end_to_end_ms = [1.77 * side_px**2 / 1e6 for side_px in SIDES_PX]
    # each known to ±10 %: two digits of what begins with less than 3.55, else one
    assert {"0.116", "0.261", "0.46", "0.72", "1.04"} <= set(texts(drawing.figure))
    slow = both()
    times = ["mean_ms", "ci95_low_ms", "ci95_high_ms", "p99_ms"]
    slow.loc[slow["clock"] == "latency", times] *= 1e4
    shown = {"1,160", "2,610", "4,600", "7,200", "10,400"}
    assert shown <= set(texts(draw(PARTS, slow).figure)), "never 1.2e+03"
    lines = drawing.figure.axes[0].collections
    drawn = {line.get_label(): [path[0][1] for path in line.get_segments()] for line in lines}
    assert drawn["end to end"] == pytest.approx(end_to_end_ms)
    assert drawn["99th percentile"] == pytest.approx([1.3 * ms for ms in end_to_end_ms])


@pytest.mark.parametrize("name", [SCALING_LATENCY, PARTS])
def test_latencies_that_do_not_fit_are_told(name: str, tmp_path: Any) -> None:
    lost = dict.fromkeys(("mean_ms", "ci95_low_ms", "ci95_high_ms", "p99_ms", "verdict"))
    runtime = both()
    runtime.loc[runtime["side_px"] == 768, ["status", *lost]] = [
        "out_of_memory", *lost.values(),
    ]  # fmt: skip
    drawing = draw(name, runtime)
    assert "Out of memory: M at 768 px." in said(drawing)
    drawing.figure.savefig(tmp_path / "figure.pdf")
    never = both(status="out_of_memory", images=0, **lost)
    never = never[~never["role"].isin(["outside"])]
    drawing = draw(name, never)
    assert "no image measured" in said(drawing)
    drawing.figure.savefig(tmp_path / "figure.pdf")


def test_several_processes_are_told() -> None:
    words = said(draw(SCALING, runtime_table(processes=3, images=300)))
    assert "mean of n = 300 images in 3 processes" in words
