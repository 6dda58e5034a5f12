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
from .estimation import Points, PointsError, Weighed, fit_laws, make_points, weigh
from .models import NOTHING_KNOWN, Floats, Law, Prior, Sizes, sizes_of
from .quadratic import COEFFICIENTS, ENOUGH_FOR_INTERVAL, QuadraticFit, fit_if_enough

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
        if self.weighed is None:
            return None
        return float(np.sqrt(self.weighed.scatter.variance * self.weighed.scatter.new_variance)[0])

    def curve(self, size: npt.ArrayLike | Sizes, *, beyond_limit: bool = False) -> Curve:
        """Return the predictions at some sizes.

        Args:
            size: where; numbers are sides of squares in px.
            beyond_limit: answer beyond `EXTRAPOLATION_LIMIT` too.
        """
        sizes = sizes_of(size)
        side = sizes.side_px
        first_px, last_px = self.side_px[[0, -1]] if len(self.side_px) else (np.nan, np.nan)
        factor, below = (side / last_px) ** 2, side < first_px
        too_far = (factor > EXTRAPOLATION_LIMIT) & (not beyond_limit)
        values = np.full((8, len(side)), np.nan)
        if self.paper:
            values[:2] = self.paper.predict(side)
        if self.weighed:
            bounds = (self.weighed.interval, self.weighed.spread, self.weighed.band)
            ends = [end[0] for of in bounds for end in of(sizes)]
            values[1:] = np.where(below, np.nan, [self.weighed.predicted(sizes)[0], *ends])
        values[:, too_far] = np.nan
        refused = tuple(
            self.fit_refused
            or (
                f"{times:.3g} times the pixels of the largest measured resolution, more than "
                f"{EXTRAPOLATION_LIMIT:g}: ask for it explicitly" if far else ""
            )
            or self.interval_refused
            or (f"below the smallest measured resolution, {first_px:.5g} px" if under else "")
            for times, far, under in zip(factor, too_far, below, strict=True)
        )  # fmt: skip
        return Curve(side, refused, factor, *values)


def fit_growth(
    size: npt.ArrayLike | Sizes,
    values: Sequence[float],
    unit: str,
    *,
    relative_std: Sequence[float] | None = None,
    degrees_of_freedom: Sequence[float] | None = None,
    prior: Prior = NOTHING_KNOWN,
) -> Growth:
    """Fit the paper's model and the rival laws to a series.

    Args:
        size: what was measured; numbers are sides of squares in px. Their pixels ascend.
        values: one each.
        unit: of the values, for coefficients and words.
        relative_std: standard deviation of each value divided by it, as far as it was measured:
            sets the weights and a lower limit of the scatter. None: the same everywhere, and taken
            from the fit.
        degrees_of_freedom: of each of these, positive; None where they are known exactly.
        prior: laws to admit, where something is known of the submodule.
    """
    sizes, observed, weighed = sizes_of(size), np.asarray(values, np.float64), None
    side = sizes.side_px
    refused = _too_few(side, COEFFICIENTS, "the parabola")
    no_interval = _too_few(side, ENOUGH_FOR_INTERVAL, "a prediction interval")
    if not no_interval:
        try:
            points = make_points(sizes, observed, relative_std, degrees_of_freedom)
            weighed = weigh(prior.laws, points)
        except PointsError as error:
            no_interval = str(error)
    models = _models(weighed, unit) if weighed else ()
    paper = fit_if_enough(side, observed)
    return Growth(side, unit, prior, paper, models, refused, no_interval, weighed)


def _models(weighed: Weighed, unit: str) -> tuple[Model, ...]:
    fits, (chosen,), errors = weighed.fits, weighed.chosen, back_test(weighed)[:, 0].tolist()
    residuals = weighed.predict(weighed.points.sizes) / weighed.points.values - 1
    largest, score = np.max(np.abs(residuals[:, 0]), axis=1), weighed.score[:, 0]
    models = []
    for index, (law, (best,)) in enumerate(zip(weighed.laws, weighed.best, strict=True)):
        own = (fits.cases[best], fits.coefficients[best, 0])
        models.append(Model(
            law, physical_coefficients(*own, unit), knee_px(*own), float(largest[index]),
            float(score[index] - score[chosen]), float(weighed.shares[index, 0]),
            bool(index == chosen), *errors[index],
        ))  # fmt: skip
    return tuple(sorted(models, key=lambda model: (not model.chosen, round(model.score, 6))))


def back_test(weighed: Weighed) -> Floats:
    """Errors at the largest resolutions, as `Model` has them: laws × series × 3."""
    sizes, values, variance, known = weighed.points
    errors = []
    for left_out in (1, 2):
        kept, last = slice(-left_out), slice(-left_out, None)
        points = Points(sizes.among(kept), values[:, kept], variance[:, kept], known)
        fits = fit_laws(weighed.laws, points)
        best, misfit = fits.best(weighed.laws, fits.misfit)
        relative = fits.predict(best, sizes.among(last)) / values[:, last] - 1
        errors.append(np.where(np.isfinite(misfit)[..., np.newaxis], relative, np.nan))
    return np.concatenate(errors, axis=-1)


def _too_few(side_px: Floats, needed: int, what: str) -> str:
    known = len(np.unique(side_px))
    if known >= needed:
        return ""
    plural = "" if known == 1 else "s"
    which = f"resolution{plural}" if known == len(side_px) else f"number{plural} of pixels"
    return f"{known} {which}: {what} needs at least {needed}"
