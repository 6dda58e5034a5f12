"""One quantity of one submodule over the resolution: laws fitted, one chosen, and what is refused.

`fit_growth` is the door to this package for anything but the paper's model alone: it takes a series
and returns a `Growth`, which holds what a table or a figure needs and answers for any side.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .coefficients import Coefficient, knee_px, physical_coefficients
from .estimation import Bounds, Points, PointsError, Weighed, fit_laws, make_points, weigh
from .models import NOTHING_KNOWN, Floats, Law, Prior, curves
from .quadratic import COEFFICIENTS, ENOUGH_FOR_INTERVAL, QuadraticFit, fit_quadratic

EXTRAPOLATION_LIMIT = 10.0
"""Pixels over those of the largest measured resolution beyond which one has to ask explicitly.

From 1024 px it is reached at 3238 px; 3000 px are a factor of 8.6.
"""


class Model(NamedTuple):
    """A law, and what became of it.

    Attributes:
        law: which.
        coefficients: of the best case without negative ones.
        knee_px: side at which the upper part leaves the lower; None without, or where unseen.
        max_relative_residual: largest |observed - fitted| / observed.
        score: misfit in squared scatters plus price, less that of the law chosen.
        back_test_errors: predicted over observed minus one: the largest resolution from all below
            it, then the largest two from those below both; None where the law has more coefficients
            than there were resolutions left.
        band_share: share of its interval with which it is in the band, 0 to 1.
        chosen: whether it is the one.
    """

    law: Law
    coefficients: tuple[Coefficient, ...]
    knee_px: float | None
    max_relative_residual: float
    score: float
    back_test_errors: tuple[float | None, ...]
    band_share: float
    chosen: bool


class Curve(NamedTuple):
    """Values over the side; nan where they are refused or do not exist.

    Attributes:
        side_px: where.
        factor: pixels over those of the largest measured resolution.
        paper: the paper's model.
        predicted: the law chosen; the paper's model where none could be.
        interval: where one more measurement lies if the chosen law is the true one.
        spread: lowest and highest estimate of the laws in the band.
        band: where one more measurement lies, whichever of the laws in the band is the true one.
        refused: why there is no prediction or no band, at each side; else empty.
    """

    side_px: Floats
    factor: Floats
    paper: Floats
    predicted: Floats
    interval: Bounds
    spread: Bounds
    band: Bounds
    refused: tuple[str, ...]


class Growth(NamedTuple):
    """A series with its laws.

    Attributes:
        side_px: measured resolutions.
        values: measured.
        unit: of the values.
        prior: laws admitted and why.
        paper: the paper's model, None with fewer than three resolutions.
        models: the laws fitted, the chosen one first, then by score.
        fit_refused: why there is no fit at all, else empty.
        interval_refused: why there is no interval, no band and no chosen law, else empty.
        weighed: behind `curve`, a batch of one series; None where it is refused.
    """

    side_px: Floats
    values: Floats
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
        if self.weighed is None:
            return None
        scatter = self.weighed.scatter
        return float(np.sqrt(scatter.variance[0] * scatter.new_variance[0]))

    def curve(self, side_px: npt.ArrayLike, *, beyond_limit: bool = False) -> Curve:
        """Return the predictions at some sides.

        Args:
            side_px: where, in px.
            beyond_limit: answer beyond `EXTRAPOLATION_LIMIT` too.
        """
        side = np.atleast_1d(np.asarray(side_px, np.float64))
        first_px, last_px = self.side_px[[0, -1]] if len(self.side_px) else (np.nan, np.nan)
        factor, below = (side / last_px) ** 2, side < first_px
        too_far = (factor > EXTRAPOLATION_LIMIT) & (not beyond_limit)
        told = np.full((8, len(side)), np.nan)
        if self.paper:
            told[:2, ~too_far] = self.paper.predict(side[~too_far])
        if self.weighed:
            some = ~too_far & ~below
            told[1:] = np.nan
            told[1:, some] = np.concatenate([
                self.weighed.predicted(side[some]), *self.weighed.interval(side[some]),
                *self.weighed.spread(side[some]), *self.weighed.band(side[some]),
            ])  # fmt: skip
        refused = tuple(
            self.fit_refused
            or (_too_far(times) if far else "")
            or self.interval_refused
            or (f"below the smallest measured resolution, {first_px:g} px" if under else "")
            for times, far, under in zip(factor, too_far, below, strict=True)
        )
        interval, spread, band = (Bounds(*told[start : start + 2]) for start in (2, 4, 6))
        return Curve(side, factor, told[0], told[1], interval, spread, band, refused)


def _too_far(times: float) -> str:
    return (
        f"{times:.3g} times the pixels of the largest measured resolution, "
        f"more than {EXTRAPOLATION_LIMIT:g}: ask for it explicitly"
    )


def fit_growth(
    side_px: Sequence[float],
    values: Sequence[float],
    unit: str,
    *,
    relative_std: Sequence[float] | None = None,
    degrees_of_freedom: Sequence[float] | None = None,
    prior: Prior = NOTHING_KNOWN,
) -> Growth:
    """Fit the paper's model and the rival laws to a series.

    Args:
        side_px: measured sides, ascending, each once.
        values: one each.
        unit: of the values, for coefficients and words.
        relative_std: standard deviation of each value divided by it, as far as it was measured:
            sets the weights and a lower limit of the scatter. None: the same everywhere, and taken
            from the fit.
        degrees_of_freedom: of each of these, positive; None where they are known exactly.
        prior: laws to admit, where something is known of the submodule.
    """
    side, observed = np.asarray(side_px, np.float64), np.asarray(values, np.float64)
    refused = _too_few(len(side), COEFFICIENTS, "the parabola")
    no_interval = _too_few(len(side), ENOUGH_FOR_INTERVAL, "a prediction interval")
    weighed = None
    if not no_interval:
        try:
            points = make_points(side, observed, relative_std, degrees_of_freedom)
            weighed = weigh(prior.laws, points)
        except PointsError as error:
            no_interval = str(error)
    paper = None if refused else fit_quadratic(side, observed)
    models = _models(weighed, unit) if weighed else ()
    return Growth(side, observed, unit, prior, paper, models, refused, no_interval, weighed)


def _models(weighed: Weighed, unit: str) -> tuple[Model, ...]:
    points, chosen, errors = weighed.points, int(weighed.chosen[0]), back_test(weighed)
    residuals = weighed.predict(points.side_px)[:, 0] / points.values[0] - 1
    models = []
    for index, law in enumerate(weighed.laws):
        best = weighed.best[index, 0]
        case, found = weighed.fits.cases[best], weighed.fits.coefficients[best, 0]
        models.append(Model(
            law=law,
            coefficients=physical_coefficients(case, found, unit),
            knee_px=knee_px(case, found),
            max_relative_residual=float(np.max(np.abs(residuals[index]))),
            score=float(weighed.score[index, 0] - weighed.score[chosen, 0]),
            back_test_errors=tuple(errors[index, 0].tolist()),
            band_share=float(weighed.shares[index, 0]),
            chosen=index == chosen,
        ))  # fmt: skip
    return tuple(sorted(models, key=lambda model: (not model.chosen, round(model.score, 6))))


def back_test(weighed: Weighed) -> Floats:
    """Errors at the largest resolutions, see `Model.back_test_errors`: laws × series × 3."""
    side, values, variance, known = weighed.points
    errors = []
    for left_out in (1, 2):
        kept = slice(-left_out)
        fits = fit_laws(weighed.laws, Points(side[kept], values[:, kept], variance[:, kept], known))
        best, misfit = fits.best(weighed.laws, fits.misfit)
        of_cases = curves(fits.cases, fits.coefficients, side[-left_out:])
        predicted = np.take_along_axis(of_cases, best[..., np.newaxis], axis=0)
        relative = predicted / values[:, -left_out:] - 1
        errors.append(np.where(np.isfinite(misfit)[..., np.newaxis], relative, np.nan))
    return np.concatenate(errors, axis=-1)


def _too_few(known: int, needed: int, what: str) -> str:
    if known >= needed:
        return ""
    plural = "" if known == 1 else "s"
    return f"{known} resolution{plural}: {what} needs at least {needed}"
