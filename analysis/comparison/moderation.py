"""How much processes differ, told from all rows of a study: three values alone say little.

The variance of a few processes is known so badly that a difference must be many standard errors
large to be found among many comparisons. Other rows of the same study tell how large such
variances are. The variance of each row is therefore pulled towards a typical one, the more the
more alike the variances of the rows are (Smyth, "Linear models and empirical Bayes methods for
assessing differential expression", Statistical Applications in Genetics and Molecular Biology 3,
2004, moderated t): true variances are taken as scaled inverse χ² with d₀ degrees of freedom, and
a row with d of its own then has (d₀·s₀² + d·s²) / (d₀ + d) with d₀ + d.

Three things are more cautious than there, because a false difference costs more than a missed one:

* d₀ is that of a spread one standard error larger than the one found. Rows whose variances differ
  by factors are pulled little, and no small study claims that they are alike.
* Rows of one process share its memory layout and clocks, and scatter together. Rows that scatter
  together count as one: with ρ² the mean squared correlation between rows, beyond what chance
  gives, n rows say as much as n / (1 + (n − 1)·ρ²) (the design effect of clustered samples: Kish,
  "Survey Sampling", 1965, section 5.4). Below `FEWEST_ROWS` of these nothing is pulled.
* s₀² is the bias-corrected geometric mean of the variances, whatever d₀.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import polygamma

from adscale.mean_error import Floats

from ..statistics.ratio import Mean

FEWEST_PROCESSES = 3
"""With two, every row scatters along the same line, and none can be told to do so by itself."""

FEWEST_ROWS = 3.0
"""Independent rows from which on their variances are pulled together."""

LEAST_OF_MEDIAN = 1e-5
"""Share of the median variance that none is taken to be below: its logarithm is taken."""


def moderated(own: Sequence[Mean | None], samples: Sequence[Sequence[float]]) -> list[Mean | None]:
    """The values of all rows of a side, with standard errors that the other rows have a say in.

    Args:
        own: values of the rows by themselves.
        samples: of each row a value per process, always in the same order of the processes.

    Returns:
        As `own`, which stays as it is where rows are too few or have too few processes. Rows are
        pulled towards those with as many processes.
    """
    found = list(own)
    sizes = {len(sample) for sample in samples if len(sample) >= FEWEST_PROCESSES}
    for size in sizes:
        places = [
            place
            for place, sample in enumerate(samples)
            if len(sample) == size and own[place] is not None
        ]
        values = np.array([samples[place] for place in places], np.float64)
        pulled = _pulled(values / values.mean(axis=1, keepdims=True))
        if pulled is None:
            continue
        variances, degrees = pulled
        for place, variance in zip(places, variances, strict=True):
            one = own[place]
            assert one is not None
            error = one.value * math.sqrt(variance / size)
            found[place] = Mean(one.value, error, degrees)
    return found


def _pulled(shares: Floats) -> tuple[Floats, float] | None:
    """Variances of rows × processes, and their degrees of freedom; None where nothing is pulled."""
    own = shares.shape[1] - 1
    variances = shares.var(axis=1, ddof=1)
    typical = float(np.median(variances))
    rows = independent_rows(shares)
    if typical <= 0 or rows < FEWEST_ROWS:
        return None
    logs = np.log(np.maximum(variances, LEAST_OF_MEDIAN * typical))
    mean, spread = _log_moments(own)
    excess = float(logs.var()) * rows / (rows - 1) - spread
    # of the sample variance: from the fourth cumulant of log χ²
    error = math.sqrt((float(polygamma(3, own / 2)) + 2 * spread**2) / rows)
    prior = min(2 * _inverse_trigamma(max(excess, 0.0) + error), own * (rows - 1))
    pulled_to = math.exp(float(logs.mean()) - mean)
    return (prior * pulled_to + own * variances) / (prior + own), prior + own


def independent_rows(shares: Floats) -> float:
    """How many independent rows say as much about their variances; see the module.

    Args:
        shares: a row each, a process per column.
    """
    deviations = shares - shares.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(deviations, axis=1, keepdims=True)
    directions = deviations[lengths[:, 0] > 0] / lengths[lengths[:, 0] > 0]
    count, own = len(directions), shares.shape[1] - 1
    if count < 2:
        return float(count)
    squares = float(np.sum((directions.T @ directions) ** 2))  # Σ of the squared cosines of pairs
    alike = (squares - count) / (count * (count - 1))
    together = max((alike - 1 / own) / (1 - 1 / own), 0.0)
    return float(count / (1 + (count - 1) * together))


def _log_moments(degrees: int) -> tuple[float, float]:
    """Mean and variance of the logarithm of a sample variance, where the true one is 1."""
    half = degrees / 2
    return float(polygamma(0, half)) - math.log(half), float(polygamma(1, half))


def _inverse_trigamma(value: float) -> float:
    """Where the trigamma function has a positive value, by Newton's method (Smyth 2004)."""
    found = 0.5 + 1 / value
    for _ in range(50):
        trigamma = float(polygamma(1, found))
        step = trigamma * (1 - trigamma / value) / float(polygamma(2, found))
        found += step
        if abs(step) < 1e-9 * found:
            break
    return found
