"""What many ratios say: their median, and how far it can be trusted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

RESAMPLINGS = 4000
CONFIDENCE = 0.95


def median_interval(
    pairs: Sequence[npt.NDArray[np.float64]], *, seed: int = 0
) -> tuple[float, float, float]:
    """Median of all ratios, with its 95 % interval.

    Hierarchical bootstrap (Kalibera and Jones, "Rigorous benchmarking in reasonable time", 2013):
    processes are drawn with replacement, then repetitions within each, because repetitions within
    one process are no independent evidence of what the next process will do.

    Args:
        pairs: for each pair of processes, the ratios of its repetitions.
        seed: of the resampling.

    Raises:
        ValueError: fewer than five pairs say too little of how processes differ.
    """
    if len(pairs) < 5:
        raise ValueError(f"{len(pairs)} pairs are too few for an interval; take at least 5")
    generator = np.random.default_rng(seed)
    medians = np.empty(RESAMPLINGS)
    for number in range(RESAMPLINGS):
        drawn = generator.integers(len(pairs), size=len(pairs))
        values = [generator.choice(pairs[index], len(pairs[index])) for index in drawn]
        medians[number] = np.median(np.concatenate(values))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(medians, [tail, 1 - tail])
    return float(np.median(np.concatenate(pairs))), float(low), float(high)
