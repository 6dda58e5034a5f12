"""Quantities over the resolution: laws fitted, one chosen, what is refused, submodules summed.

`fit_growth` is the door to this package for anything but the paper's model alone: it takes a series
and returns a `Growth`, which holds what a table or a figure needs and answers for any side.

Submodules are summed to the whole method. Their bands are added end to end: lower ends make the
lower end of the sum, upper ends the upper. That takes the errors of the submodules as going
together, which is the cautious assumption: they were measured in the same runs, under the same
clock and temperature, and what is wrong with a law (a floor not left, a bend not seen) may be wrong
with all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ..columns import WHOLE_METHOD
from .coefficients import Coefficient, knee_px, physical_coefficients
from .estimation import PointsError, Weighed, fit_laws, make_points, weigh
from .models import NOTHING_KNOWN, Floats, Law, Prior, Size, sizes_of
from .quadratic import COEFFICIENTS, ENOUGH_FOR_INTERVAL, QuadraticFit, fit_if_enough
from .series import RelativeErrors, Series, sizes_of_images

EXTRAPOLATION_LIMIT = 10.0
"""Pixels over those of the largest measured resolution beyond which one has to ask explicitly.

From 1024 px it is reached at 3238 px; 3000 px are a factor of 8.6.
"""


class Model(NamedTuple):
    """A law, and what became of it; the fields but `law` and `coefficients` are those of tables.

    Attributes:
        law: which.
        coefficients: of the best case without negative ones.
        knee_px: side at which the upper part leaves the lower; None without, or where unseen.
        max_relative_residual: largest |observed - fitted| / observed.
        score: misfit in squared scatters plus price, less that of the law chosen.
        band_share: share of its interval with which it is in the band, 0 to 1.
        chosen: whether it is the one.
        back_test_one_out: predicted over observed minus one of the largest resolution, from all
            below it; nan where the law has more coefficients than there were resolutions left.
        back_test_two_out_lower: the same of the second largest, from those below both.
        back_test_two_out_upper: the same of the largest, from those.
    """

    law: Law
    coefficients: tuple[Coefficient, ...]
    knee_px: float | None
    max_relative_residual: float | None
    score: float
    band_share: float
    chosen: bool
    back_test_one_out: float
    back_test_two_out_lower: float
    back_test_two_out_upper: float


class Curve(NamedTuple):
    """Values over the size, as tables have them; nan where they are refused or do not exist.

    Attributes:
        side_px: where: square roots of the pixels.
        refused: why there is no prediction or no band, at each size; else empty.
        extrapolation_factor_pixels: pixels over those of the largest measured resolution.
        study_predicted: by the paper's model.
        predicted: by the law chosen; by the paper's model where none could be.
        interval_low: lower end of where one more measurement lies if the law chosen is true.
        interval_high: its upper end.
        spread_low: lowest estimate of the laws in the band.
        spread_high: highest.
        band_low: lower end of where one more measurement lies, whichever law in the band is true.
        band_high: its upper end.
    """

    side_px: Floats
    refused: tuple[str, ...]
    extrapolation_factor_pixels: Floats
    study_predicted: Floats
    predicted: Floats
    interval_low: Floats
    interval_high: Floats
    spread_low: Floats
    spread_high: Floats
    band_low: Floats
    band_high: Floats


class Growth(NamedTuple):
    """A series with its laws.

    Attributes:
        side_px: square roots of the pixels that were measured, ascending.
        unit: of the values.
        prior: laws admitted and why.
        paper: the paper's model, None with fewer than three resolutions.
        models: the laws fitted, the chosen one first, then by score.
        fit_refused: why there is no fit at all, else empty.
        interval_refused: why there is no interval, no band and no chosen law, else empty.
        weighed: behind `curve`, a batch of one series; None where it is refused.
    """

    side_px: Floats
    unit: str
    prior: Prior
    paper: QuadraticFit | None
    models: tuple[Model, ...]
    fit_refused: str
    interval_refused: str
    weighed: Weighed | None

    @property
    def chosen(self) -> Model | None:
        """The law chosen, None where none could be."""
        return self.models[0] if self.models else None

    @property
    def relative_scatter(self) -> float | None:
        """Typical relative deviation of a measurement from the law that explains the points best.

        None where no law was chosen.
        """
        of = self.weighed.scatter if self.weighed else None
        return float(np.sqrt(of.variance * of.new_variance)[0]) if of else None

    def curve(self, size: Size, *, beyond_limit: bool = False) -> Curve:
        """Return the predictions at some sizes.

        Args:
            size: where.
            beyond_limit: answer beyond `EXTRAPOLATION_LIMIT` too.
        """
        sizes = sizes_of(size)
        side, measured = sizes.side_px, self.side_px if len(self.side_px) else np.array([np.nan])
        factor = (side / measured[-1]) ** 2
        too_far = (factor > EXTRAPOLATION_LIMIT) & (not beyond_limit)
        values = np.full((8, len(side)), np.nan)
        if self.paper:
            values[:2] = self.paper.predict(side)
        if self.weighed:
            values[1:] = self.weighed.curves(sizes)[:, 0]
            values[1:, side < measured[0]] = np.nan
        values[:, too_far] = np.nan
        far = f"the pixels of the largest measured resolution, more than {EXTRAPOLATION_LIMIT:g}"
        below = f"below the smallest measured resolution, {measured[0]:.5g} px"
        refused = (
            self.fit_refused
            or (f"{times:.3g} times {far}: ask for it explicitly" if is_far else "")
            or self.interval_refused
            or (below if at < measured[0] else "")
            for at, times, is_far in zip(side, factor, too_far, strict=True)
        )
        return Curve(side, tuple(refused), factor, *values)


def fit_growth(
    size: Size,
    values: Sequence[float],
    unit: str,
    *,
    errors: RelativeErrors | None = None,
    prior: Prior = NOTHING_KNOWN,
) -> Growth:
    """Fit the paper's model and the rival laws to a series.

    Args:
        size: what was measured, pixels ascending.
        values: one each.
        unit: of the values, for coefficients and words.
        errors: how far the values are known: sets the weights and a lower limit of the scatter.
            None: the same everywhere, and taken from the fit.
        prior: laws to admit, where something is known of the submodule.
    """
    sizes, observed, weighed = sizes_of(size), np.asarray(values, np.float64), None
    side = sizes.side_px
    no_interval = _too_few(side, ENOUGH_FOR_INTERVAL, "a prediction interval")
    if not no_interval:
        try:
            weighed = weigh(prior.laws, make_points(sizes, observed, *(errors or ())))
        except PointsError as error:
            no_interval = str(error)
    models = _models(weighed, unit) if weighed else ()
    no_fit = _too_few(side, COEFFICIENTS, "the parabola")
    paper = fit_if_enough(side, observed)
    return Growth(side, unit, prior, paper, models, no_fit, no_interval, weighed)


def _models(weighed: Weighed, unit: str) -> tuple[Model, ...]:
    fits, (chosen,), errors = weighed.fits, weighed.chosen, back_test(weighed)[:, 0].tolist()
    residuals = weighed.predict(weighed.points.sizes) / weighed.points.values - 1
    largest, score = np.max(np.abs(residuals[:, 0]), axis=1), weighed.score[:, 0]
    models = []
    for index, (law, (best,)) in enumerate(zip(weighed.laws, weighed.best, strict=True)):
        own = (fits.cases.every[best], fits.coefficients[best, 0], weighed.points.sizes.side_px)
        models.append(Model(
            law, physical_coefficients(*own, unit), knee_px(*own), float(largest[index]),
            float(score[index] - score[chosen]), float(weighed.shares[index, 0]),
            bool(index == chosen), *errors[index],
        ))  # fmt: skip
    return tuple(sorted(models, key=lambda model: (not model.chosen, round(model.score, 6))))


def back_test(weighed: Weighed) -> Floats:
    """Errors at the largest resolutions, as `Model` has them: laws × series × 3."""
    errors = []
    for left_out in (1, 2):
        kept, last = map(weighed.points.among, (slice(-left_out), slice(-left_out, None)))
        fits = fit_laws(weighed.laws, kept)
        best, misfit = fits.best(weighed.laws, fits.misfit)
        relative = fits.predict(best, last.sizes) / last.values - 1
        errors.append(np.where(np.isfinite(misfit)[..., np.newaxis], relative, np.nan))
    return np.concatenate(errors, axis=-1)


def _too_few(side_px: Floats, needed: int, what: str) -> str:
    known = len(np.unique(side_px))
    if known >= needed:
        return ""
    noun, of = ("resolution", "") if known == len(side_px) else ("number", " of pixels")
    return f"{known} {noun}{'' if known == 1 else 's'}{of}: {what} needs at least {needed}"


def total_curve(parts: Mapping[str, Growth], size: Size, *, beyond_limit: bool = False) -> Curve:
    """The sum of submodules at some sizes.

    A size at which a submodule has no prediction has no sum, and where one has no band, neither has
    the sum: the reason names the submodule. Paper's model and law chosen are summed separately; the
    sum of parabolas is the parabola of the sum, if all were measured at the same resolutions.

    Args:
        parts: submodules by name, at least one, all in one unit.
        size: where.
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
    names = {
        reason: ", ".join(name for name, other in reasons.items() if other == reason)
        for reason in reasons.values()
    }
    if len(names) == 1:
        return next(iter(names))
    return "; ".join(f"{of}: {reason}" for reason, of in names.items() if reason)


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

    def curve(self, size: Size) -> Curve:
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
        beyond_limit: extrapolate runtimes beyond `EXTRAPOLATION_LIMIT`, too. Memory always is: its
            exact count stands beside it.
    """
    groups: dict[tuple[object, ...], list[Fitted]] = {}
    for one in series:
        sizes = sizes_of_images(one.resolutions)
        growth = fit_growth(sizes, one.values, one.unit, errors=one.errors, prior=one.prior)
        any_side = beyond_limit or one.quantity != "runtime"
        fitted = Fitted(one, growth, {one.submodule: growth}, any_side)
        groups.setdefault(one[:6], []).append(fitted)
    return [fitted for group in groups.values() for fitted in (*group, *_sum_of(group))]


def _sum_of(group: Sequence[Fitted]) -> Iterator[Fitted]:
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
