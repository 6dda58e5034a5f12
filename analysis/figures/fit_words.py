"""What captions say of fits: what bands are, what is refused and why, what is wrong."""

from __future__ import annotations

import pandas as pd


def band_words(fits: pd.DataFrame) -> str:
    """A sentence on what the bands are, or nothing where there are none.

    Args:
        fits: the rows of ``fits.csv`` that are drawn.
    """
    if not (fits["interval_refused"].fillna("") == "").any():
        return ""
    return (
        " Bands: where one more measurement lies with 95 %, by all laws that the points do not "
        "refute."
    )


def refused_words(fits: pd.DataFrame) -> str:
    """Sentences on predictions and bands that are refused, with the reason, or nothing."""
    has_law = fits["interval_refused"].fillna("") == ""
    to_px = fits["extrapolate_to_px"].max()
    without = ((fits[~has_law], "interval_refused", "No law chosen and no band"),
               (fits[has_law], "refused", f"No prediction at {to_px:,} px"))  # fmt: skip
    said = ""
    for rows, column, what in without:
        given = rows[rows[column].fillna("") != ""]
        for reason, group in given.groupby(column, sort=False):
            said += f" {what}: {', '.join(group['method'])} ({reason})."
    return said


def study_words(fits: pd.DataFrame) -> str:
    """A sentence on parabolas that end at or below zero, which no time can, or nothing."""
    wrong = fits[fits["study_predicted"].fillna(1) <= 0]
    if wrong.empty:
        return ""
    listed = ", ".join(wrong["method"])
    return f" The study's model falls to zero or below, and so predicts nothing: {listed}."
