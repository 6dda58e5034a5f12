"""Submodules summed to the whole method.

Their bands are added end to end unless told otherwise: lower ends make the lower end of the sum,
upper ends the upper. That takes the errors of the submodules as going together, which is the
cautious assumption: they were measured in the same runs, under the same clock and temperature, and
what is wrong with a law (a floor not left, a bend not seen) may be wrong with all of them. Taken as
independent, half-widths add in squares, separately upwards and downwards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt

from .bands import Bounds
from .growth import Curve, Growth
from .models import Floats

Errors = Literal["together", "independent"]


def total_curve(
    parts: Mapping[str, Growth],
    side_px: npt.ArrayLike,
    *,
    errors: Errors = "together",
    beyond_limit: bool = False,
) -> Curve:
    """The sum of submodules at some sides.

    A side at which a submodule has no prediction has no sum, and where one has no band, neither has
    the sum: the reason names the submodule. Study's model and law chosen are summed separately; the
    sum of parabolas is the parabola of the sum, if all were measured at the same resolutions.

    Args:
        parts: submodules by name, at least one, all in one unit.
        side_px: where, in px.
        errors: how those of the submodules go with each other.
        beyond_limit: answer beyond the limit of extrapolation too.

    Raises:
        ValueError: no parts, or units that differ.
    """
    if len({part.unit for part in parts.values()}) != 1:
        raise ValueError("a sum needs submodules, all in one unit")
    curves = {name: part.curve(side_px, beyond_limit=beyond_limit) for name, part in parts.items()}
    some = list(curves.values())
    predicted = _sum(some, lambda curve: curve.predicted)
    return Curve(
        side_px=some[0].side_px,
        factor=np.max([curve.factor for curve in some], axis=0),
        study=_sum(some, lambda curve: curve.study),
        predicted=predicted,
        interval=_bounds(some, predicted, lambda curve: curve.interval, errors),
        spread=_bounds(some, predicted, lambda curve: curve.spread, errors),
        band=_bounds(some, predicted, lambda curve: curve.band, errors),
        refused=tuple(_reason(curves, index) for index in range(len(some[0].side_px))),
    )


def _sum(curves: list[Curve], values: Callable[[Curve], Floats]) -> Floats:
    return np.asarray(np.sum([values(curve) for curve in curves], axis=0), np.float64)


def _bounds(
    curves: list[Curve], predicted: Floats, bounds: Callable[[Curve], Bounds], errors: Errors
) -> Bounds:
    if errors == "together":
        return Bounds(
            _sum(curves, lambda curve: bounds(curve).low),
            _sum(curves, lambda curve: bounds(curve).high),
        )
    down = _sum(curves, lambda curve: (curve.predicted - bounds(curve).low) ** 2)
    up = _sum(curves, lambda curve: (bounds(curve).high - curve.predicted) ** 2)
    return Bounds(predicted - np.sqrt(down), predicted + np.sqrt(up))


def _reason(curves: Mapping[str, Curve], index: int) -> str:
    """The reasons of all submodules, those that are the same said once, without names if of all."""
    by_reason: dict[str, list[str]] = {}
    for name, curve in curves.items():
        if curve.refused[index]:
            by_reason.setdefault(curve.refused[index], []).append(name)
    if len(by_reason) == 1 and len(next(iter(by_reason.values()))) == len(curves):
        return next(iter(by_reason))
    return "; ".join(f"{', '.join(names)}: {reason}" for reason, names in by_reason.items())
