"""All series of a study fitted, and the submodules of each method summed.

Submodules summed to the whole method.

Their bands are added end to end unless told otherwise: lower ends make the lower end of the sum,
upper ends the upper. That takes the errors of the submodules as going together, which is the
cautious assumption: they were measured in the same runs, under the same clock and temperature, and
what is wrong with a law (a floor not left, a bend not seen) may be wrong with all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .estimation import Bounds
from .growth import Curve, Growth, fit_growth
from .series import WHOLE_METHOD, Series


def total_curve(
    parts: Mapping[str, Growth], side_px: npt.ArrayLike, *, beyond_limit: bool = False
) -> Curve:
    """The sum of submodules at some sides.

    A side at which a submodule has no prediction has no sum, and where one has no band, neither has
    the sum: the reason names the submodule. Paper's model and law chosen are summed separately; the
    sum of parabolas is the parabola of the sum, if all were measured at the same resolutions.

    Args:
        parts: submodules by name, at least one, all in one unit.
        side_px: where, in px.
        beyond_limit: answer beyond the limit of extrapolation too.

    Raises:
        ValueError: no parts, or units that differ.
    """
    if len({part.unit for part in parts.values()}) != 1:
        raise ValueError("a sum needs submodules, all in one unit")
    curves = {name: part.curve(side_px, beyond_limit=beyond_limit) for name, part in parts.items()}
    some = list(curves.values())
    values = np.array([[curve.paper, curve.predicted] for curve in some])
    ends = np.array([[curve.interval, curve.spread, curve.band] for curve in some])
    refused = tuple(_reason(curves, index) for index in range(len(some[0].side_px)))
    factor = np.max([curve.factor for curve in some], axis=0)
    paper, predicted = np.sum(values, axis=0)
    interval, spread, band = (Bounds(*both) for both in np.sum(ends, axis=0))
    return Curve(some[0].side_px, factor, paper, predicted, interval, spread, band, refused)


def _reason(curves: Mapping[str, Curve], index: int) -> str:
    """The reasons of all submodules, those that are the same said once, without names if of all."""
    by_reason: dict[str, list[str]] = {}
    for name, curve in curves.items():
        if curve.refused[index]:
            by_reason.setdefault(curve.refused[index], []).append(name)
    if len(by_reason) == 1 and len(next(iter(by_reason.values()))) == len(curves):
        return next(iter(by_reason))
    return "; ".join(f"{', '.join(names)}: {reason}" for reason, names in by_reason.items())


KEY = ("quantity", "unit", "clock", "device", "method", "variant", "submodule")
"""Which series a row of a table of fits is of."""


@dataclass(frozen=True)
class Fitted:
    """A series with its laws, or the sum of several.

    Attributes:
        series: what was fitted; of a sum the sum at the resolutions that all parts have.
        growth: its laws; None of a sum.
        parts: what is summed, by submodule; empty of a single series.
        beyond_limit: whether it is extrapolated as far as asked for.
    """

    series: Series
    growth: Growth | None
    parts: Mapping[str, Growth]
    beyond_limit: bool

    @property
    def key(self) -> dict[str, Any]:
        """Values of `KEY`."""
        return {name: getattr(self.series, name) for name in KEY}

    def curve(self, side_px: npt.ArrayLike) -> Curve:
        """Return the predictions at some sides."""
        if self.growth is not None:
            return self.growth.curve(side_px, beyond_limit=self.beyond_limit)
        return total_curve(self.parts, side_px, beyond_limit=self.beyond_limit)

    @property
    def fit_refused(self) -> str:
        """Why there is no fit at all, else empty."""
        return self._refused(lambda growth: growth.fit_refused)

    @property
    def interval_refused(self) -> str:
        """Why there is no law chosen, no interval and no band, else empty."""
        return self._refused(lambda growth: growth.interval_refused)

    def _refused(self, reason: Callable[[Growth], str]) -> str:
        if self.growth is not None:
            return reason(self.growth)
        by_part = {name: reason(growth) for name, growth in self.parts.items()}
        return "; ".join(f"{name}: {text}" for name, text in by_part.items() if text)


def fit_all(series: Iterable[Series], *, beyond_limit: bool = False) -> list[Fitted]:
    """Fit every series; behind the submodules' runtimes of a method comes their sum.

    Args:
        series: see `analysis.fits.series`.
        beyond_limit: extrapolate runtimes beyond `growth.EXTRAPOLATION_LIMIT`, too. Memory always
            is: its exact count stands beside it.
    """
    groups: dict[tuple[str | None, ...], list[Fitted]] = {}
    for one in series:
        errors = one.errors
        growth = fit_growth(
            one.side_px, one.values, one.unit, relative_std=errors and errors.std,
            degrees_of_freedom=errors and errors.degrees_of_freedom, prior=one.prior,
        )  # fmt: skip
        fitted = Fitted(one, growth, {}, beyond_limit or one.quantity != "runtime")
        groups.setdefault(one[:6], []).append(fitted)
    return [fitted for group in groups.values() for fitted in _with_sum(group)]


def _with_sum(group: list[Fitted]) -> Iterator[Fitted]:
    yield from group
    parts = {one.series.submodule: one for one in group if one.series.is_part}
    if not parts:
        return
    at = [
        dict(zip(part.series.side_px, part.series.values, strict=True)) for part in parts.values()
    ]
    sides = sorted(set.intersection(*(set(values) for values in at)))
    total = next(iter(parts.values())).series._replace(
        submodule=WHOLE_METHOD,
        side_px=tuple(sides),
        values=tuple(float(np.sum([values[side] for values in at])) for side in sides),
        errors=None,
        is_part=False,
    )
    growths = {name: part.growth for name, part in parts.items() if part.growth is not None}
    yield Fitted(total, None, growths, group[0].beyond_limit)
