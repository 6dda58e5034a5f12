"""One quantity of one submodule over the resolution: laws fitted, one chosen, and what is refused.

`fit_growth` is the door to this package for anything but the paper's model alone: it takes a series
and returns a `Growth`, which holds what a table or a figure needs and answers for any side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from .coefficients import Coefficient, knee_px, physical_coefficients
from .estimation import Bounds, FormFit, Points, PointsError, Scatter, envelope, make_points
from .models import NOTHING_KNOWN, Floats, Law, Prior
from .quadratic import COEFFICIENTS, ENOUGH_FOR_INTERVAL, QuadraticFit, fit_quadratic
from .selection import (
    FEWEST_LEFT,
    LEFT_OUT,
    BackTest,
    FittedLaw,
    Selection,
    back_test,
    fit_laws,
    scatter_of,
    select,
)

LEVEL = 0.95
"""Share of new measurements that the interval and the band are to hold."""

EXTRAPOLATION_LIMIT = 10.0
"""Pixels over those of the largest measured resolution beyond which one has to ask explicitly.

From 1024 px it is reached at 3238 px; 3000 px are a factor of 8.6.
"""


@dataclass(frozen=True)
class Model:
    """A law, and what became of it.

    Attributes:
        law: which.
        coefficients: of the best case without negative ones.
        knee_px: side at which the branch leaves the floor; None without, or where it was not seen.
        max_relative_residual: largest |observed - fitted| / observed.
        score: misfit in squared scatters plus price, less that of the law chosen.
        aicc: corrected Akaike criterion; None with too few resolutions.
        back_test_errors: predicted over observed minus one: the largest resolution from all below
            it, then the largest two from those below both; empty without a back-test, None where
            the law has more coefficients than there were resolutions left.
        passed: the back-test; None without one.
        band_share: share of its interval with which it is in the band, 0 to 1.
        chosen: whether it is the one.
    """

    law: Law
    coefficients: tuple[Coefficient, ...]
    knee_px: float | None
    max_relative_residual: float
    score: float
    aicc: float | None
    back_test_errors: tuple[float | None, ...]
    passed: bool | None
    band_share: float
    chosen: bool


@dataclass(frozen=True)
class Curve:
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


@dataclass(frozen=True)
class Evidence:
    """The evidence that answers are computed from, as a batch of one series.

    Attributes:
        points: measured.
        fitted: laws admitted.
        scatter: around the best of them.
        selection: what each may say.
    """

    points: Points
    fitted: list[FittedLaw]
    scatter: Scatter
    selection: Selection

    @property
    def fits(self) -> list[FormFit]:
        """All cases of all laws."""
        return [fit for one in self.fitted for fit in one.fits]

    @property
    def chosen(self) -> FittedLaw:
        """The law chosen."""
        return self.fitted[int(self.selection.chosen[0])]


@dataclass(frozen=True)
class Growth:
    """A series with its laws.

    Attributes:
        side_px: measured resolutions.
        values: measured.
        unit: of the values.
        prior: laws admitted and why.
        paper: the paper's model, None with fewer than three resolutions.
        models: the laws fitted, the chosen one first, then by score.
        relative_scatter: typical relative deviation of a measurement from the law that explains
            the points best; None where none has a degree of freedom.
        fit_refused: why there is no fit at all, else empty.
        interval_refused: why there is no interval, no band and no chosen law, else empty.
        evidence: behind `curve`; None where it is refused.
    """

    side_px: Floats
    values: Floats
    unit: str
    prior: Prior
    paper: QuadraticFit | None
    models: tuple[Model, ...]
    relative_scatter: float | None
    fit_refused: str
    interval_refused: str
    evidence: Evidence | None

    @property
    def chosen(self) -> Model | None:
        """The law chosen, None where none could be."""
        return self.models[0] if self.evidence else None

    def curve(self, side_px: npt.ArrayLike, *, beyond_limit: bool = False) -> Curve:
        """Return the predictions at some sides.

        Args:
            side_px: where, in px.
            beyond_limit: answer beyond `EXTRAPOLATION_LIMIT` too.
        """
        side = np.atleast_1d(np.asarray(side_px, np.float64))
        largest_px = self.side_px[-1] if len(self.side_px) else np.nan
        factor = (side / largest_px) ** 2
        too_far = (factor > EXTRAPOLATION_LIMIT) & (not beyond_limit)
        below = side < (self.side_px[0] if len(self.side_px) else np.nan)
        paper = np.full(len(side), np.nan)
        if self.paper:
            paper = np.where(too_far, np.nan, self.paper.predict(side))
        nothing = Bounds(np.full(len(side), np.nan), np.full(len(side), np.nan))
        refused = tuple(
            self._refusal(float(times), bool(far), bool(under))
            for times, far, under in zip(factor, too_far, below, strict=True)
        )
        curve = Curve(side, factor, paper, paper, nothing, nothing, nothing, refused)
        return _answer(self.evidence, curve, too_far | below) if self.evidence else curve

    def _refusal(self, factor: float, too_far: bool, below: bool) -> str:
        if self.fit_refused or too_far:
            return self.fit_refused or (
                f"{factor:.3g} times the pixels of the largest measured resolution, "
                f"more than {EXTRAPOLATION_LIMIT:g}: ask for it explicitly"
            )
        if below and not self.interval_refused:
            return f"below the smallest measured resolution, {self.side_px[0]:g} px"
        return self.interval_refused


def _answer(evidence: Evidence, curve: Curve, refused: npt.NDArray[np.bool_]) -> Curve:
    """The curve with what the laws say where it is not refused."""
    scatter, chosen = evidence.scatter, evidence.chosen
    # what is refused is computed nowhere near the origin, where a law without constant is 0
    side = np.maximum(curve.side_px, evidence.points.measured.smallest_px)
    of_chosen = scatter.quantile**2 - _loss(chosen, scatter)
    in_band = band_shares(evidence) > 0
    estimates = np.array([one.predict(side)[0] for one in evidence.fitted])[in_band]
    spread = Bounds(
        np.min(estimates, axis=0, keepdims=True), np.max(estimates, axis=0, keepdims=True)
    )
    band = envelope(evidence.fits, evidence.selection.budgets, scatter, side)
    return replace(
        curve,
        predicted=np.where(refused, np.nan, chosen.predict(side)[0]),
        interval=_first(envelope(chosen.fits, of_chosen, scatter, side), refused),
        spread=_first(spread, refused),
        band=_first(band, refused),
    )


def _loss(one: FittedLaw, scatter: Scatter) -> Floats:
    """How much worse than the best case of its law each case fits, in squared scatters."""
    misfit = np.array([fit.misfit for fit in one.fits])
    return np.asarray((misfit - one.misfit) / scatter.variance, np.float64)


def band_shares(evidence: Evidence) -> Floats:
    """Share of its interval that each law may use for the band."""
    selection, quantile = evidence.selection, evidence.scatter.quantile[0]
    score = np.where(selection.allowed[:, 0], selection.score[:, 0], np.inf)
    budget = quantile**2 + score[selection.chosen[0]] - score
    return np.asarray(np.sqrt(np.clip(budget, 0, quantile**2)) / quantile, np.float64)


def _first(bounds: Bounds, refused: npt.NDArray[np.bool_]) -> Bounds:
    return Bounds(*(np.where(refused, np.nan, bound[0]) for bound in bounds))


def fit_growth(
    side_px: Sequence[float],
    values: Sequence[float],
    unit: str,
    *,
    relative_std: Sequence[float] | None = None,
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
        prior: laws to admit, where something is known of the submodule.
    """
    side, observed = np.asarray(side_px, np.float64), np.asarray(values, np.float64)
    refused = _too_few(len(side), COEFFICIENTS, "the parabola")
    paper = None if refused else fit_quadratic(side, observed)
    no_interval = _too_few(len(side), ENOUGH_FOR_INTERVAL, "a prediction interval")
    evidence, tests = None, None
    if not no_interval:
        try:
            points = make_points(side, observed, relative_std)
        except PointsError as error:
            no_interval = str(error)
        else:
            evidence, tests = _weigh(points, prior)
    return Growth(
        side_px=side,
        values=observed,
        unit=unit,
        prior=prior,
        paper=paper,
        models=_models(evidence, tests, unit) if evidence and tests else (),
        relative_scatter=_relative_scatter(evidence) if evidence else None,
        fit_refused=refused,
        interval_refused=no_interval,
        evidence=evidence,
    )


def _weigh(points: Points, prior: Prior) -> tuple[Evidence, list[BackTest]]:
    assert points.count >= FEWEST_LEFT + max(LEFT_OUT)
    fitted = fit_laws(prior.laws, points)
    scatter = scatter_of(fitted, points, LEVEL)
    tests = back_test(fitted, points, scatter)
    return Evidence(points, fitted, scatter, select(fitted, points, scatter, tests)), tests


def _relative_scatter(evidence: Evidence) -> float:
    scatter = evidence.scatter
    return float(np.sqrt(scatter.variance[0] * scatter.new_variance[0]))


def _models(evidence: Evidence, tests: Sequence[BackTest], unit: str) -> tuple[Model, ...]:
    shares = band_shares(evidence)
    models = [
        _model(evidence, index, tests[index], unit, float(shares[index]))
        for index in range(len(evidence.fitted))
    ]
    return tuple(sorted(models, key=lambda model: (not model.chosen, round(model.score, 6))))


def _model(evidence: Evidence, index: int, test: BackTest, unit: str, band_share: float) -> Model:
    one, selection, points = evidence.fitted[index], evidence.selection, evidence.points
    best = one.fits[int(one.best[0])]
    residuals = one.predict(points.side_px)[0] / points.values[0] - 1
    aicc = float(selection.aicc[index, 0])
    return Model(
        law=one.law,
        coefficients=physical_coefficients(best, unit),
        knee_px=knee_px(best),
        max_relative_residual=float(np.max(np.abs(residuals))),
        score=float(selection.score[index, 0] - selection.score[selection.chosen[0], 0]),
        aicc=aicc if np.isfinite(aicc) else None,
        back_test_errors=tuple(
            None if np.isnan(error) else float(error) for error in test.errors[0]
        ),
        passed=bool(test.passed[0]),
        band_share=band_share,
        chosen=index == int(selection.chosen[0]),
    )


def _too_few(known: int, needed: int, what: str) -> str:
    if known >= needed:
        return ""
    plural = "" if known == 1 else "s"
    return f"{known} resolution{plural}: {what} needs at least {needed}"
