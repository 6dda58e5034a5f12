"""Submodules summed."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.fits.growth import Growth, fit_growth, total_curve
from analysis.fits.quadratic import fit_quadratic

SIDES_PX = [256, 384, 512, 640, 768, 896, 1024]
G = (np.array(SIDES_PX) / 1024) ** 2
ONE = (0.1 + 0.9 * G) * (1 + 0.01 * np.array([1, -1, 1, -1, 1, -1, 1]))
OTHER = np.maximum(0.3, 2 * G) * (1 + 0.01 * np.array([1, 1, -1, -1, 1, 1, -1]))


def grow(values: object, sides_px: list[int] = SIDES_PX, unit: str = "ms") -> Growth:
    return fit_growth(sides_px, list(np.asarray(values, float)), unit)


def test_the_sum_of_the_study_s_models_is_its_model_of_the_sum() -> None:
    total = total_curve({"one": grow(ONE), "other": grow(OTHER)}, [300, 3000])
    assert total.study_predicted == pytest.approx(
        fit_quadratic(SIDES_PX, ONE + OTHER).predict([300, 3000])
    )


def test_ends_add_where_errors_go_together() -> None:
    parts = {"one": grow(ONE), "other": grow(OTHER)}
    total = total_curve(parts, [300, 3000])
    curves = [part.curve([300, 3000]) for part in parts.values()]
    assert total.predicted == pytest.approx(curves[0].predicted + curves[1].predicted)
    for name in ("band", "interval", "spread"):
        for end in (f"{name}_low", f"{name}_high"):
            expected = getattr(curves[0], end) + getattr(curves[1], end)
            assert getattr(total, end) == pytest.approx(expected)


def test_one_part_without_a_band_leaves_the_sum_without_one_and_is_named() -> None:
    parts = {"one": grow(ONE), "short": grow(OTHER[:4], SIDES_PX[:4])}
    total = total_curve(parts, 1024)
    assert total.refused == ("short: 4 resolutions: a prediction interval needs at least 5",)
    assert np.isnan(total.band_high[0])
    assert np.isfinite(total.predicted[0])
    assert total.extrapolation_factor_pixels[0] == pytest.approx((1024 / 640) ** 2)


def test_a_reason_that_all_share_is_said_once() -> None:
    total = total_curve({"one": grow(ONE), "other": grow(OTHER)}, 4000)
    assert total.refused[0].startswith("15.3 times the pixels")
    assert total.refused[0].count("times the pixels") == 1
    asked = total_curve({"one": grow(ONE), "other": grow(OTHER)}, 4000, beyond_limit=True)
    assert asked.refused == ("",)
    assert np.isfinite(asked.band_high[0])


def test_units_must_agree() -> None:
    with pytest.raises(ValueError, match="one unit"):
        total_curve({"one": grow(ONE), "other": grow(OTHER, unit="bytes")}, 3000)
    with pytest.raises(ValueError, match="one unit"):
        total_curve({}, 3000)
