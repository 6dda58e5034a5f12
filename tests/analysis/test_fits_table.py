"""`fits.csv`: what is fitted, what is predicted, and what is refused."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from analysis.fits.curves_table import FIT_CURVES_COLUMNS, fit_curves_table
from analysis.fits.fitted import fit_all
from analysis.fits.models_table import FIT_MODELS_COLUMNS, fit_models_table
from analysis.fits.series import Series, memory_series, runtime_series
from analysis.fits.table import FITS_COLUMNS, fits_table
from analysis.memory_table import MEMORY_COLUMNS
from analysis.runtime_table import RUNTIME_COLUMNS
from analysis.tables import make_table

SIDES = [256, 384, 512, 640, 768, 896, 1024]


def series(sides: list[int], values: list[float], submodule: str = "image") -> Series:
    names = ("runtime", "ms", "busy", "gpu", "M", "reference-fp32", submodule)
    is_part = submodule != "image"
    return Series(*names, side_px=tuple(sides), values=tuple(values), is_part=is_part)


def fitted(sides: list[int], values: list[float], to_px: int = 3000, **more: Any) -> Any:
    return fits_table(fit_all([series(sides, values)], **more), to_px).iloc[0]


def parabola(side: float) -> float:
    return 2 + side / 100 + side**2 / 1e5


def straight(side: float) -> float:
    """Linear in pixels, with a constant."""
    return 0.5 + 4e-6 * side**2


def test_the_studys_model_is_always_there() -> None:
    row = fitted(SIDES, [parabola(side) for side in SIDES])
    assert list(row.index) == list(FITS_COLUMNS)
    assert row["study_predicted"] == pytest.approx(parabola(3000))
    assert row["study_low"] == pytest.approx(parabola(3000), rel=1e-6)
    study = [row[f"study_b{number}"] for number in range(3)]
    assert study == pytest.approx([2, 0.01, 1e-5])
    assert row["study_max_relative_residual"] < 1e-12
    assert (row["resolutions"], row["min_resolution_px"], row["max_resolution_px"]) == (
        7,
        256,
        1024,
    )
    assert row["fitted_at_px"] == "256 384 512 640 768 896 1024"
    assert row["extrapolation_factor_pixels"] == pytest.approx(3000**2 / 1024**2)
    assert (row["fit_refused"], row["interval_refused"], row["refused"]) == ("", "", "")
    assert row["basis"] == "extrapolated"


def test_the_law_of_a_series_is_found_and_told() -> None:
    noise = [1.003, 0.997, 1.002, 0.999, 1.001, 0.998, 1.0]
    values = [straight(side) * factor for side, factor in zip(SIDES, noise, strict=True)]
    row = fitted(SIDES, values)
    assert row["predicted"] == pytest.approx(straight(3000), rel=0.05)
    assert row["band_low"] < straight(3000) < row["band_high"]
    assert row["interval_low"] >= row["band_low"]
    assert row["law"]
    assert "ms" in row["coefficients"]
    assert row["why_chosen"]
    assert abs(row["back_test_one_out"]) < 0.05


@pytest.mark.parametrize("count", [3, 4])
def test_below_five_resolutions_there_is_no_interval(count: int) -> None:
    """The study's own shape of data: the parabola is drawn, everything else is refused."""
    sides = [256, 512, 1024, 768][:count]
    row = fitted(sorted(sides), [parabola(side) for side in sorted(sides)])
    assert row["study_predicted"] == pytest.approx(parabola(3000))
    assert row["predicted"] == pytest.approx(parabola(3000))
    for column in ("law", "interval_low", "band_low", "band_high", "back_test_one_out"):
        assert row[column] is pd.NA
    assert row["interval_refused"] == f"{count} resolutions: a prediction interval needs at least 5"
    assert row["fit_refused"] == ""


@pytest.mark.parametrize("count", [0, 1, 2])
def test_below_three_resolutions_there_is_no_fit(count: int) -> None:
    row = fitted([256, 512][:count], [1.0, 2.0][:count])
    for column in ("study_b0", "study_b2", "predicted", "band_low", "study_predicted"):
        assert row[column] is pd.NA
    plural = "" if count == 1 else "s"
    assert row["fit_refused"] == f"{count} resolution{plural}: the parabola needs at least 3"
    assert row["interval_refused"] != ""
    assert (row["max_resolution_px"] is pd.NA) == (count == 0)


def test_too_far_is_refused_unless_asked_for() -> None:
    values = [straight(side) for side in SIDES]
    row = fitted(SIDES, values, to_px=4096)
    assert row["predicted"] is pd.NA
    assert row["refused"].startswith("16 times the pixels of the largest measured resolution")
    asked = fitted(SIDES, values, to_px=4096, beyond_limit=True)
    assert asked["predicted"] == pytest.approx(straight(4096), rel=0.01)
    assert asked["refused"] == ""


def test_a_parabola_that_falls_below_zero_is_told() -> None:
    sides = [256, 384, 512, 640, 768]
    row = fitted(sides, [10 - (side / 300) ** 2 for side in sides], to_px=2000)
    assert row["study_predicted"] == pytest.approx(10 - (2000 / 300) ** 2)
    assert "not positive" in row["problems"]


def test_the_submodules_are_summed() -> None:
    parts = [series(SIDES, [straight(side) * k for side in SIDES], name)
             for k, name in ((1, "teacher"), (2, "student"))]  # fmt: skip
    table = fits_table(fit_all(parts), 3000).set_index("submodule")
    assert list(table.index) == ["teacher", "student", "method"]
    assert table.loc["method", "predicted"] == pytest.approx(3 * straight(3000), rel=1e-6)
    ends = table.loc[["teacher", "student"], "band_high"].sum()
    assert table.loc["method", "band_high"] == pytest.approx(ends)


def test_every_law_has_a_row_and_one_is_chosen() -> None:
    fits = fit_all([series(SIDES, [straight(side) for side in SIDES])])
    table = fit_models_table(fits, 3000)
    assert list(table.columns) == list(FIT_MODELS_COLUMNS)
    assert table["chosen"].sum() == 1
    assert table["verdict"].notna().all()
    assert table["law"].is_unique
    assert len(table) > 3


def test_curves_pass_through_what_the_table_of_fits_says() -> None:
    fits = fit_all([series(SIDES, [straight(side) for side in SIDES])])
    curves, row = fit_curves_table(fits, 3000), fits_table(fits, 3000).iloc[0]
    assert list(curves.columns) == list(FIT_CURVES_COLUMNS)
    last = curves[curves["resolution_px"] == 3000].iloc[0]
    for column in ("predicted", "band_low", "band_high", "study_predicted"):
        assert last[column] == pytest.approx(row[column])
    seen = curves[curves["observed"].notna()]
    assert seen["resolution_px"].tolist() == SIDES
    assert set(curves[curves["resolution_px"] <= 1024]["basis"]) == {"fitted"}
    assert set(curves[curves["resolution_px"] > 1024]["basis"]) == {"extrapolated"}


def runtime_rows(clock: str, submodule: str, role: str, times: dict[int, float | None]) -> Any:
    for side, mean_ms in times.items():
        row = dict.fromkeys(RUNTIME_COLUMNS)
        names = {"device": "gpu", "device_type": "cuda", "method": "M", "variant": "reference-fp32"}
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
    assert fits_table(fit_all([found]), 3000).iloc[0]["counted"] is pd.NA
