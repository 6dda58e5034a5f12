"""Does the level of a series wander more slowly than its interval allows for?

The interval of a mean (`adscale.mean_error`) rests on a correlation that dies out soon. Where the
level wanders over as long as the run took, as with clocks that stay for a while, or with 1/f noise,
a longer run would have another mean, and the interval is too narrow however many images there are.

The test weighs two kinds of spectra against each other (Whittle's likelihood, Arkiv för Matematik
2, 1953, on the cosines of the series, whose squares are nearly independent and have the spectrum as
their mean). The steady ones are first-order autoregressions up to a correlation that the length of
the series can bear. The wandering ones rise towards frequency zero, as a power of the frequency or
as a slow autoregression, alone or below white noise. The scale of each is fitted. The statistic is
the log of the mean likelihood of the wandering ones over the largest of the steady ones. All is
asked of the normal scores of the ranks, so that no outlier hides a wandering or makes one.

The limits are quantiles of the statistic, simulated for autoregressions at 0 to 0.3: in 2 or 3 of
100 series it is larger. For one of k series they are raised by ln k, since a likelihood ratio
exceeds k times its value with at most 1/k of the probability.

What wanders may still be forgotten within the run: an autoregression at 0.9 over 1000 images. Then
a wider interval of mean and median holds. That is claimed if no power of the frequency describes
the series nearly as well as an autoregression does, and the run is twenty times as long as the
longest memory, (1 + ρ)/(1 − ρ) images, of those that may describe it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from .mean_error import Floats, MeanError, cosine_count, cosine_projections, mean_error

FEWEST_IMAGES = 30
"""Images below which no wandering could be told from chance."""

LEAST_CHANGE = 0.005
"""Smallest change, as a share of the mean, that is called by name: half of the 1 % aimed at.

With 1000 quiet images a change of a tenth of a per cent is beyond doubt, and of no interest.
"""

SLOW_COSINES = 4
"""Cosines for the wider interval: the slowest ones, which have nearly all of a wandering."""

_SIZES = (30, 50, 100, 200, 300, 500, 1000, 2000, 4000)
_LIMITS = (1.0, 0.95, 0.5, -0.4, -1.0, -2.2, -5.1, -9.4, -13.6)
"""97.5 % quantiles of the statistic, by size: the largest for autocorrelations of 0 to 0.3."""

_BEARABLE_SIZES = (100, 300, 1000)
_BEARABLE = (0.3, 0.5, 0.6)
"""Largest autocorrelation of a steady series, by size."""

_STEP = 0.05
"""Between the autocorrelations of steady series, at most: 1000 images tell 0.1 from 0.2."""

_POWERS = (1.0, 1.5, 2.0)
_SLOW_AUTOREGRESSIONS = (0.9, 0.97)
_SLOW_SHARES = (1.0, 0.7, 0.4, 0.2)
"""Of the variance; the rest is white noise."""

_FORGETTING = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.97, 0.99)
_NEVER_FORGETTING = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0)
_FINE_SHARES = (1.0, 0.85, 0.7, 0.5, 0.3, 0.15)

CLEARLY = 3.0
"""Log of the likelihood ratio from which an autoregression is preferred to a power."""

NEARLY = 1.92
"""Log of the likelihood ratio within which an autoregression is possible: 95 % of χ² with one
degree of freedom, halved."""

MEMORIES = 20.0
"""How often the memory of the series has to fit into the run."""


class Wandering(NamedTuple):
    """Answer of the test.

    Attributes:
        statistic: log of the likelihood ratio.
        limit: what it has to exceed.
        height_share: about how far the level is from top to bottom, as a share of the mean.
        forgotten: whether the run is long enough to forget it; only asked where it is found.
    """

    statistic: float
    limit: float
    height_share: float
    forgotten: bool

    @property
    def found(self) -> bool:
        """Whether it is beyond chance, however small."""
        return self.statistic > self.limit

    @property
    def matters(self) -> bool:
        """Whether it is beyond chance, and large enough to matter."""
        return self.found and self.height_share >= LEAST_CHANGE

    @property
    def refused(self) -> bool:
        """Whether no interval would hold."""
        return self.matters and not self.forgotten


def find_wandering(values: Floats, series_count: int = 1) -> Wandering:
    """Ask whether a level wanders.

    Args:
        values: times in the order of measurement. Fewer than `FEWEST_IMAGES` never do.
        series_count: how many series are looked at for one verdict, such as the processes of a
            run; each then has to be that much clearer.
    """
    xp, size = values.__array_namespace__(), values.shape[0]
    limit = _between(size, _SIZES, _LIMITS) + math.log(series_count)
    if size < FEWEST_IMAGES:
        return Wandering(-math.inf, limit, 0.0, False)
    squares = cosine_projections(_normal_scores(values), size - 1) ** 2
    if not bool(xp.any(squares > 0)):
        return Wandering(-math.inf, limit, 0.0, False)
    steady, wandering = _spectra(xp, size)
    logs = wandering.log_likelihoods(squares)
    most = float(xp.max(logs))
    mean_log = most + math.log(float(xp.mean(xp.exp(logs - most))))
    statistic = mean_log - float(xp.max(steady.log_likelihoods(squares)))
    forgotten = statistic > limit and _is_forgotten(squares)
    return Wandering(statistic, limit, _height_share(values), forgotten)


def interval_cosines(size: int, found: Wandering) -> Sequence[int]:
    """Numbers of cosines of which the one with the widest interval holds; none: no interval would.

    Args:
        size: images of the series.
        found: answer of the test.
    """
    if found.refused:
        return ()
    usual = cosine_count(size)
    return (usual, SLOW_COSINES) if found.found else (usual,)


def series_error(values: Floats, found: Wandering) -> MeanError | None:
    """Error of the mean of a series; None where its level wanders and no interval would hold.

    Args:
        values: times in the order of measurement, at least two.
        found: what `find_wandering` says of them.
    """
    errors = [mean_error(values, count) for count in interval_cosines(len(values), found)]
    return max(errors, key=lambda error: float(error.half_width), default=None)


class _Spectra(NamedTuple):
    """Spectra of unit variance at the cosines of a series, one per row."""

    inverse: Floats
    half_logs: Floats

    def log_likelihoods(self, squares: Floats) -> Floats:
        """Whittle's log-likelihood of each, with its scale fitted."""
        xp, count = squares.__array_namespace__(), squares.shape[0]
        found: Floats = -count / 2 * xp.log(self.inverse @ squares / count) - self.half_logs
        return found


def _is_forgotten(squares: Floats) -> bool:
    """Whether an autoregression describes the series, and the run is long compared with it."""
    xp, count = squares.__array_namespace__(), squares.shape[0]
    forgetting, never = _rival_spectra(xp, count + 1)
    logs = forgetting.log_likelihoods(squares)
    if float(xp.max(logs) - xp.max(never.log_likelihoods(squares))) < CLEARLY:
        return False
    by_rho = xp.max(xp.reshape(logs, (len(_FORGETTING), len(_FINE_SHARES))), axis=1)
    possible = by_rho >= xp.max(logs) - NEARLY
    rho = max(rho for rho, may in zip(_FORGETTING, possible, strict=True) if may)
    return bool(count + 1 >= MEMORIES * (1 + rho) / (1 - rho))


@lru_cache(maxsize=4)
def _spectra(xp: Any, size: int) -> tuple[_Spectra, _Spectra]:
    """Of steady and of wandering series."""
    largest = _between(size, _BEARABLE_SIZES, _BEARABLE)
    waves = _waves(xp, size)
    parts = math.ceil(largest / _STEP)
    steady = [_autoregression(xp, waves, largest * part / parts) for part in range(parts + 1)]
    slow = [waves**-power for power in _POWERS]
    slow += [_autoregression(xp, waves, rho) for rho in _SLOW_AUTOREGRESSIONS]
    return _of(xp, steady), _of(xp, _with_white(xp, slow, _SLOW_SHARES))


@lru_cache(maxsize=1)
def _rival_spectra(xp: Any, size: int) -> tuple[_Spectra, _Spectra]:
    """Of series that are forgotten, and of those that never are."""
    waves = _waves(xp, size)
    forgetting = [_autoregression(xp, waves, rho) for rho in _FORGETTING]
    # a power of the continuous frequency, and of that of differences, as a random walk has it
    never = [base**-power for base in (waves, 2 * xp.sin(waves / 2)) for power in _NEVER_FORGETTING]
    return tuple(_of(xp, _with_white(xp, some, _FINE_SHARES)) for some in (forgetting, never))  # type: ignore[return-value]


def _waves(xp: Any, size: int) -> Floats:
    waves: Floats = math.pi * xp.arange(1, size) / size
    return waves


def _autoregression(xp: Any, waves: Floats, rho: float) -> Floats:
    spectrum: Floats = 1 / (1 + rho**2 - 2 * rho * xp.cos(waves))
    return spectrum


def _with_white(xp: Any, spectra: Sequence[Floats], shares: Sequence[float]) -> list[Floats]:
    return [share * one / xp.mean(one) + (1 - share) for one in spectra for share in shares]


def _of(xp: Any, spectra: Sequence[Floats]) -> _Spectra:
    rows = xp.stack(spectra)
    return _Spectra(1 / rows, xp.sum(xp.log(rows), axis=-1) / 2)


def _normal_scores(values: Floats) -> Floats:
    """Normal quantiles of the ranks; equal values share theirs, and so the mean is nil."""
    from scipy.special import ndtri

    xp, size = values.__array_namespace__(), values.shape[0]
    ordered = xp.sort(values)
    places = [xp.searchsorted(ordered, values, side=side) for side in ("left", "right")]
    scores = ndtri((places[0] + places[1]) / (2 * size))
    centered: Floats = scores - xp.mean(scores)
    return centered


def _height_share(values: Floats) -> float:
    """Height of the slow part as if that were one wave, as a share of the mean."""
    xp, size = values.__array_namespace__(), values.shape[0]
    mean = float(xp.mean(values))
    count = max(2, min(2 * cosine_count(size), size // 5) // 4)
    slow = cosine_projections(values - mean, count)
    height = 2 * math.sqrt(2 * float(xp.sum(slow**2)) / size)
    return height / abs(mean) if mean else 0.0


def _between(size: int, sizes: Sequence[int], values: Sequence[float]) -> float:
    """Interpolate over the logarithm of the size; beyond the ends the value there."""
    if size >= sizes[-1]:
        return values[-1]
    above = next(index for index, one in enumerate(sizes) if size < one)
    if above == 0:
        return values[0]
    low, high = sizes[above - 1], sizes[above]
    part = math.log(size / low) / math.log(high / low)
    return values[above - 1] + part * (values[above] - values[above - 1])
