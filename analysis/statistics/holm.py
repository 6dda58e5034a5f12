"""Many tests at once: p-values that bound the chance of even one false finding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def holm_adjusted(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values of Holm's step-down procedure.

    Taking all at most α as found, the chance of one or more false findings is at most α, however
    the tests depend on each other (Holm, "A simple sequentially rejective multiple test procedure",
    Scandinavian Journal of Statistics 6, 1979).

    Args:
        p_values: of all tests of the family, in any order.

    Returns:
        One for each, in that order: the largest of (m − k + 1)·p over the k smallest, at most 1.
    """
    given = np.asarray(p_values, np.float64)
    order = np.argsort(given, kind="stable")
    stepped = np.maximum.accumulate(given[order] * np.arange(len(given), 0, -1))
    adjusted = np.empty_like(given)
    adjusted[order] = np.minimum(stepped, 1.0)
    return [float(p_value) for p_value in adjusted]
