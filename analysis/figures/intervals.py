"""Confidence intervals of means as whiskers."""

from __future__ import annotations

import numpy as np
import pandas as pd


def half_widths(rows: pd.DataFrame) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """From the mean down and up to the ends of its interval, 2 × rows; nan where there is none.

    Args:
        rows: of ``runtime.csv``.
    """
    return np.array(
        [
            (rows["mean_ms"] - rows["ci95_low_ms"]).to_numpy("float64", na_value=np.nan),
            (rows["ci95_high_ms"] - rows["mean_ms"]).to_numpy("float64", na_value=np.nan),
        ]
    )
