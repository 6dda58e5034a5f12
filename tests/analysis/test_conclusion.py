"""The three lines say what the tables say: the fastest, the doubts, where to look."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.feasibility.tables import FEASIBILITY
from analysis.report.summary import three_lines
from analysis.tables import make_table
from tests.analysis.drawings import VARIANT, latency_table, runs_table, runtime_table
from tests.analysis.report_study import write_study

Analysis = Callable[..., tuple[int, str, str]]
RESULTS = Path("results")
CPU: dict[str, Any] = {"device_type": "cpu", "hardware": "CPU X"}


def feasible(method: str, ms: float | None, **more: Any) -> dict[str, Any]:
    """A row of `feasibility.csv` with an interval of ±10 %."""
    times = {} if ms is None else {
        "latency_ms": ms, "latency_low_ms": 0.9 * ms, "latency_high_ms": 1.1 * ms,
        "latency_basis": "measured", "images": 50, "latency_verdict": "steady",
    }  # fmt: skip
    return {
        **dict.fromkeys(FEASIBILITY.schema), "gpu": "lab", "sensor": "S5", "megapixels": 5.0,
        "method": method, "variant": VARIANT, "sensor_resolution": "2237", "verdict": "fits",
        "verdict_basis": "counted", "device": "lab", **times, **more,
    }  # fmt: skip


@cache
def usual_tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Those of a study without doubts: times and runs."""
    runtime = runtime_table()
    return runtime, runs_table(runtime)


def lines(
    *rows: dict[str, Any], runtime: pd.DataFrame | None = None, runs: pd.DataFrame | None = None
) -> list[str]:
    usual = usual_tables() if runtime is None else (runtime, runs_table(runtime))
    runtime, runs = usual[0], usual[1] if runs is None else runs
    return three_lines(runtime, runs, make_table(list(rows), FEASIBILITY.schema), RESULTS)


def test_the_fastest_that_fits_is_told_with_all_that_it_rests_on() -> None:
    first = lines(feasible("B", 12.0), feasible("A", 8.0), feasible("C", 30.0))[0]
    assert first == (
        "Fastest: at S5 (5 MP, 2237 px) on lab (generated GPU), clock latency: A reference-fp32, "
        "8.0 ms per image (95 %: 7.2 to 8.8; measured, n = 50; "
        "unseen rare slow images may add 54%); next B reference-fp32 (12.0 ms), "
        "intervals apart; fits (counted)."
    )


@settings(max_examples=30)
@given(st.floats(1.0, 2.0))
def test_methods_whose_intervals_meet_are_not_told_apart(ratio: float) -> None:
    first = lines(feasible("A", 10.0), feasible("B", 10.0 * ratio))[0]
    apart = 10.0 * ratio * 0.9 > 11.0
    assert ("intervals apart" in first, "not told apart" in first) == (apart, not apart)


def test_without_an_interval_nothing_is_told_apart() -> None:
    first = lines(feasible("A", 1.0, latency_high_ms=None), feasible("B", 90.0))[0]
    assert "no interval" in first
    assert "not told apart" in first


def test_what_does_not_fit_is_no_candidate_however_fast() -> None:
    first = lines(
        feasible("A", 1.0, verdict="does_not_fit"), feasible("B", 20.0), feasible("C", None)
    )[0]
    assert "B reference-fp32, 20.0 ms" in first
    assert first.endswith("fits (counted), of 3 methods and variants 1 do not fit, 1 not known.")


def test_it_is_the_largest_sensor_at_which_something_fits_whose_latency_is_known() -> None:
    big = {"sensor": "S12", "megapixels": 12.0, "sensor_resolution": "3465"}
    small = {"sensor": "S0", "megapixels": 0.4, "sensor_resolution": "633"}
    extrapolated = {"latency_basis": "extrapolated", "latency_verdict": "drifting"}
    rows = [
        feasible("A", None, **big), feasible("A", 2.0, **small), feasible("A", 8.0, **extrapolated),
        feasible("A", 9.0, **{**big, "verdict": "does_not_fit"}),
    ]  # fmt: skip
    first = lines(*rows)[0]
    assert "at S5 (5 MP, 2237 px)" in first
    assert (
        "extrapolated, n = 50, not steady (drifting); unseen rare slow images may add 54%), alone"
        in first
    )


def test_where_nothing_fits_for_certain_that_is_told() -> None:
    first = lines(feasible("A", 8.0, verdict="uncertain"), feasible("B", None))[0]
    assert first.endswith(
        "uncertain whether it fits (counted), of 2 methods and variants 1 not known."
    )


def test_without_a_sensor_it_is_the_resolution_at_which_most_was_measured() -> None:
    runtime = pd.concat(
        [
            latency_table("A", (256, 384, 512)), latency_table("B", (128, 256, 384)),
            latency_table("C", (64,)), runtime_table("A", (256, 384, 512)),
        ],
        ignore_index=True,
    )  # fmt: skip
    first = lines(feasible("A", None), runtime=runtime)[0]
    ms = 1.77 * 384**2 / 1e6
    assert first == (
        f"Fastest: at 384 px on lab (generated GPU), clock latency: A reference-fp32, {ms:.3f} ms "
        f"per image (95 %: {0.9 * ms:.3f} to {1.1 * ms:.3f}; measured, n = 5; "
        "5 images cannot rule out rare slow ones); "
        f"next B reference-fp32 ({ms:.3f} ms), not told apart, "
        "1 of 3 methods and variants not measured there; "
        "for no sensor is it known what fits and how fast it is."
    )


@pytest.mark.parametrize(("more", "clock"), [({}, "busy"), ({**CPU, "clock": "host"}, "host")])
def test_without_a_latency_pass_it_is_the_main_clock_of_the_device(
    more: dict[str, Any], clock: str
) -> None:
    first = lines(runtime=runtime_table("A", (256,), **more))[0]
    assert f"clock {clock}: A reference-fp32" in first


def test_every_device_has_its_own_fastest() -> None:
    """Never one of another device."""
    runtime = pd.concat(
        [runtime_table("A"), latency_table("B", device="desk", **CPU)], ignore_index=True
    )
    first = lines(feasible("A", 8.0), feasible("B", 0.1, device=None), runtime=runtime)[0]
    lab, desk = first.split(" per image")[:2]
    assert "on lab (generated GPU), clock latency: A" in lab
    assert "on desk (CPU X), clock latency: B" in desk


def test_where_nothing_was_measured_it_says_so() -> None:
    times = {"mean_ms": None, "ci95_low_ms": None, "ci95_high_ms": None}
    runtime = runtime_table(status="out_of_memory", verdict=None, **times)
    first, second, _ = lines(runtime=runtime)
    assert first == "Fastest: on lab (generated GPU) no time was measured."
    assert second.startswith("Doubts: of 5 measurements 5 ran out of memory; worst: M ")
    assert second.endswith("at 256 px (lab, profiled) ran out of memory.")


def test_doubts_are_counted_by_measurement_and_the_worst_has_its_evidence() -> None:
    runs = runs_table(runtime_table(sides_px=(256, 384, 512, 640)))
    runs["verdict"] = ["drifting", "shared", "steady", None]
    runs["status"] = ["ok", "ok", "ok", "predicted_out_of_memory"]
    runs["evidence"] = ["slope", "others took 30 %", None, None]
    runs["process"] = [1, 2, 1, 1]
    assert lines(runs=runs)[1] == (
        "Doubts: of 4 measurements 1 shared, 1 drifting, 1 left out by their count; worst: "
        "M reference-fp32 at 384 px (lab, profiled, process 2) was shared: others took 30 %."
    )


@pytest.mark.parametrize("verdict", ["altered", "shared", "throttled", "drifting"])
def test_every_verdict_but_steady_is_a_doubt(verdict: str) -> None:
    runs = runs_table(runtime_table(sides_px=(256,)))
    runs["verdict"], runs["evidence"] = [verdict], ["seen"]
    assert f"Doubts: of 1 measurements 1 {verdict}; worst: " in lines(runs=runs)[1]


def test_without_doubts_the_next_warning_of_the_report_is_told() -> None:
    assert lines()[1] == "Doubts: of 5 measurements all are steady and whole."
    runtime = runtime_table()
    runtime["profiled_over_latency"] = 1.5
    assert "1.5 times as long as without" in lines(runtime=runtime)[1]


def test_the_last_line_says_where_to_look() -> None:
    assert lines()[2] == (
        "Look: results/report.html (all in one page), results/figures, results/tables."
    )


def test_the_command_writes_the_lines_of_a_whole_study(tmp_path: Path, analysis: Analysis) -> None:
    tables = write_study(tmp_path / "results" / "tables", ["A", "B"], (256, 384, 512, 640, 768))
    code, printed, problem = analysis("conclude", str(tables))
    assert (code, problem) == (0, "")
    assert [line.split(":")[0] for line in printed.splitlines()] == ["Fastest", "Doubts", "Look"]
    output = tmp_path / "results" / "summary.txt"
    assert analysis("conclude", str(tables), "-o", str(output)) == (0, "", "")
    assert analysis("conclude", str(tables.parent)) == (0, printed, "")
    assert output.read_text(encoding="utf-8") == printed


def test_a_study_without_its_tables_is_refused_in_one_line(
    tmp_path: Path, analysis: Analysis
) -> None:
    code, _, problem = analysis("conclude", str(tmp_path))
    assert code == 2
    assert "runtime.csv" in problem
    assert len(problem.splitlines()) == 1
