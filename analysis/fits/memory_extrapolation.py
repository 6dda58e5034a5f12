"""`memory_extrapolation.csv`: what the paper assumed of memory, examined.

The paper counts memory at small resolutions and extrapolates it with a parabola in the side. Here
the parabola goes through exact counts at its resolutions, and is compared with exact counts beyond.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from adscale.command_line import side
from adscale.names import PAPER_SIDES_PX
from adscale.tables import (
    Argument,
    Output,
    Table,
    TableJob,
    integer,
    join,
    pick,
    real,
    table_argument,
    text,
)

from ..columns import INCOMPLETE, METHOD
from ..memory_table import COUNTED, MEMORY

if TYPE_CHECKING:
    import pandas as pd

    from .quadratic import QuadraticFit

MEMORY_EXTRAPOLATION = Table(
    name="memory_extrapolation",
    row="the paper's extrapolation of memory, judged by an exact count",
    columns=join(
        text("quantity", means="`activations` (the paper's convention) or `peak` (alive at once)"),
        METHOD,
        pick(COUNTED, "device_type"),
        text("submodule", means="`method` is the whole method: the sum of the activations, the "
             "largest of the peaks"),
        text("model", means="the paper's: bytes = b0 + b1·s + b2·s² with the side s in px, least "
             "squares"),
        real("b0", "b1", "b2", means="its coefficients; null where fewer than three of the "
             "paper's sides are counted"),
        integer("fitted_from_px", "fitted_to_px", means="the sides it goes through: from, to"),
        integer("resolutions", means="how many these are"),
        text("fitted_at_px", means="which"),
        real("r_squared", means="share of the variance that the parabola explains; null where "
             "nothing varies"),
        real("max_relative_residual", means="largest |counted − fitted| / counted at these "
             "sides; null where a count is 0"),
        integer("at_px", means="the side it is judged at: 2048 px or `extrapolate_to_px`, or the "
                "next that is counted"),
        real("predicted_bytes", means="by the parabola"),
        integer("counted_bytes", means="exactly"),
        real("relative_error", means="predicted / counted − 1; negative: too little"),
        real("counted_growth_power", means="p of a growth with s^p between the two sides judged "
             "at, from the counts: 2 for what is quadratic"),
        text("verdict", means="the same in words. Quadratic: an error below 1 %. R² of at least "
             "0.99 beside a larger error \"raised no alarm\""),
        INCOMPLETE,
    ),
    category="Scaling",
    contents="the paper's parabola against counts",
    caption="""The paper's parabola through counts of small images, against the counts of larger
ones.

Counted and extrapolated, not measured; no clock.""",
)  # fmt: skip

STEP_PX = 128
"""Between the paper's sides; a method that does not run at one is counted before the next."""

JUDGED_FROM_PX = 2048
"""The first side at which the parabola is compared with the count."""

QUANTITIES = {"activations": ("activations_bytes", "sum"), "peak": ("peak_bytes", "max")}
"""Column of `memory.csv`, and how it is taken together for the whole method."""


class _Series(NamedTuple):
    """Counted bytes by the side in px, and the names of what they are of."""

    names: Mapping[str, Any]
    counted: Mapping[int, int]


def memory_extrapolation_table(memory: pd.DataFrame, extrapolate_to: int) -> pd.DataFrame:
    """Judge the paper's extrapolation of every submodule's memory.

    Args:
        memory: `memory.csv`.
        extrapolate_to: side length in px of the extrapolation; the count is taken at the next
            that the method supports.

    Returns:
        Rows of `MEMORY_EXTRAPOLATION`.
    """
    from ..tables import make_table

    rows = chain.from_iterable(_rows(series, extrapolate_to) for series in _all_series(memory))
    return make_table(list(rows), MEMORY_EXTRAPOLATION.schema)


def paper_sides(counted_px: Mapping[int, Any]) -> list[int]:
    """The sides that stand for the paper's: each counted one that is next to one of them."""
    found = (
        min((side for side in counted_px if paper_px <= side < paper_px + STEP_PX), default=None)
        for paper_px in PAPER_SIDES_PX
    )
    return [side for side in found if side is not None]


def _all_series(memory: pd.DataFrame) -> Iterator[_Series]:
    from .series import WHOLE_METHOD

    for quantity, (column, together) in QUANTITIES.items():
        for (method, variant), every in memory.groupby(["method", "variant"], sort=False):
            rows = whole_counts(every)
            whole = rows.groupby("resolution_px", as_index=False)[column].agg(together)
            parts = [*rows.groupby("submodule", sort=False), (WHOLE_METHOD, whole)]
            incomplete = rows["incomplete"].dropna()
            for submodule, part in parts:
                names = {
                    "quantity": quantity,
                    "method": method,
                    "variant": variant,
                    "device_type": rows["device_type"].iloc[0],
                    "submodule": submodule,
                    "incomplete": incomplete.iloc[-1] if len(incomplete) else None,
                }
                sides, sizes = part["resolution_px"].tolist(), part[column].tolist()
                yield _Series(names, dict(zip(sides, sizes, strict=True)))


def whole_counts(rows: pd.DataFrame) -> pd.DataFrame:
    """Without the sizes at which a network ended early, where it did not at others.

    Args:
        rows: of ``memory.csv``, of one method and variant.
    """
    is_whole = rows["incomplete"].isna()
    return rows[is_whole] if is_whole.any() else rows


def _rows(series: _Series, extrapolate_to_px: int) -> Iterator[dict[str, Any]]:
    from .quadratic import COEFFICIENTS, MODEL, fit_quadratic

    counted = series.counted
    sides = paper_sides(counted)
    judged = _judged_sides(counted, max(sides, default=0), extrapolate_to_px)
    power = _growth_power(counted, [*sides[-1:], *judged])
    fit = None
    if len(sides) >= COEFFICIENTS:
        fit = fit_quadratic(sides, [counted[side] for side in sides])
    b0, b1, b2 = fit.coefficients if fit else (None, None, None)
    for at_px in judged:
        yield {
            **series.names,
            "model": MODEL,
            "b0": b0,
            "b1": b1,
            "b2": b2,
            "fitted_from_px": min(sides, default=None),
            "fitted_to_px": max(sides, default=None),
            "resolutions": len(sides),
            "fitted_at_px": " ".join(map(str, sides)),
            "r_squared": fit.r_squared if fit else None,
            "max_relative_residual": fit.max_relative_residual if fit else None,
            "at_px": at_px,
            **_judgement(fit, at_px, counted.get(at_px), power, len(sides)),
            "counted_growth_power": power,
        }


def _judged_sides(counted: Mapping[int, int], fitted_to_px: int, last_px: int) -> list[int]:
    """The sides from the two asked for on; where nothing was counted, the ones asked for."""
    sides = {
        min((side for side in counted if side >= asked), default=asked)
        for asked in (JUDGED_FROM_PX, last_px)
    }
    return sorted(side for side in sides if side > fitted_to_px)


def _growth_power(counted: Mapping[int, int], sides: list[int]) -> float | None:
    """Between the last two of the sides."""
    if len(sides) < 2:
        return None
    (low_px, low), (high_px, high) = ((side, counted.get(side)) for side in sides[-2:])
    if not low or not high:
        return None
    return math.log(high / low) / math.log(high_px / low_px)


def _judgement(
    fit: QuadraticFit | None, at_px: int, counted: int | None, power: float | None, known: int
) -> dict[str, Any]:
    from .quadratic import COEFFICIENTS, verdict

    predicted = float(fit.predict(at_px)) if fit else None
    error = predicted / counted - 1 if predicted is not None and counted else None
    if fit is None:
        plural = "" if known == 1 else "s"
        words = f"not fitted: {known} resolution{plural}, the parabola needs {COEFFICIENTS}"
    elif counted is None:
        words = f"not counted at {at_px} px"
    else:
        words = verdict(fit, at_px, counted, power)
    return {
        "predicted_bytes": predicted,
        "counted_bytes": counted,
        "relative_error": error,
        "verdict": words,
    }


EXTRAPOLATION = TableJob(
    command="extrapolation",
    rule="extrapolation_table",
    help="judge the paper's extrapolation of memory by exact counts",
    description="Fit the paper's parabola to counts from 256 to 1024 px and compare it with counts "
    "beyond.",
    arguments=(
        table_argument(MEMORY),
        Argument(
            "--extrapolate-to",
            {
                "type": side,
                "required": True,
                "metavar": "PX",
                "help": "side length of the extrapolation; judged at the next that is counted",
            },
            "setting",
        ),
    ),
    outputs=(Output(MEMORY_EXTRAPOLATION, memory_extrapolation_table),),
)
