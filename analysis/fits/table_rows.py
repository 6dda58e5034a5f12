"""Rows of `fits.csv`, `fit_models.csv` and `fit_curves.csv`, see `analysis.fits.tables`.

And their words: why a law was chosen, the fate of the others, faults of a prediction.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from adscale.tables import names_of

from ..numbers import percent
from .coefficients import Coefficient
from .estimation import Bounds, doubtful_branch
from .fitted import Fitted
from .growth import EXTRAPOLATION_LIMIT, Curve, Growth, Model
from .models import TESTED_BRANCH
from .quadratic import COEFFICIENTS, ENOUGH_FOR_INTERVAL, MODEL, fit_quadratic, hold_out_errors
from .tables import BACK_TEST, FIT_MODELS, LAW

APART = 1.25
"""Ratio of the estimates of two laws in the band from which on they are said to differ."""

LARGE_SCATTER = 0.2
"""Relative scatter from which on no law is said to explain the points, whatever was measured."""


def why_chosen(growth: Growth) -> str:
    """One sentence on the choice; empty where there is none."""
    if growth.chosen is None:
        return ""
    parts = [
        *(["least misfit for its number of terms"] if len(growth.models) > 1 else ()),
        _back_test(growth.chosen),
        *([f"admitted because {growth.prior.reason}"] if growth.prior.reason else ()),
    ]
    return "; ".join(parts)


def verdict(model: Model) -> str:
    """Say what became of one law."""
    if model.chosen:
        return f"chosen; {_back_test(model)}"
    if model.band_share <= 0:
        return "refuted by the fit: too large a misfit for its number of terms"
    return f"not refuted: in the band with {percent(model.band_share)} of its interval"


def problems(growth: Growth, curve: Curve, index: int = 0) -> list[str]:
    """Return the warnings to a reader of one prediction; none where there are none.

    Args:
        growth: the series.
        curve: of it.
        index: which side of the curve.
    """
    found = list(_of_paper(growth, curve, index))
    if growth.weighed and not np.isnan(curve.band.high[index]):
        found += _of_scatter(growth)
        found += _of_branch(growth)
        found += _of_rivals(growth, curve, index)
    return found


def _back_test(model: Model) -> str:
    errors = [error for error in model.back_test_errors if not np.isnan(error)]
    return (
        f"largest error in the back-test {percent(max(errors, key=abs), 1, signed=True)}"
        if errors
        else "no back-test"
    )


def _of_paper(growth: Growth, curve: Curve, index: int) -> Iterator[str]:
    value = curve.paper[index]
    if growth.paper and not np.isnan(value) and value <= 0:
        yield "the study's model is not positive here: it does not hold"


def _of_branch(growth: Growth) -> Iterator[str]:
    assert growth.weighed is not None
    unseen, untested = doubtful_branch(growth.weighed)
    largest_px, some = growth.side_px[-1], TESTED_BRANCH
    if unseen[0]:
        yield (
            f"flat up to {largest_px:g} px within its scatter: constant, or a floor (launch-bound) "
            "whose end was not reached; what follows may be as steep as the laws admit"
        )
    elif untested[0]:
        yield (
            f"a floor (launch-bound) may end above {growth.side_px[-some]:g} px: fewer than {some} "
            "resolutions lie beyond, which do not tell how it goes on"
        )


def _of_scatter(growth: Growth) -> Iterator[str]:
    assert growth.weighed is not None
    scatter, relative = growth.weighed.scatter, growth.relative_scatter or 0.0
    if scatter.discrepancy[0] > 0:
        yield (
            f"scatter around the best law is {np.sqrt(scatter.variance[0]):.1f} times what was "
            "measured: resolutions differ by more than repetition, or no law here is the true one; "
            "the band is wider for it"
        )
    elif relative > LARGE_SCATTER:
        yield f"scatter of {percent(relative)} around the best law: no law here explains the points"


def _of_rivals(growth: Growth, curve: Curve, index: int) -> Iterator[str]:
    low, high = curve.spread.low[index], curve.spread.high[index]
    if high > APART * low:
        names = [model.law.name for model in growth.models if model.band_share > 0]
        yield (
            f"the points do not decide between {', '.join(names)}: at {curve.side_px[index]:g} px "
            f"they say {low:.3g} to {high:.3g} {growth.unit}"
        )


SUM = "sum of the submodules' laws"
"""Stands for the law in the row of a sum."""

PAPER_VERDICT = "the study's model: always shown, not weighed"

SIDES = 61
"""Sides of a curve beside those that were measured."""


def fit_rows(fitted: Sequence[Fitted], extrapolate_to_px: int) -> list[dict[str, Any]]:
    """Return the predictions of every series at one resolution."""
    sums = {one.series[:6]: one.curve(extrapolate_to_px) for one in fitted if one.growth is None}
    return [_row(one, extrapolate_to_px, sums.get(one.series[:6])) for one in fitted]


def law_values(model: Model | None, scatter: float | None = None) -> dict[str, Any]:
    """Values of `LAW`; null without a law."""
    if model is None:
        return dict.fromkeys(names_of(LAW))
    by_name = {part.name: part.value for part in model.coefficients}
    return {
        "law": model.law.name,
        "formula": model.law.formula,
        "coefficients": coefficient_words(model.coefficients, scatter),
        **{name: by_name.get(name) for name in "fabcdp"},
        "knee_px": model.knee_px,
        "max_relative_residual": model.max_relative_residual,
    }


def coefficient_words(coefficients: Iterable[Coefficient], scatter: float | None) -> str:
    """Return words such as ``a = 0.25 ms; b = 3.1e-06 ms per pixel``.

    Args:
        coefficients: of a law.
        scatter: relative, of the points; one digit more than it knows is said, six at most.
    """
    digits = 6 if not scatter else int(np.clip(2 - np.log10(scatter), 2, 6))
    words = (f"{part.name} = {part.value:.{digits}g} {part.unit}" for part in coefficients)
    return "; ".join(one.strip() for one in words)


def back_test_values(errors: Sequence[float | None]) -> dict[str, float | None]:
    """Values of `BACK_TEST`; null without a back-test."""
    known = errors if len(errors) == len(BACK_TEST) else [None] * len(BACK_TEST)
    return dict(zip(names_of(BACK_TEST), known, strict=True))


def bound_values(curve: Curve, index: int = 0) -> dict[str, float | None]:
    """Values of `BOUNDS` at one side of a curve."""
    bounds: Mapping[str, Bounds] = {
        "interval": curve.interval,
        "spread": curve.spread,
        "band": curve.band,
    }
    return {
        f"{name}_{end}": number(values[index])
        for name, both in bounds.items()
        for end, values in zip(("low", "high"), both, strict=True)
    }


def number(value: float) -> float | None:
    """Null where there is none."""
    return None if np.isnan(value) else float(value)


def _row(one: Fitted, side_px: int, total: Curve | None) -> dict[str, Any]:
    series, growth, curve = one.series, one.growth, one.curve(side_px)
    sides, chosen = series.side_px, growth.chosen if growth else None
    law = law_values(chosen, growth.relative_scatter if growth else None)
    if growth is None and not one.interval_refused:
        law = {**law, "law": SUM}
    return {
        **one.key,
        "resolutions": len(sides),
        "min_resolution_px": min(sides, default=None),
        "max_resolution_px": max(sides, default=None),
        "fitted_at_px": " ".join(map(str, sides)),
        "extrapolate_to_px": side_px,
        "extrapolation_factor_pixels": number(curve.factor[0]),
        **_paper_values(one, curve, side_px),
        **law,
        "relative_scatter": growth.relative_scatter if growth else None,
        **back_test_values(chosen.back_test_errors if chosen else ()),
        "why_chosen": why_chosen(growth) if growth else "",
        "predicted": number(curve.predicted[0]),
        **bound_values(curve),
        "fit_refused": one.fit_refused,
        "interval_refused": one.interval_refused,
        "refused": curve.refused[0],
        "problems": "; ".join(
            [
                *(problems(growth, curve) if growth else ()),
                *_of_whole(one, curve, total),
                *([f"runs that were not steady: {series.unsteady}"] if series.unsteady else ()),
            ]
        ),
        "basis": "extrapolated",
        "counted": series.counted,
    }


def _paper_values(one: Fitted, curve: Curve, side_px: int) -> dict[str, Any]:
    """The paper's model; of a sum through the sums."""
    names = ("b0", "b1", "b2", "max_relative_residual", "predicted", "low", "high")
    nothing = {"study_model": MODEL, **{f"study_{name}": None for name in names}}
    series = one.series
    if len(series.side_px) < COEFFICIENTS or one.fit_refused:
        return nothing
    fit = fit_quadratic(series.side_px, series.values)
    predicted = number(curve.paper[0])
    low, high = None, None
    if len(series.side_px) >= ENOUGH_FOR_INTERVAL and predicted is not None:
        low, high = (float(np.squeeze(bound)) for bound in fit.prediction_interval(side_px))
        low = low if predicted < 0 else max(low, 0.0)
    values = (*fit.coefficients, fit.max_relative_residual, predicted, low, high)
    return {
        **nothing,
        **{f"study_{name}": value for name, value in zip(names, values, strict=True)},
    }


def _of_whole(one: Fitted, curve: Curve, total: Curve | None) -> Iterator[str]:
    """Says where the fit of a whole image contradicts the sum of its submodules' fits."""
    if total is None or one.series.submodule != "image" or np.isnan(curve.band.high[0]):
        return
    summed, low, high = total.predicted[0], curve.band.low[0], curve.band.high[0]
    if not np.isnan(total.band.high[0]) and not low <= summed <= high:
        yield (
            f"the submodules' laws sum up to {summed:.3g} {one.series.unit}, outside of this band: "
            "the whole follows no single law, prefer the sum"
        )


def model_rows(one: Fitted, side_px: int) -> Iterator[dict[str, Any]]:
    """The laws of one series; none of a sum."""
    growth = one.growth
    if growth is None:
        return
    refused = bool(one.curve(side_px).refused[0])
    for model in growth.models:
        yield {
            **one.key,
            **law_values(model, growth.relative_scatter),
            "score": model.score,
            **back_test_values(model.back_test_errors),
            "band_share": model.band_share,
            "chosen": model.chosen,
            "extrapolate_to_px": side_px,
            "predicted": None if refused else _predicted(growth, model, side_px),
            "verdict": verdict(model),
        }
    if growth.paper is not None:
        yield _paper_row(one, growth, side_px)


def _predicted(growth: Growth, model: Model, side_px: int) -> float:
    assert growth.weighed is not None
    estimates = growth.weighed.predict(np.array([side_px], np.float64))
    return float(estimates[growth.weighed.laws.index(model.law), 0, 0])


def _paper_row(one: Fitted, growth: Growth, side_px: int) -> dict[str, Any]:
    paper = growth.paper
    assert paper is not None
    b0, b1, b2 = paper.coefficients
    unit, positive = growth.unit, bool(np.all(paper.observed > 0))
    errors = hold_out_errors(paper.side_px, paper.observed) if positive else ()
    return {
        **dict.fromkeys(FIT_MODELS.schema),
        **one.key,
        "law": MODEL,
        "formula": "a + b·s + c·s²",
        "coefficients": coefficient_words(
            (
                Coefficient("a", b0, unit),
                Coefficient("b", b1, f"{unit} per px of side"),
                Coefficient("c", b2, f"{unit} per px² of side"),
            ),
            growth.relative_scatter,
        ),
        "a": b0,
        "b": b1,
        "c": b2,
        "max_relative_residual": paper.max_relative_residual,
        **back_test_values(errors),
        "chosen": False,
        "extrapolate_to_px": side_px,
        "predicted": number(one.curve(side_px).paper[0]),
        "verdict": PAPER_VERDICT,
    }


def curve_rows(one: Fitted, extrapolate_to_px: int) -> Iterator[dict[str, Any]]:
    """One series at every side that is drawn."""
    observed = dict(zip(one.series.side_px, one.series.values, strict=True))
    sides = _sides(one, extrapolate_to_px)
    if not sides:
        return
    curve = one.curve(sides)
    largest_px = max(observed)
    for index, side_px in enumerate(sides):
        yield {
            **one.key,
            "resolution_px": side_px,
            "pixels": side_px**2,
            "extrapolation_factor_pixels": number(curve.factor[index]),
            "observed": observed.get(side_px),
            "study_predicted": number(curve.paper[index]),
            "predicted": number(curve.predicted[index]),
            **bound_values(curve, index),
            "refused": curve.refused[index],
            "basis": "fitted" if side_px <= largest_px else "extrapolated",
        }


def _sides(one: Fitted, extrapolate_to_px: int) -> list[int]:
    measured = one.series.side_px
    if not measured or one.fit_refused:
        return list(measured)
    # the last side before it is refused is drawn, too
    limit_px = int(max(measured) * EXTRAPOLATION_LIMIT**0.5)
    grid = np.linspace(min(measured), max(extrapolate_to_px, *measured), SIDES).round().astype(int)
    wanted = {*measured, *grid.tolist(), min(limit_px, extrapolate_to_px)}
    return sorted(side for side in wanted if side >= min(measured))
