"""Which laws may speak, which one is chosen, and how far each is heard.

1. A law that fails the back-test is out; if all fail, none is, and that is said.
2. Of the others the one with the best score is chosen, misfit plus price
   (`analysis.fits.evidence`).
3. Where scores differ by less than one squared scatter, the lower AICc decides.

AICc does not come first because with seven points it asks so much of a third coefficient that it
misses bends of four standard errors. Chosen by AICc alone among the laws that pass, predictions at
3000 px are off by 14 instead of 7 % (laws of the goal of `tests/bench/fits.py`, 1 % noise).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .backtest import BackTest
from .bands import Scatter
from .estimation import Points
from .evidence import FittedLaw, best_scores, corrected_aic, scores
from .models import Floats

TIE = 1.0
"""Difference of scores, in squared scatters, below which they say nothing."""


class Selection(NamedTuple):
    """What the evidence says of each law.

    Attributes:
        allowed: passes the back-test, or all fail: laws × series.
        chosen: index of the law chosen, of each series.
        by_aicc: whether AICc had to decide, of each series.
        budgets: what each case may lose before it is refuted, in squared scatters: the squared
            quantile for the law chosen, -inf for laws that are out: cases of all laws × series.
        score: misfit plus price of each law: laws × series.
        aicc: of each law: laws × series.
    """

    allowed: npt.NDArray[np.bool_]
    chosen: npt.NDArray[np.int64]
    by_aicc: npt.NDArray[np.bool_]
    budgets: Floats
    score: Floats
    aicc: Floats


def select(
    fitted: Sequence[FittedLaw],
    points: Points,
    scatter: Scatter,
    tests: Sequence[BackTest] | None,
) -> Selection:
    """Weigh the laws.

    Args:
        fitted: laws on all points.
        points: what they were fitted to.
        scatter: around the best of them.
        tests: back-test of each, None where there are too few resolutions for one.
    """
    allowed = _allowed(fitted, points, tests)
    by_case = scores(fitted, scatter)
    score = best_scores(fitted, by_case)
    aicc = np.array([corrected_aic(one, points) for one in fitted])
    # rounded, lest laws that are the same on these points are told apart by the last digit
    among = np.round(np.where(allowed, score, np.inf), 6)
    best = np.min(among, axis=0)
    tied = among <= best + TIE
    by_score = np.argmin(among, axis=0)
    # AICc is infinite for all where there are too few points for it
    of_tied = np.round(np.where(tied, aicc, np.inf), 6)
    by_aicc = np.argmin(of_tied, axis=0)
    known = np.isfinite(np.min(of_tied, axis=0))
    chosen = np.where(known, by_aicc, by_score)
    # measured from the law chosen, so that it has its whole interval where AICc preferred it
    reference = np.take_along_axis(score, chosen[np.newaxis], axis=0)[0]
    budgets = [
        np.where(allow, scatter.quantile**2 + reference - cases, -np.inf)
        for allow, cases in zip(allowed, by_case, strict=True)
    ]
    return Selection(
        allowed, chosen, (np.sum(tied, axis=0) > 1) & known, np.vstack(budgets), score, aicc
    )


def _allowed(
    fitted: Sequence[FittedLaw], points: Points, tests: Sequence[BackTest] | None
) -> npt.NDArray[np.bool_]:
    if tests is None:
        return np.ones((len(fitted), points.series), np.bool_)
    passed = np.array([test.passed for test in tests])
    return np.asarray(passed | ~np.any(passed, axis=0), np.bool_)
