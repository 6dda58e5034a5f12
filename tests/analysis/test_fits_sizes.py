"""Laws of growth over images that are not square."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adscale.resolution import Resolution, square
from analysis.fit_tables import fit_curves_table, fits_table
from analysis.fits.growth import fit_all, fit_growth
from analysis.fits.models import BORDER, COUNTED, sizes_of
from analysis.fits.series import Series, sizes_of_images

MIXED = [
    Resolution.of(text)
    for text in ("256", "320x256", "512x256", "384", "512x384", "512", "640x480", "1024x512")
]
WANTED = Resolution(2448, 2048)


def values(count: object, sizes: list[Resolution]) -> list[float]:
    return [float(count(size)) for size in sizes]  # type: ignore[operator]


def unpadded(size: Resolution) -> float:
    """Values of EfficientAD's maps: each side is divided by 4 and loses 8."""
    return 64 * (size.width_px / 4 - 8) * (size.height_px / 4 - 8)


def test_what_a_border_costs_is_found_at_any_shape() -> None:
    growth = fit_growth(sizes_of_images(MIXED), values(unpadded, MIXED), "bytes", prior=COUNTED)
    assert growth.chosen is not None
    assert growth.chosen.law is BORDER
    # multiplied out: 4 w h - 128 (w + h) + 4096, with s half the perimeter
    found = {one.name: one.value for one in growth.chosen.coefficients}
    assert found == pytest.approx({"a": 4096, "b": -256, "c": 4}, rel=1e-9)
    for size in (WANTED, Resolution(2048, 2448), Resolution(8000, 1000)):
        curve = growth.curve(sizes_of_images([size]), beyond_limit=True)
        assert curve.predicted[0] == pytest.approx(unpadded(size), rel=1e-9)


def test_a_law_of_the_pixels_does_not_see_the_shape() -> None:
    def truth(size: Resolution) -> float:
        return 3.0 + size.pixels / 2e4

    noise = np.random.default_rng(1).normal(1, 0.003, len(MIXED))
    mixed = fit_growth(sizes_of_images(MIXED), list(values(truth, MIXED) * noise), "ms")
    sides = [size.side_px for size in MIXED]
    squares = fit_growth(sides, list(values(truth, MIXED) * noise), "ms")
    far, twin = Resolution(1600, 1200), Resolution(1200, 1600)
    at = mixed.curve(sizes_of_images([far, twin]))
    assert at.predicted[0] == at.predicted[1] == pytest.approx(truth(far), rel=0.03)
    assert at.band_low[0] < truth(far) < at.band_high[0]
    # the paper's model is over the square root of the pixels
    assert at.study_predicted[0] == pytest.approx(squares.curve(far.side_px).study_predicted[0])


def test_shapes_of_as_many_pixels_are_one_number_of_pixels() -> None:
    sizes = [Resolution.of(text) for text in ("256", "512x128", "128x512", "384", "512", "640")]
    growth = fit_growth(sizes_of_images(sizes), [1, 1.1, 0.9, 2, 4, 6], "ms")
    assert growth.interval_refused.startswith("4 numbers of pixels: a prediction interval")
    assert growth.fit_refused == ""
    two = fit_growth(sizes_of_images(sizes[:4]), [1, 1.1, 0.9, 2], "ms")
    assert two.fit_refused.startswith("2 numbers of pixels: the parabola needs at least 3")
    more = fit_growth(sizes_of_images([*sizes, square(700)]), [1, 1.1, 0.9, 2, 4, 6, 7.2], "ms")
    assert more.chosen is not None
    assert np.isfinite(more.curve(900).band_high[0])


SIDES = st.lists(st.integers(64, 1500), min_size=5, max_size=8, unique=True).map(sorted)


@settings(max_examples=20)
@given(SIDES, st.integers(100, 3000))
def test_squares_are_sides(sides: list[int], target: int) -> None:
    observed = [1.0 + (side / 500) ** 2 + 0.01 * (side % 7) for side in sides]
    by_side = fit_growth(sides, observed, "ms")
    by_size = fit_growth(sizes_of_images(list(map(square, sides))), observed, "ms")
    one, other = by_side.curve(target), by_size.curve(sizes_of_images([square(target)]))
    np.testing.assert_array_equal(one[2:], other[2:])
    assert one.refused == other.refused


def test_tables_name_width_and_height_and_draw_the_shape_of_the_largest() -> None:
    sizes = [Resolution.of(text) for text in ("320x240", "480x360", "512", "640x480", "800x600")]
    series = Series(
        "runtime", "ms", "host", "lab", "M", "reference-fp32", "image", tuple(sizes),
        tuple(size.pixels / 1e4 for size in sizes),
    )  # fmt: skip
    fitted = fit_all([series])
    row = fits_table(fitted, 1500).iloc[0]
    assert row["fitted_at"] == "320x240 480x360 512 640x480 800x600"
    assert (row["smallest"], row["largest"]) == ("320x240", "800x600")
    assert row["extrapolation_factor_pixels"] == pytest.approx(1500**2 / (800 * 600))
    curves = fit_curves_table(fitted, 1500)
    measured = curves[curves["observed"].notna()]
    assert measured["resolution"].tolist() == [str(size) for size in sizes]
    drawn = curves[curves["observed"].isna()]
    shapes = drawn["width_px"].astype(float) / drawn["height_px"].astype(float)
    assert shapes.tolist() == pytest.approx([4 / 3] * len(drawn), rel=0.01)
    assert curves["pixels"].is_monotonic_increasing
    last = curves.iloc[-1]
    assert last["side_px"] == pytest.approx(1500, rel=1e-3)
    assert last["predicted"] == pytest.approx(last["pixels"] / 1e4, rel=1e-6)
    assert sizes_of(5.0).border_px.tolist() == [5.0]
