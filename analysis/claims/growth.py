"""The study's parabola in the side, judged by counts beyond the sides that it goes through."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from ..fits.quadratic import COEFFICIENTS, fit_quadratic


def is_judged(sizes: Mapping[int, int], fitted_px: Sequence[int]) -> bool:
    """Whether there is a parabola, something it is of, and a side beyond it.

    Args:
        sizes: what is counted, by the side in px.
        fitted_px: the sides that the parabola goes through.
    """
    enough = len(fitted_px) >= COEFFICIENTS and max(sizes) > max(fitted_px)
    return enough and all(sizes[side_px] for side_px in fitted_px)


def growth_rows(sizes: Mapping[int, int], fitted_px: Sequence[int]) -> Iterator[tuple[str, ...]]:
    """For each side beyond: R² of the parabola, the side, errors of two laws, power of the growth.

    The laws are a + b·s + c·s² (the study's) and a + b·s² + c·s⁴, both by least squares. The power
    is that with which the counts grow from the side before. R² is null where nothing varies.
    """
    values = [sizes[side_px] for side_px in fitted_px]
    parabola = fit_quadratic(fitted_px, values)
    quartic = fit_quadratic([side_px**2 for side_px in fitted_px], values)
    before_px = max(fitted_px)
    for side_px in sorted(side_px for side_px in sizes if side_px > max(fitted_px)):
        counted = sizes[side_px]
        power = math.log(counted / sizes[before_px]) / math.log(side_px / before_px)
        r_squared = parabola.r_squared
        yield (
            "–" if r_squared is None else f"{r_squared:.4f}",
            str(side_px),
            _percent(float(parabola.predict(side_px)) / counted - 1),
            _percent(float(quartic.predict(side_px**2)) / counted - 1),
            f"{power:.2f}",
        )
        before_px = side_px


def _percent(share: float) -> str:
    """With one digit behind the point; never a negative nothing."""
    text = f"{100 * share:.1f}"
    return f"{'0.0' if text == '-0.0' else text} %"
