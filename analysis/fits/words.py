"""Words on fits: why a law was chosen, the fate of the others, faults of a prediction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from .growth import Curve, Growth, Model
from .models import TESTED_BRANCH
from .selection import FittedLaw, Selection

APART = 1.25
"""Ratio of the estimates of two laws in the band from which on they are said to differ."""

MISFIT = 3.0
"""Ratio of scatter to measured deviation from which on no law is said to fit."""


def why_chosen(growth: Growth) -> str:
    """One sentence on the choice; empty where there is none."""
    chosen = growth.chosen
    if chosen is None or growth.evidence is None:
        return ""
    parts = [_back_test(chosen)]
    if len(growth.models) > 1:
        by_aicc = bool(growth.evidence.selection.by_aicc[0])
        parts.append(
            "as good as others by misfit and number of terms, lower AICc"
            if by_aicc
            else "least misfit for its number of terms"
        )
    if growth.prior.reason:
        parts.append(f"admitted because {growth.prior.reason}")
    return "; ".join(parts)


def verdict(model: Model) -> str:
    """Say what became of one law."""
    if model.chosen:
        return f"chosen; {_back_test(model)}"
    if model.passed is False:
        return f"out: {_back_test(model)}"
    if model.band_share <= 0:
        return "refuted by the fit: too large a misfit for its number of terms"
    return f"not refuted: in the band with {model.band_share:.0%} of its interval"


def problems(growth: Growth, curve: Curve, index: int = 0) -> list[str]:
    """Return the warnings to a reader of one prediction; none where there are none.

    Args:
        growth: the series.
        curve: of it.
        index: which side of the curve.
    """
    found = list(_of_paper(growth, curve, index))
    if growth.evidence and not np.isnan(curve.band.high[index]):
        found += _of_back_test(growth)
        found += _of_branch(growth)
        found += _of_scatter(growth)
        found += _of_rivals(growth, curve, index)
    return found


def doubtful_branch(
    fitted: Sequence[FittedLaw], selection: Selection
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Whether the branch of a floor may be unseen, or seen at fewer than three resolutions.

    Returns:
        both, of each series: whether a case of that kind is not refuted.
    """
    fits = [fit for one in fitted for fit in one.fits]
    credible = (selection.budgets > 0) & np.array([fit.admissible for fit in fits])
    unseen = np.array([fit.form.branch_unseen for fit in fits])
    untested = np.array([fit.form.branch_untested for fit in fits]) & ~unseen
    return np.any(credible[unseen], axis=0), np.any(credible[untested], axis=0)


def _back_test(model: Model) -> str:
    errors = [error for error in model.back_test_errors if error is not None]
    if model.passed is None or not errors:
        return "no back-test"
    largest = max(errors, key=abs)
    passes = "within" if model.passed else "not within"
    return f"{passes} its own bounds in the back-test, largest error {largest:+.1%}"


def _of_paper(growth: Growth, curve: Curve, index: int) -> Iterator[str]:
    value = curve.paper[index]
    if growth.paper and not np.isnan(value) and value <= 0:
        yield "the study's model is not positive here: it does not hold"


def _of_back_test(growth: Growth) -> Iterator[str]:
    if not any(model.passed for model in growth.models):
        yield "no law passes the back-test: the largest resolutions do not follow from the others"


def _of_branch(growth: Growth) -> Iterator[str]:
    assert growth.evidence is not None
    unseen, untested = doubtful_branch(growth.evidence.fitted, growth.evidence.selection)
    largest_px = growth.side_px[-1]
    some = TESTED_BRANCH
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
    assert growth.evidence is not None
    ratio = float(np.sqrt(growth.evidence.scatter.variance[0]))
    if growth.evidence.points.variance_measured and ratio > MISFIT:
        yield (
            f"scatter around the best law is {ratio:.0f} times what was measured: "
            "resolutions differ by more than repetition, or no law here is the true one"
        )


def _of_rivals(growth: Growth, curve: Curve, index: int) -> Iterator[str]:
    low, high = curve.spread.low[index], curve.spread.high[index]
    if high > APART * low:
        names = [model.law.name for model in growth.models if model.band_share > 0]
        yield (
            f"the points do not decide between {', '.join(names)}: at {curve.side_px[index]:g} px "
            f"they say {low:.3g} to {high:.3g} {growth.unit}"
        )
