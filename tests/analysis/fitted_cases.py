"""The cases of a batch of fits one by one, without the zeros behind their coefficients."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from analysis.fits.estimation import Fits
from analysis.fits.models import Case, Cases, Floats, Law, sizes_of

SIDES_PX = np.arange(256.0, 1025.0, 128.0)
"""Of the points to which the cases are fitted."""


class Fit(NamedTuple):
    """One case; arrays begin with the series."""

    case: Case
    coefficients: Floats
    covariance: Floats
    misfit: Floats
    admissible: npt.NDArray[np.bool_]


def each(fits: Fits) -> list[Fit]:
    """All cases."""
    found = []
    for case, coefficients, covariance, misfit, admissible in zip(
        fits.cases.every, *fits[1:], strict=True
    ):
        count = len(case.columns)
        assert not coefficients[:, count:].any()
        assert not covariance[:, count:].any()
        own = (coefficients[:, :count], covariance[:, :count, :count])
        found.append(Fit(case, *own, misfit, admissible))
    return found


def best(law: Law, fits: Fits) -> Fit:
    """The admissible case of a law with the least misfit, of the first series."""
    able = [fit for fit in each(fits) if fit.case.law is law and fit.admissible[0]]
    return min(able, key=lambda fit: float(fit.misfit[0]))


def only(case: Case, measured_px: Floats = SIDES_PX) -> Cases:
    """A batch of one case."""
    return Cases((case,), sizes_of(measured_px))


def curve(case: Case, coefficients: Floats, side_px: Floats) -> Floats:
    """Series × sides."""
    return only(case).curves(coefficients[np.newaxis], side_px)[0]
