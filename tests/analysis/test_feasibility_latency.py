"""Latency of a sensor: measured, predicted within its band, or refused with a reason."""

from __future__ import annotations

import pandas as pd
import pytest

from adscale.resolution import square
from analysis.feasibility.answer import keeps_cycle
from analysis.feasibility.rows import Latencies, Speed
from tests.analysis.drawings import runtime_table
from tests.analysis.feasibility_tables import (
    latency,
)


def truth_ms(side_px: int) -> float:
    return 20 + 60 * side_px**2 / 1e6


def at(runtime: pd.DataFrame, side_px: int) -> Speed:
    found = Latencies(runtime).at(square(side_px))
    assert isinstance(found, Speed)
    return found


def test_latency_is_measured_where_it_was() -> None:
    speed = at(latency(wobble=0), 512)
    assert (speed.basis, speed.factor, speed.images, speed.verdict) == ("measured", 1, 5, "steady")
    assert tuple(speed.mean) == pytest.approx([truth_ms(512) * k for k in (1, 0.98, 1.02)])
    assert speed.p99 is not None
    assert tuple(speed.p99) == pytest.approx([truth_ms(512) * 1.1 * k for k in (1, 0.98, 1.02)])


@pytest.mark.parametrize(("side_px", "basis"), [(700, "interpolated"), (2252, "extrapolated")])
def test_elsewhere_it_is_predicted_with_a_band_around_the_truth(side_px: int, basis: str) -> None:
    speed = at(latency(), side_px)
    assert speed.basis == basis
    assert speed.factor == pytest.approx((side_px / 1024) ** 2)
    assert speed.images == 5
    assert speed.mean.value == pytest.approx(truth_ms(side_px), rel=0.1)
    assert speed.p99 is not None
    for estimate, factor in ((speed.mean, 1), (speed.p99, 1.1)):
        assert estimate.low is not None
        assert estimate.high is not None
        assert estimate.low < truth_ms(side_px) * factor < estimate.high


def test_a_p99_is_never_predicted_below_the_mean() -> None:
    """Its ratio to the mean falls, so that a law of its own would cross that of the mean."""
    table = latency(wobble=0)
    ratio = 1.01 + 0.5 * (256 / table["side_px"].astype(float)) ** 2
    for column, factor in (("p99_ms", 1.0), ("p99_low_ms", 0.9), ("p99_high_ms", 1.1)):
        table[column] = table["mean_ms"] * ratio * factor
    for side_px in (700, 2000, 3000):
        speed = at(table, side_px)
        assert speed.p99 is not None
        for mean_ms, p99_ms in zip(speed.mean, speed.p99, strict=True):
            assert mean_ms is not None
            assert p99_ms is not None
            assert p99_ms >= mean_ms


def test_a_p99_that_has_no_interval_where_it_was_measured_has_none_elsewhere() -> None:
    few = latency()
    few.loc[few["side_px"] == 256, "p99_high_ms"] = pd.NA
    p99 = at(few, 2000).p99
    assert p99 is not None
    assert (p99.low, p99.high) == (None, None)
    assert at(few.assign(p99_ms=pd.NA), 2000).p99 is None


def test_points_known_better_weigh_more() -> None:
    """One point is far off; with a large standard error of its own it hardly counts."""
    off = latency(wobble=0)
    is_last = off["side_px"] == 1024
    off.loc[is_last, "mean_ms"] *= 1.15
    wide = off.copy()
    wide.loc[is_last, "standard_error_ms"] = wide.loc[is_last, "mean_ms"] * 0.25
    errors = [abs(at(table, 960).mean.value - truth_ms(960)) for table in (off, wide)]
    assert errors[1] < errors[0]


@pytest.mark.parametrize(
    ("runtime", "side_px", "reason"),
    [
        (runtime_table(), 512, "no latency was measured"),
        (latency((256, 512, 1024)), 2000, "extrapolation refused: 3 resolutions"),
        (latency(), 4000, "extrapolation refused: 15.3 times the pixels"),
        (latency(), 100, "extrapolation refused: below the smallest measured resolution, 256 px"),
    ],
)
def test_latency_is_refused_with_a_reason(runtime: pd.DataFrame, side_px: int, reason: str) -> None:
    found = Latencies(runtime).at(square(side_px))
    assert isinstance(found, str)
    assert found.startswith(reason)


def test_runs_that_were_not_steady_are_told() -> None:
    runtime = latency()
    runtime.loc[runtime["side_px"] == 512, "verdict"] = "throttled"
    assert at(runtime, 512).verdict == "throttled"
    assert at(runtime, 2000).verdict == "throttled"
    assert at(runtime, 256).verdict == "steady"


@pytest.mark.parametrize(
    ("p99", "low", "high", "kept"),
    [
        (40, 38, 50, "yes"),
        (40, 38, 51, "uncertain"),
        (52, 50, 54, "uncertain"),
        (52, 51, 54, "no"),
        (52, None, None, "no"),
        (40, None, None, "uncertain"),
        (None, None, None, "unknown"),
    ],
)
def test_a_cycle_time_is_kept_if_the_whole_interval_of_p99_is_within(
    p99: float | None, low: float | None, high: float | None, kept: str
) -> None:
    row = {"latency_p99_ms": p99, "latency_p99_low_ms": low, "latency_p99_high_ms": high}
    row |= {"latency_ms": 30, "latency_low_ms": 29, "batch": 1}
    assert keeps_cycle(row, 50) == kept


@pytest.mark.parametrize(
    ("mean", "low", "kept"),
    [(51, 50, "unknown"), (52, 51, "no"), (51, None, "no"), (50, None, "unknown")],
)
def test_without_p99_a_mean_beyond_the_cycle_time_does_not_keep_it(
    mean: float, low: float | None, kept: str
) -> None:
    row = {"batch": 1, **{f"latency_p99{end}_ms": None for end in ("", "_low", "_high")}}
    assert keeps_cycle(row | {"latency_ms": mean, "latency_low_ms": low}, 50) == kept
