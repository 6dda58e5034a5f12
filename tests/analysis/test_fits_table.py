"""`fits.csv`: what is fitted, what is predicted, and what is refused."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from analysis.fits.series import memory_series, runtime_series
from analysis.fits.table import FITS_COLUMNS, Series, fits_table
from analysis.memory_table import MEMORY_COLUMNS
from analysis.runtime_table import RUNTIME_COLUMNS
from analysis.tables import make_table


def series(sides: list[int], values: list[float], counted: int | None = None) -> Series:
    names = ("runtime", "ms", "busy", "gpu", "M", "reference-fp32", "teacher")
    return Series(*names, side_px=tuple(sides), values=tuple(values), counted=counted)


def fitted(sides: list[int], values: list[float]) -> Any:
    return fits_table(iter([series(sides, values)]), 3000).iloc[0]


def parabola(side: float) -> float:
    return 2 + side / 100 + side**2 / 1e5


def test_a_parabola_is_extrapolated() -> None:
    sides = [256, 384, 512, 640, 768, 896, 1024]
    row = fitted(sides, [parabola(side) for side in sides])
    assert list(row.index) == list(FITS_COLUMNS)
    assert row["predicted"] == pytest.approx(parabola(3000))
    assert row["predicted_low"] == pytest.approx(parabola(3000), rel=1e-6)
    assert (row["b0"], row["b1"], row["b2"]) == pytest.approx((2, 0.01, 1e-5))
    assert (row["resolutions"], row["min_resolution_px"], row["max_resolution_px"]) == (
        7,
        256,
        1024,
    )
    assert row["fitted_at_px"] == "256 384 512 640 768 896 1024"
    assert row["extrapolation_factor_pixels"] == pytest.approx(3000**2 / 1024**2)
    assert (row["fit_refused"], row["interval_refused"], row["predicted_problem"]) == ("", "", "")
    assert row["basis"] == "extrapolated"
    assert row["max_relative_residual"] < 1e-12


@pytest.mark.parametrize("count", [3, 4])
def test_below_five_resolutions_there_is_no_interval(count: int) -> None:
    sides = [256, 512, 768, 1024][:count]
    row = fitted(sides, [parabola(side) for side in sides])
    assert row["predicted"] == pytest.approx(parabola(3000))
    assert row["predicted_low"] is pd.NA
    assert row["predicted_high"] is pd.NA
    assert row["interval_refused"] == f"{count} resolutions: a prediction interval needs at least 5"
    assert row["fit_refused"] == ""


@pytest.mark.parametrize("count", [0, 1, 2])
def test_below_three_resolutions_there_is_no_fit(count: int) -> None:
    row = fitted([256, 512][:count], [1.0, 2.0][:count])
    for column in ("b0", "b1", "b2", "predicted", "predicted_low", "max_relative_residual"):
        assert row[column] is pd.NA
    plural = "" if count == 1 else "s"
    assert row["fit_refused"] == f"{count} resolution{plural}: the parabola needs at least 3"
    assert row["interval_refused"] != ""
    assert (row["max_resolution_px"] is pd.NA) == (count == 0)


def test_a_prediction_that_is_not_positive_is_flagged_and_shown() -> None:
    sides = [256, 384, 512, 640, 768]
    row = fitted(sides, [10 - (side / 300) ** 2 for side in sides])
    assert row["predicted"] == pytest.approx(10 - 100)
    assert row["predicted_problem"].startswith("not positive")


def runtime_rows(clock: str, submodule: str, role: str, times: dict[int, float | None]) -> Any:
    for side, mean_ms in times.items():
        row = dict.fromkeys(RUNTIME_COLUMNS)
        names = {"device": "gpu", "method": "M", "variant": "reference-fp32"}
        part = {"clock": clock, "submodule": submodule, "role": role}
        yield {**row, **names, **part, "resolution_px": side, "mean_ms": mean_ms}


def test_runtime_series_leave_out_what_has_no_time() -> None:
    rows = [
        *runtime_rows("busy", "image", "image", {512: 2.0, 256: 1.0, 1024: None}),
        *runtime_rows("busy", "load", "outside", {256: 9.0}),
        *runtime_rows("span", "image", "image", {256: 3.0}),
    ]
    found = list(runtime_series(make_table(rows, RUNTIME_COLUMNS)))
    assert [one[2:3] + one[6:9] for one in found] == [
        ("busy", "image", (256, 512), (1.0, 2.0)),
        ("span", "image", (256,), (3.0,)),
    ]


def memory_rows(sides: list[int]) -> pd.DataFrame:
    rows = [
        {
            **dict.fromkeys(MEMORY_COLUMNS),
            "method": "M",
            "variant": "reference-fp32",
            "resolution_px": side,
            "submodule": submodule,
            "activations_bytes": per_pixel * side**2,
            "total_bytes": 100 + per_pixel * side**2,
        }
        for side in sides
        for submodule, per_pixel in (("teacher", 4), ("student", 8))
    ]
    return make_table(rows, MEMORY_COLUMNS)


def test_memory_series_of_submodules_and_of_the_whole_method() -> None:
    found = list(memory_series(memory_rows([256, 512, 3000]), None, None, 3000))
    by_name = {(one.quantity, one.submodule): one for one in found}
    assert len(by_name) == 6
    whole = by_name["total_memory", "method"]
    assert whole.side_px == (256, 512)  # not the resolution extrapolated to
    assert whole[8] == (200 + 12 * 256**2, 200 + 12 * 512**2)
    assert whole.counted == 200 + 12 * 3000**2
    assert by_name["activations", "student"][8] == (8 * 256**2, 8 * 512**2)
    assert (whole.device, whole.clock, whole.unit) == (None, None, "bytes")


def test_memory_is_fitted_at_the_resolutions_of_the_study() -> None:
    memory = memory_rows([256, 512, 1024, 2048, 3000])
    runs = [*runtime_rows("busy", "image", "image", {256: 1.0, 512: 2.0, 1024: None})]
    runtime = make_table(runs, RUNTIME_COLUMNS)
    studied = next(memory_series(memory, runtime, None, 3000))
    chosen = next(memory_series(memory, runtime, [512, 2048], 3000))
    assert studied.side_px == (256, 512, 1024)
    assert chosen.side_px == (512, 2048)


def test_memory_that_was_not_counted_where_it_is_predicted() -> None:
    found = next(memory_series(memory_rows([256, 512]), None, None, 3000))
    assert found.counted is None
    assert fits_table(iter([found]), 3000).iloc[0]["counted"] is pd.NA
