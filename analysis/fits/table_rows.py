"""Rows of `fits.csv`, `fit_models.csv` and `fit_curves.csv`, see `analysis.fit_tables`.

They hold what is known of a series, more than the columns of a table; what is not known is null.
And their words: why a law was chosen, the fate of the others, faults of a prediction.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from adscale.resolution import Resolution

from ..columns import size_values
from ..numbers import known, known_interval, percent
from .coefficients import Coefficient
from .estimation import doubtful_branch
from .growth import EXTRAPOLATION_LIMIT, Curve, Fitted, Growth, Model
from .models import TESTED_BRANCH, Law
from .quadratic import ENOUGH_FOR_INTERVAL, MODEL, fit_if_enough, hold_out_errors
from .series import sizes_of_images

APART = 1.25
"""Ratio of the estimates of two laws in the band from which on they are said to differ."""

LARGE_SCATTER = 0.2
"""Relative scatter from which on no law is said to explain the points, whatever was measured."""

SUM = "sum of the submodules' laws"
"""Stands for the law in the row of a sum."""

PAPER = Law(MODEL, "a + b·s + c·s²", "abc", (), 0, 1)
"""The paper's model in the table of laws."""

SIDES = 61
"""Sides of a curve beside those that were measured."""


def why_chosen(growth: Growth) -> str:
    """One sentence on the choice; empty where there is none."""
    if growth.chosen is None:
        return ""
    rivals = "least misfit for its number of terms" if len(growth.models) > 1 else ""
    reason = f"admitted because {growth.prior.reason}" if growth.prior.reason else ""
    return "; ".join(filter(None, (rivals, _back_test(growth.chosen), reason)))


def verdict(model: Model) -> str:
    """Say what became of one law."""
    if model.law is PAPER:
        return "the study's model: always shown, not weighed"
    if model.chosen:
        return f"chosen; {_back_test(model)}"
    if model.band_share <= 0:
        return "refuted by the fit: too large a misfit for its number of terms"
    return f"not refuted: in the band with {percent(model.band_share)} of its interval"


def _back_test(model: Model) -> str:
    two = (model.back_test_two_out_lower, model.back_test_two_out_upper)
    errors = [error for error in (model.back_test_one_out, *two) if not np.isnan(error)]
    if not errors:
        return "no back-test"
    return f"largest error in the back-test {percent(max(errors, key=abs), 1, signed=True)}"


def problems(growth: Growth, curve: Curve, index: int = 0) -> list[str]:
    """Return the warnings to a reader of one prediction; none where there are none.

    Args:
        growth: the series.
        curve: of it.
        index: which side of the curve.
    """
    found = []
    if curve.study_predicted[index] <= 0:
        found.append("the study's model is not positive here: it does not hold")
    if growth.weighed is None or np.isnan(curve.band_high[index]):
        return found
    scatter, relative = growth.weighed.scatter, growth.relative_scatter or 0.0
    if scatter.discrepancy[0] > 0 and growth.weighed.points.degrees_of_freedom:
        found.append(
            f"scatter around the best law is {known(scatter.variance[0] ** 0.5, digits=2)} times "
            "what was measured: resolutions differ by more than repetition, or no law here is the "
            "true one; the band is wider for it"
        )
    elif scatter.discrepancy[0] > 0:
        words = f"scatter of {percent(relative, 1)} around the best law, less around a smooth curve"
        found.append(f"{words}: no law here is the true one; the band is wider for it")
    elif relative > LARGE_SCATTER:
        words = f"scatter of {percent(relative)} around the best law"
        found.append(f"{words}: no law here explains the points")
    unseen, untested = doubtful_branch(growth.weighed)
    if unseen[0]:
        found.append(
            f"flat up to {growth.side_px[-1]:.5g} px within its scatter: constant, or a floor "
            "(launch-bound) whose end was not reached; what follows may be as steep as the laws "
            "admit"
        )
    elif untested[0]:
        found.append(
            f"a floor (launch-bound) may end above {growth.side_px[-TESTED_BRANCH]:.5g} px: fewer "
            f"than {TESTED_BRANCH} resolutions lie beyond, which do not tell how it goes on"
        )
    low, high = curve.spread_low[index], curve.spread_high[index]
    if high > APART * low:
        names = [model.law.name for model in growth.models if model.band_share > 0]
        at = f"{curve.side_px[index]:.5g}"
        _, least, most = known_interval(curve.predicted[index], low, high)
        found.append(
            f"the points do not decide between {', '.join(names)}: at {at} px "
            f"they say {least} to {most} {growth.unit}"
        )
    return found


def fit_rows(fitted: Sequence[Fitted], side_px: int) -> Iterator[dict[str, Any]]:
    """The predictions of every series at one resolution."""
    sums = {one.series[:6]: one.curve(side_px) for one in fitted if one.growth is None}
    for one in fitted:
        series, growth, curve = one.series, one.growth, one.curve(side_px)
        summed = sums.get(series[:6], curve) if series.submodule == "image" else curve
        sizes, paper = series.resolutions, _paper_values(one, side_px, curve.study_predicted[0])
        law: dict[str, Any] = {"law": None if one.interval_refused else SUM}
        if growth and growth.chosen:
            law = _law_values(growth.chosen, growth)
        found = [*(problems(growth, curve) if growth else []), *_contradiction(one, curve, summed)]
        if series.unsteady:
            found.append(f"runs that were not steady: {series.unsteady}")
        yield {
            **series._asdict(), **law, **paper, **_values_at(curve, 0),
            "resolutions": len(sizes),
            "smallest": str(sizes[0]) if sizes else None,
            "largest": str(sizes[-1]) if sizes else None,
            "fitted_at": " ".join(map(str, sizes)),
            "extrapolate_to_px": side_px,
            "study_model": MODEL,
            "relative_scatter": growth.relative_scatter if growth else None,
            "why_chosen": why_chosen(growth) if growth else "",
            "fit_refused": one.fit_refused,
            "interval_refused": one.interval_refused,
            "problems": "; ".join(found),
            "basis": "extrapolated",
        }  # fmt: skip


def _contradiction(one: Fitted, curve: Curve, summed: Curve) -> Iterator[str]:
    """What is told of a whole image whose band does not hold the sum of the submodules."""
    (low,), (high,), (total,) = curve.band_low, curve.band_high, summed.predicted
    if not (np.isnan([low, summed.band_high[0]]).any() or low <= total <= high):
        said = known(total, summed.band_low[0], summed.band_high[0])
        yield (
            f"the submodules' laws sum up to {said} {one.series.unit}, outside of this band: the "
            "whole follows no single law, prefer the sum"
        )


def model_rows(fitted: Sequence[Fitted], side_px: int) -> Iterator[dict[str, Any]]:
    """The laws of every series, and the paper's model; none of a sum."""
    for one in fitted:
        growth, curve = one.growth, one.curve(side_px)
        if growth is None:
            continue
        models, predicted = [*growth.models], {PAPER: curve.study_predicted[0]}
        if growth.weighed and not curve.refused[0]:
            estimates = growth.weighed.predict(curve.side_px)[:, 0, 0]
            predicted.update(zip(growth.weighed.laws, estimates, strict=True))
        if paper := growth.paper:
            units = (growth.unit + per for per in ("", " per px of side", " per px² of side"))
            coefficients = tuple(map(Coefficient, "abc", paper.coefficients, units))
            errors = hold_out_errors(paper.side_px, paper.observed)
            said = (coefficients, None, paper.max_relative_residual)
            models.append(Model(PAPER, *said, np.nan, np.nan, False, *errors))  # not weighed
        for model in models:
            yield {
                **one.series._asdict(), **_law_values(model, growth),
                "extrapolate_to_px": side_px,
                "predicted": predicted.get(model.law),
                "verdict": verdict(model),
            }  # fmt: skip


def curve_rows(fitted: Sequence[Fitted], last_px: int) -> Iterator[dict[str, Any]]:
    """Every series at every side that is drawn."""
    for one in fitted:
        observed = dict(zip(one.series.resolutions, one.series.values, strict=True))
        sizes = _drawn_sizes(one, last_px)
        curve = one.curve(sizes_of_images(sizes))
        for index, size in enumerate(sizes):
            yield {
                **one.series._asdict(), **_values_at(curve, index), **size_values(size),
                "observed": observed.get(size),
                "basis": "fitted" if size <= max(observed) else "extrapolated",
            }  # fmt: skip


def _drawn_sizes(one: Fitted, last_px: int) -> list[Resolution]:
    """Measured ones, and others of the shape of the largest of these."""
    measured = one.series.resolutions
    if not measured or one.fit_refused:
        return [*measured]
    first, largest = measured[0], measured[-1]
    # the last side before it is refused is drawn, too
    limit_px = int(largest.side_px * EXTRAPOLATION_LIMIT**0.5)
    grid = np.linspace(first.side_px, max(last_px, largest.side_px), SIDES).round()
    sides = {*grid.tolist(), min(limit_px, last_px)}
    wanted = {*measured, *(largest.scaled(side_px) for side_px in sides)}
    return sorted(size for size in wanted if size.pixels >= first.pixels)


def _law_values(model: Model, growth: Growth) -> dict[str, Any]:
    # one digit more than the points know
    scatter = growth.relative_scatter
    digits = int(np.clip(2 - np.log10(scatter), 2, 6)) if scatter else 6
    words = (f"{part.name} = {part.value:.{digits}g} {part.unit}" for part in model.coefficients)
    return {
        **model._asdict(),
        **{part.name: part.value for part in model.coefficients},
        "law": model.law.name,
        "formula": model.law.formula,
        "coefficients": "; ".join(one.strip() for one in words),
    }


def _values_at(curve: Curve, index: int) -> dict[str, Any]:
    return {name: values[index] for name, values in curve._asdict().items()}


def _paper_values(one: Fitted, side_px: int, predicted: float) -> dict[str, Any]:
    """The paper's model; of a sum through the sums."""
    sides = sizes_of_images(one.series.resolutions).side_px
    fit = None if one.fit_refused else fit_if_enough(sides, one.series.values)
    if fit is None:
        return {}
    values = [*fit.coefficients, fit.max_relative_residual]
    if len(np.unique(sides)) >= ENOUGH_FOR_INTERVAL and not np.isnan(predicted):
        (low,), (high,) = fit.prediction_interval(side_px)
        values += [low if predicted < 0 else max(low, 0.0), high]
    names = ("b0", "b1", "b2", "max_relative_residual", "low", "high")
    return {f"study_{name}": value for name, value in zip(names, values, strict=False)}
