"""`fits.csv`, `fit_models.csv`, `fit_curves.csv`: what is fitted, predicted, and refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from adscale.resolution import square
from analysis.columns import WHOLE_METHOD, size_values
from analysis.fit_tables import (
    FIT_CURVES,
    FIT_MODELS,
    FITS,
    fit_curves_table,
    fit_models_table,
    fits_table,
)
from analysis.fits.growth import fit_all, fit_growth
from analysis.fits.models import PIXELS, PIXELS_SQUARED
from analysis.fits.quadratic import MODEL, fit_quadratic, hold_out_errors
from analysis.fits.series import (
    LEAST_OF_MEDIAN,
    Series,
    memory_series,
    runtime_series,
)
from analysis.fits.table_rows import SUM
from analysis.memory_table import MEMORY
from analysis.runtime_table import RUNTIME
from analysis.tables import make_table

SIDES = [256, 384, 512, 640, 768, 896, 1024]
WOBBLE = 1 + 0.01 * np.array([0.6, -1.1, 0.4, 0.9, -0.7, -0.3, 0.8])


def series(
    sides: list[int], values: list[float], submodule: str = "teacher", **more: Any
) -> Series:
    names = ("runtime", "ms", "busy", "gpu", "M", "reference-fp32", submodule)
    return Series(*names, resolutions=tuple(map(square, sides)), values=tuple(values), **more)


def fitted(sides: list[int], values: list[float], **more: Any) -> Any:
    return fits_table(fit_all([series(sides, values)], **more), 3000).iloc[0]


def linear(side: float) -> float:
    return 0.5 + 4e-6 * side**2


def noisy(sides: list[int] = SIDES) -> list[float]:
    return [linear(side) * wobble for side, wobble in zip(sides, WOBBLE, strict=False)]


def test_a_law_is_found_with_its_coefficients_and_told() -> None:
    row = fitted(SIDES, noisy())
    assert list(row.index) == list(FITS.schema)
    assert (row["law"], row["formula"]) == ("linear in pixels", "a + b·n")
    assert row["a"] == pytest.approx(0.5, rel=0.05)
    assert row["b"] == pytest.approx(4e-6, rel=0.02)
    assert row["c"] is pd.NA
    assert row["coefficients"].startswith("a = 0.")
    assert row["coefficients"].endswith(" ms per pixel")
    assert row["predicted"] == pytest.approx(linear(3000), rel=0.03)
    for low, high in (("interval_low", "interval_high"), ("band_low", "band_high")):
        assert row[low] < linear(3000) < row[high]
        assert row[low] < row["predicted"] < row[high]
    assert row["band_low"] <= row["interval_low"]
    assert row["band_low"] <= row["spread_low"] <= row["predicted"] <= row["spread_high"]
    assert "least misfit" in row["why_chosen"]
    assert abs(row["back_test_one_out"]) < 0.05
    assert (row["resolutions"], row["fitted_at"]) == (7, "256 384 512 640 768 896 1024")
    assert row["extrapolation_factor_pixels"] == pytest.approx(3000**2 / 1024**2)
    assert (row["fit_refused"], row["interval_refused"], row["refused"]) == ("", "", "")
    assert row["basis"] == "extrapolated"


def test_the_study_s_model_stands_beside_it_and_is_labelled() -> None:
    values = noisy()
    row, study = fitted(SIDES, values), fit_quadratic(SIDES, values)
    assert row["study_model"] == MODEL
    assert (row["study_b0"], row["study_b1"], row["study_b2"]) == pytest.approx(study.coefficients)
    assert row["study_predicted"] == pytest.approx(float(study.predict(3000)))
    low, high = (bound[0] for bound in study.prediction_interval(3000))
    assert (row["study_low"], row["study_high"]) == pytest.approx((low, high))


@pytest.mark.parametrize("count", [3, 4])
def test_below_five_resolutions_there_is_no_law_and_no_interval(count: int) -> None:
    row = fitted([256, 512, 768, 1024][-count:], noisy([256, 512, 768, 1024][-count:]))
    assert row["predicted"] == row["study_predicted"]
    reason = f"{count} resolutions: a prediction interval needs at least 5"
    assert (row["interval_refused"], row["refused"], row["fit_refused"]) == (reason, reason, "")
    for column in ("law", "band_low", "band_high", "interval_low", "study_low", "spread_high"):
        assert row[column] is pd.NA


@pytest.mark.parametrize("count", [0, 1, 2])
def test_below_three_resolutions_there_is_no_fit(count: int) -> None:
    row = fitted([256, 512][:count], [1.0, 2.0][:count])
    for column in ("study_b0", "study_predicted", "predicted", "law", "band_low"):
        assert row[column] is pd.NA
    plural = "" if count == 1 else "s"
    assert row["fit_refused"] == f"{count} resolution{plural}: the parabola needs at least 3"
    assert (row["largest"] is pd.NA) == (count == 0)


def test_too_far_is_refused_unless_asked_for_and_the_fit_stands() -> None:
    near = fitted(SIDES[:5], noisy(SIDES[:5]))
    assert near["refused"].startswith("15.3 times the pixels of the largest measured resolution")
    assert near["predicted"] is pd.NA
    assert near["study_predicted"] is pd.NA
    assert near["law"] == "linear in pixels"
    asked = fitted(SIDES[:5], noisy(SIDES[:5]), beyond_limit=True)
    assert asked["refused"] == ""
    assert asked["band_low"] < linear(3000) < asked["band_high"]


def test_a_prediction_that_is_not_positive_is_told() -> None:
    row = fitted(SIDES[:5], [10 - (side / 300) ** 2 for side in SIDES[:5]], beyond_limit=True)
    assert row["study_predicted"] == pytest.approx(10 - 100)
    assert "the study's model is not positive here" in row["problems"]


def test_submodules_are_summed_behind_them() -> None:
    parts = [
        series(SIDES, noisy(), "teacher", is_part=True),
        series(SIDES, [2 * value for value in noisy()], "student", is_part=True),
        series(SIDES, [3 * value for value in noisy()], "image"),
    ]
    table = fits_table(fit_all(parts), 3000).set_index("submodule")
    assert list(table.index) == ["teacher", "student", "image", WHOLE_METHOD]
    total = table.loc[WHOLE_METHOD]
    assert total["law"] == SUM
    for column in ("predicted", "band_low", "band_high", "study_predicted", "study_b2"):
        assert total[column] == pytest.approx(table.loc[["teacher", "student"], column].sum())
    assert table.loc["image", "problems"] == ""


def test_an_image_that_contradicts_its_submodules_is_told() -> None:
    """A floor beside a bend: each is a law, their sum is none."""
    pixels = np.array(SIDES) ** 2 / 1024**2
    floor = np.maximum(2, 0.3 + 4 * pixels) * WOBBLE
    bend = (0.1 + 0.6 * pixels + 5 * pixels**2) * WOBBLE[::-1]
    parts = [
        series(SIDES, list(floor), "backbone", prior=PIXELS, is_part=True),
        series(SIDES, list(bend), "search", prior=PIXELS_SQUARED, is_part=True),
        series(SIDES, list(floor + bend), "image", prior=PIXELS_SQUARED),
    ]
    table = fits_table(fit_all(parts), 3000).set_index("submodule")
    true = 0.4 + 4.6 * 8.583 + 5 * 8.583**2
    assert table.loc[WHOLE_METHOD, "band_low"] < true < table.loc[WHOLE_METHOD, "band_high"]
    assert "the submodules' laws sum up to" in table.loc["image", "problems"]
    assert "prefer the sum" in table.loc["image", "problems"]


def test_one_submodule_without_a_fit_leaves_the_sum_without_one() -> None:
    parts = [
        series(SIDES, noisy(), "teacher", is_part=True),
        series(SIDES[:2], noisy()[:2], "student", is_part=True),
    ]
    total = fits_table(fit_all(parts), 3000).set_index("submodule").loc[WHOLE_METHOD]
    assert total["fit_refused"] == "student: 2 resolutions: the parabola needs at least 3"
    assert total[["law", "predicted", "study_b0", "band_low"]].isna().all()
    assert total["resolutions"] == 2


def test_every_law_has_a_row_and_the_study_s_model_too() -> None:
    table = fit_models_table(fit_all([series(SIDES, noisy())]), 3000)
    assert list(table.columns) == list(FIT_MODELS.schema)
    growth = fit_growth(SIDES, noisy(), "ms")
    assert list(table["law"]) == [*(model.law.name for model in growth.models), MODEL]
    assert list(table["chosen"]) == [True, *[False] * 8]
    assert table.loc[0, "predicted"] == pytest.approx(growth.curve(3000).predicted[0])
    study = table.iloc[-1]
    errors = hold_out_errors(SIDES, noisy())
    assert list(study[[name for name in table if name.startswith("back_test")]]) == list(errors)
    assert study["score"] is pd.NA
    assert study["verdict"].startswith("the study's model")
    assert table["verdict"].str.startswith(("chosen", "refuted", "not refuted", "the")).all()


def test_laws_say_nothing_where_the_prediction_is_refused() -> None:
    table = fit_models_table(fit_all([series(SIDES[:5], noisy()[:5])]), 3000)
    assert table["predicted"].isna().all()


def test_what_the_study_s_model_would_have_said_of_the_largest_resolutions() -> None:
    values = [linear(side) + 1e-6 * (side / 256) ** 4 for side in SIDES]
    one, lower, upper = hold_out_errors(SIDES, values)
    assert one == pytest.approx(float(fit_quadratic(SIDES[:-1], values[:-1]).predict(1024))
                                / values[-1] - 1)  # fmt: skip
    two = fit_quadratic(SIDES[:-2], values[:-2]).predict([896, 1024]) / values[-2:] - 1
    assert (lower, upper) == pytest.approx(tuple(two))
    assert np.isnan(hold_out_errors(SIDES[:4], values[:4])).tolist() == [False, True, True]
    assert np.isnan(hold_out_errors(SIDES[:3], values[:3])).all()
    assert np.isnan(hold_out_errors(SIDES, [0.0, *values[1:]])).all()


def test_every_column_of_the_three_tables_is_filled_where_there_is_something() -> None:
    """Rows hold more than a table does, so that a name with a slip would leave its column empty."""
    g = np.array(SIDES) ** 2 / 1024**2
    laws = (np.maximum(0.3, g), 0.02 + 0.8 * g + 0.8 * np.maximum(g - 0.3, 0), 0.1 + g**1.3)
    more = {"counted": 7, "unsteady": "drifting at 256 px"}
    every = fit_all([series(SIDES, list(law * WOBBLE**0.2), **more) for law in laws])
    for make in (fits_table, fit_models_table, fit_curves_table):
        table = make(every, 3000)
        assert table.columns[table.isna().all()].tolist() == ["missing"]
    assert set(fits_table(every, 3000)["law"]) == {
        "floor, then linear", "linear, then steeper", "power of pixels"
    }  # fmt: skip


def test_curves_go_through_what_was_observed_to_the_last_side() -> None:
    table = fit_curves_table(fit_all([series(SIDES, noisy())]), 3000)
    assert list(table.columns) == list(FIT_CURVES.schema)
    observed = table[table["observed"].notna()]
    assert observed["side_px"].tolist() == SIDES
    assert observed["observed"].tolist() == noisy()
    assert set(observed["basis"]) == {"fitted"}
    last = table.iloc[-1]
    row = fitted(SIDES, noisy())
    assert (last["side_px"], last["basis"]) == (3000, "extrapolated")
    for column in ("predicted", "study_predicted", "band_low", "band_high", "spread_low"):
        assert last[column] == pytest.approx(row[column])


def test_curves_end_at_the_limit_and_say_why() -> None:
    table = fit_curves_table(fit_all([series(SIDES[:5], noisy()[:5])]), 3000)
    drawn = table[table["predicted"].notna()]
    assert drawn["side_px"].max() == int(768 * 10**0.5)
    assert table.iloc[-1]["refused"].startswith("15.3 times")
    few = fit_curves_table(fit_all([series([256, 512], [1.0, 2.0])]), 3000)
    assert few["side_px"].tolist() == [256, 512]
    assert fit_curves_table(fit_all([series([], [])]), 3000).empty


def runtime_rows(
    clock: str,
    submodule: str,
    role: str,
    times: dict[int, float | None],
    device_type: str = "cuda",
    **more: Any,
) -> Any:
    for side, mean_ms in times.items():
        row = dict.fromkeys(RUNTIME.schema)
        names = {"device": "gpu", "method": "M", "variant": "reference-fp32"}
        part = {"clock": clock, "submodule": submodule, "role": role, "device_type": device_type}
        yield {**row, **names, **part, **size_values(square(side)), "mean_ms": mean_ms, **more}


def test_runtime_series_leave_out_what_has_no_time() -> None:
    rows = [
        *runtime_rows("busy", "image", "image", {512: 2.0, 256: 1.0, 1024: None}),
        *runtime_rows("busy", "load", "outside", {256: 9.0}),
        *runtime_rows("span", "image", "image", {256: 3.0}),
    ]
    found = list(runtime_series(make_table(rows, RUNTIME.schema)))
    assert [one[2:3] + one[6:9] for one in found] == [
        ("busy", "image", (square(256), square(512)), (1.0, 2.0)),
        ("span", "image", (square(256),), (3.0,)),
    ]


@pytest.mark.parametrize(
    ("device_type", "fitted_clocks"),
    [("cpu", {"host", "latency"}), ("cuda", {"kernel_sum", "busy", "span", "latency"})],
)
def test_launching_on_a_gpu_is_not_fitted(device_type: str, fitted_clocks: set[str]) -> None:
    clocks = ("host", "kernel_sum", "busy", "span", "latency")
    rows = [
        row
        for clock in clocks
        for row in runtime_rows(clock, "image", "image", {256: 1.0}, device_type)
    ]
    rows += runtime_rows("latency", "end_to_end", "end_to_end", {256: 2.0}, device_type)
    found = list(runtime_series(make_table(rows, RUNTIME.schema)))
    assert {one.clock for one in found} == fitted_clocks
    assert {one.submodule for one in found if one.clock == "latency"} == {"image", "end_to_end"}


def error_rows(errors_ms: list[float | None]) -> pd.DataFrame:
    rows = [
        row
        for side, error_ms in zip(SIDES, errors_ms, strict=False)
        for row in runtime_rows(
            "busy", "image", "image", {side: 10.0},
            standard_error_ms=error_ms, degrees_of_freedom=2,
        )
    ]  # fmt: skip
    return make_table(rows, RUNTIME.schema)


def test_standard_errors_and_their_degrees_are_those_of_the_table() -> None:
    (found,) = runtime_series(error_rows([0.1, 0.2, 0.3]))
    assert found.errors is not None
    assert found.errors.std == pytest.approx((0.01, 0.02, 0.03))
    assert found.errors.degrees_of_freedom == (2, 2, 2)


def test_one_quiet_run_does_not_decide_a_fit() -> None:
    (found,) = runtime_series(error_rows([0.0001, 0.2, 0.3]))
    assert found.errors is not None
    assert found.errors.std[0] == pytest.approx(LEAST_OF_MEDIAN * 0.2 / 10)


@pytest.mark.parametrize("errors_ms", [[0.1, None, 0.2], [0.0, 0.0, 0.0]])
def test_where_not_all_errors_were_measured_none_is_used(errors_ms: list[float | None]) -> None:
    (found,) = runtime_series(error_rows(errors_ms))
    assert found.errors is None


def memory_rows(sides: list[int], **complexities: str) -> pd.DataFrame:
    rows = [
        {
            **dict.fromkeys(MEMORY.schema),
            "method": "M",
            "variant": "reference-fp32",
            **size_values(square(side)),
            "submodule": submodule,
            "activations_bytes": per_pixel * side**2,
            "total_bytes": 100 + per_pixel * side**2,
            "complexity": complexities.get(submodule, "unknown"),
        }
        for side in sides
        for submodule, per_pixel in (("teacher", 4), ("student", 8))
    ]
    return make_table(rows, MEMORY.schema)


def test_the_complexity_of_a_submodule_is_its_prior() -> None:
    runtime = make_table(
        [
            *runtime_rows("busy", "teacher", "submodule", {256: 1.0}),
            *runtime_rows("busy", "student", "submodule", {256: 1.0}),
            *runtime_rows("busy", "image", "image", {256: 2.0}),
        ],
        RUNTIME.schema,
    )

    def reasons(**complexities: str) -> list[str]:
        memory = memory_rows([256], **complexities)
        return [one.prior.reason for one in runtime_series(runtime, memory)]

    squared = reasons(teacher="pixels", student="pixels_squared")
    assert squared[:2] == [PIXELS.reason, PIXELS_SQUARED.reason]
    assert squared[2].endswith("every other: student")
    straight = reasons(teacher="pixels", student="fixed")
    assert straight[2].startswith("the work of no submodule")
    assert reasons(teacher="pixels") == [PIXELS.reason, "", ""]
    assert [one.prior.reason for one in runtime_series(runtime)] == ["", "", ""]


def test_memory_series_of_submodules_and_of_the_whole_method() -> None:
    found = list(memory_series(memory_rows([256, 512, 3000]), None, None, 3000))
    by_name = {(one.quantity, one.submodule): one for one in found}
    assert len(by_name) == 6
    whole = by_name["total_memory", "method"]
    assert whole.resolutions == (square(256), square(512))  # not the resolution extrapolated to
    assert whole[8] == (200 + 12 * 256**2, 200 + 12 * 512**2)
    assert whole.counted == 200 + 12 * 3000**2
    assert by_name["activations", "student"][8] == (8 * 256**2, 8 * 512**2)
    assert (whole.device, whole.clock, whole.unit) == (None, None, "bytes")


def test_memory_is_fitted_at_the_resolutions_of_the_study() -> None:
    memory = memory_rows([256, 512, 1024, 2048, 3000])
    runs = [*runtime_rows("busy", "image", "image", {256: 1.0, 512: 2.0, 1024: None})]
    runtime = make_table(runs, RUNTIME.schema)
    studied = next(memory_series(memory, runtime, None, 3000))
    chosen = next(memory_series(memory, runtime, [square(512), square(2048)], 3000))
    assert studied.resolutions == (square(256), square(512), square(1024))
    assert chosen.resolutions == (square(512), square(2048))


def test_memory_is_extrapolated_however_far_and_meets_the_count() -> None:
    memory = memory_rows([64, 96, 128, 160, 192, 3000])
    table = fits_table(fit_all(memory_series(memory, None, None, 3000)), 3000)
    assert (table["refused"] == "").all()
    assert table["extrapolation_factor_pixels"].min() > 200
    assert table["predicted"].tolist() == pytest.approx(table["counted"].tolist())
    assert table["study_predicted"].tolist() == pytest.approx(table["counted"].tolist(), rel=1e-6)


def test_memory_that_does_not_grow_is_no_floor_whose_end_is_unknown() -> None:
    memory = memory_rows([256, 384, 512, 640, 768, 3000])
    memory[["activations_bytes", "total_bytes"]] = 1000
    table = fits_table(fit_all(memory_series(memory, None, None, 3000)), 3000)
    assert table["band_high"].tolist() == pytest.approx(table["counted"].tolist(), rel=1e-3)
    assert (table["problems"] == "").all()


def test_memory_that_was_not_counted_where_it_is_predicted() -> None:
    found = next(memory_series(memory_rows([256, 512]), None, None, 3000))
    assert found.counted is None
    assert fits_table(fit_all([found]), 3000).iloc[0]["counted"] is pd.NA
