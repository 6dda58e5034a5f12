"""Does a series of times have one level, or does it drift?

Three questions: is the last third slower than the first, is there a trend, is there a step
somewhere? A level that wanders up and down is found by `adscale.wandering`.

All are contrasts: weights over the images that add up to nothing. The weighted sum,
over its standard error under autocorrelation, is compared with Student's t. The error comes from
the cosines of `adscale.mean_error`, with the contrast's own part taken out of the
series, so that a drift does not hide itself by making the noise look large; and from twice as many
of them, because the drift has been taken out and there is less of a bias to fear.

All is asked of the ranks of the times and not of the times: an image that took ten times as long
neither hides a drift nor makes one (Wilcoxon's idea; scipy's ranks, ties share theirs). How large
the drift is, is said in times.

False alarms, by simulation (`make bench ARGS=statistics`): in about 2 of 100 steady series, be they
independent, autocorrelated at 0.3, or skewed; up to 3 of 100 at an autocorrelation of 0.6.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from adscale.mean_error import (
    Floats,
    autocorrelation,
    cosine_count,
    cosine_projections,
    spectrum_fall,
)
from adscale.wandering import LEAST_CHANGE

DriftKind = Literal["thirds", "trend", "step"]

FEWEST_IMAGES = 30
"""Images below which no drift worth the name could be told from noise."""

SIGNIFICANCE: dict[DriftKind, float] = {
    "thirds": 0.005,
    "trend": 0.005,
    "step": 0.001,
}
"""Largest p-value that counts, for a step at each of its possible places.

Chosen by simulation so that all of them together raise a false alarm in 2 of 100 series.
"""

STEP_PLACES = np.linspace(0.05, 0.95, 19)
"""Where a step is looked for, as shares of the series."""


class DriftTest(NamedTuple):
    """Answer to one of the questions.

    Attributes:
        kind: which question.
        change_share: later minus earlier time as a share of the mean; for a trend, its rise over
            the whole series.
        p_value: probability of as clear a contrast in a steady series; for a step, at that place.
        limit: p-values up to this one count.
        after_images: for a step, how many images lie before it.
    """

    kind: DriftKind
    change_share: float
    p_value: float
    limit: float
    after_images: int | None = None

    @property
    def found(self) -> bool:
        """Whether this is a drift: beyond chance, and large enough to matter."""
        return self.p_value <= self.limit and abs(self.change_share) >= LEAST_CHANGE


def drift_tests(values: Floats, series_count: int = 1) -> list[DriftTest]:
    """Ask the three questions.

    Args:
        values: times in the order of measurement, at least `FEWEST_IMAGES`.
        series_count: how many series are looked at for one verdict, such as the processes of a
            run; each then has to be that much clearer (Bonferroni).

    Returns:
        First against last third, trend, and the clearest step.

    Raises:
        ValueError: the series is too short.
    """
    if len(values) < FEWEST_IMAGES:
        raise ValueError(f"a drift needs at least {FEWEST_IMAGES} images")
    probabilities = _contrast_p_values(values)
    size, mean = len(values), float(values.mean())
    positions = _step_positions(size)
    step = int(np.argmin(probabilities[2:]))
    after = int(positions[step])
    slope = np.polyfit(np.arange(size), values, 1)[0]
    changes: list[tuple[DriftKind, float, float, int | None]] = [
        ("thirds", _difference(values, size // 3, size - size // 3), probabilities[0], None),
        ("trend", float(slope) * size, probabilities[1], None),
        ("step", _difference(values, after, after), probabilities[2 + step], after),
    ]
    return [
        DriftTest(
            kind, change / mean if mean else 0.0, float(p), SIGNIFICANCE[kind] / series_count, place
        )
        for kind, change, p, place in changes
    ]


def _difference(values: Floats, until: int, since: int) -> float:
    return float(values[since:].mean() - values[:until].mean())


def _centered_ranks(values: Floats) -> Floats:
    from scipy.stats import rankdata

    return np.asarray(rankdata(values) - (len(values) + 1) / 2, np.float64)


def _cosines(size: int) -> int:
    return min(2 * cosine_count(size), size // 5)


def _contrast_p_values(values: Floats) -> Floats:
    """Two-sided p-values of all contrasts: thirds, trend, and a step at each place."""
    from scipy.special import stdtr

    size = len(values)
    contrasts, waves = _contrasts(size)
    count = waves.shape[1]
    ranks = _centered_ranks(values)
    sums = contrasts @ ranks
    rest = ranks - sums[:, np.newaxis] * contrasts
    rho = autocorrelation(rest, fitted=2)
    squares = (cosine_projections(ranks, count) - sums[:, np.newaxis] * waves) ** 2
    left = count - np.sum(waves**2, axis=1)  # expected sum of squares of noise of variance 1
    variance = np.sum(squares * spectrum_fall(rho, count, size), axis=1) / left
    exceeding = np.full(len(sums), np.where(sums != 0, np.inf, 0.0))
    np.divide(np.abs(sums), np.sqrt(variance), out=exceeding, where=variance > 0)
    return np.asarray(2 * stdtr(count - 1, -exceeding), np.float64)


@lru_cache(maxsize=16)
def _contrasts(size: int) -> tuple[Floats, Floats]:
    """Contrasts of unit length, one per row, and their projections onto the cosines."""
    place = np.arange(size)
    rows = [_block(size, size // 3, size - size // 3), place - place.mean()]
    rows += [_block(size, after, after) for after in _step_positions(size)]
    contrasts = np.array(rows, np.float64)
    contrasts -= contrasts.mean(axis=1, keepdims=True)
    contrasts /= np.linalg.norm(contrasts, axis=1, keepdims=True)
    return contrasts, cosine_projections(contrasts, _cosines(size))


def _block(size: int, until: int, since: int) -> Floats:
    """Mean of the images from `since` on minus that of the images before `until`."""
    place = np.arange(size)
    return np.where(place >= since, 1 / (size - since), 0) - np.where(place < until, 1 / until, 0)


def _step_positions(size: int) -> npt.NDArray[np.int64]:
    return np.unique(np.round(STEP_PLACES * size).astype(np.int64))
