"""All series of a study fitted, and the submodules of each method summed.

Submodules summed to the whole method.

Their bands are added end to end unless told otherwise: lower ends make the lower end of the sum,
upper ends the upper. That takes the errors of the submodules as going together, which is the
cautious assumption: they were measured in the same runs, under the same clock and temperature, and
what is wrong with a law (a floor not left, a bend not seen) may be wrong with all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .growth import Curve, Growth, fit_growth
from .models import Sizes
from .series import WHOLE_METHOD, Series, sizes_of_images


def total_curve(
    parts: Mapping[str, Growth], size: npt.ArrayLike | Sizes, *, beyond_limit: bool = False
) -> Curve:
    """The sum of submodules at some sizes.

    A size at which a submodule has no prediction has no sum, and where one has no band, neither has
    the sum: the reason names the submodule. Paper's model and law chosen are summed separately; the
    sum of parabolas is the parabola of the sum, if all were measured at the same resolutions.

    Args:
        parts: submodules by name, at least one, all in one unit.
        size: where; numbers are sides of squares in px.
        beyond_limit: answer beyond the limit of extrapolation too.

    Raises:
        ValueError: no parts, or units that differ.
    """
    if len({part.unit for part in parts.values()}) != 1:
        raise ValueError("a sum needs submodules, all in one unit")
    curves = [part.curve(size, beyond_limit=beyond_limit) for part in parts.values()]
    sums = np.sum([one[3:] for one in curves], axis=0)
    farthest = np.max([one.extrapolation_factor_pixels for one in curves], axis=0)
    by_side = zip(*(one.refused for one in curves), strict=True)
    refused = tuple(said_once(dict(zip(parts, reasons, strict=True))) for reasons in by_side)
    return Curve(curves[0].side_px, refused, farthest, *sums)


def said_once(reasons: Mapping[str, str]) -> str:
    """The reasons of all submodules, those that are the same said once, without names if of all."""
    names: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        if reason:
            names.setdefault(reason, []).append(name)
    if len(names) == 1 and all(reasons.values()):
        return next(iter(names))
    return "; ".join(f"{', '.join(of)}: {reason}" for reason, of in names.items())


class Fitted(NamedTuple):
    """A series with its laws, or the sum of several.

    Attributes:
        series: what was fitted; of a sum the sum at the resolutions that all parts have.
        growth: its laws; None of a sum.
        parts: by submodule what is summed; of a single series its own laws.
        beyond_limit: whether it is extrapolated as far as asked for.
    """

    series: Series
    growth: Growth | None
    parts: Mapping[str, Growth]
    beyond_limit: bool

    def curve(self, size: npt.ArrayLike | Sizes) -> Curve:
        """Return the predictions at some sizes."""
        return total_curve(self.parts, size, beyond_limit=self.beyond_limit)

    @property
    def fit_refused(self) -> str:
        """Why there is no fit at all, else empty."""
        return said_once({name: growth.fit_refused for name, growth in self.parts.items()})

    @property
    def interval_refused(self) -> str:
        """Why there is no law chosen, no interval and no band, else empty."""
        return said_once({name: growth.interval_refused for name, growth in self.parts.items()})


def fit_all(series: Iterable[Series], *, beyond_limit: bool = False) -> list[Fitted]:
    """Fit every series; behind the submodules' runtimes of a method comes their sum.

    Args:
        series: see `analysis.fits.series`.
        beyond_limit: extrapolate runtimes beyond `growth.EXTRAPOLATION_LIMIT`, too. Memory always
            is: its exact count stands beside it.
    """
    groups: dict[tuple[object, ...], list[Fitted]] = {}
    for one in series:
        std, degrees = one.errors or (None, None)
        growth = fit_growth(
            sizes_of_images(one.resolutions), one.values, one.unit,
            relative_std=std, degrees_of_freedom=degrees, prior=one.prior,
        )  # fmt: skip
        any_side = beyond_limit or one.quantity != "runtime"
        fitted = Fitted(one, growth, {one.submodule: growth}, any_side)
        groups.setdefault(one[:6], []).append(fitted)
    return [fitted for group in groups.values() for fitted in (*group, *_sum_of(group))]


def _sum_of(group: list[Fitted]) -> Iterator[Fitted]:
    summed = [one for one in group if one.series.is_part]
    if not summed:
        return
    parts = {name: growth for one in summed for name, growth in one.parts.items()}
    values = [dict(zip(one.series.resolutions, one.series.values, strict=True)) for one in summed]
    shared = sorted(set(values[0]).intersection(*values))
    series = summed[0].series._replace(
        submodule=WHOLE_METHOD, resolutions=tuple(shared), errors=None, is_part=False,
        values=tuple(sum(of[one] for of in values) for one in shared),
    )  # fmt: skip
    yield Fitted(series, None, parts, group[0].beyond_limit)
