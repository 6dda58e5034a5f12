"""`memory_extrapolation.csv`: what the paper assumed of memory, examined.

The paper counts memory at small resolutions and extrapolates it with a parabola in the side. Here
the parabola goes through exact counts at its resolutions, and is compared with exact counts beyond.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from itertools import product
from typing import TYPE_CHECKING, Any

from adscale.names import PAPER_SIDES_PX
from adscale.tables import Output, Table, TableJob, integer, join, pick, real, table_argument, text

from .columns import INCOMPLETE, METHOD
from .fit_tables import extrapolate_to
from .memory_table import COUNTED, MEMORY, counted_parts

if TYPE_CHECKING:
    import pandas as pd

    from .fits.quadratic import QuadraticFit

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

SMALL_ERROR = 0.01
"""Relative error up to which the paper's model is called right."""

NO_ALARM_FROM = 0.99
"""R² that is commonly taken for a good fit."""

SAME_POWER = 0.1
"""How near to 2 a power counts as quadratic."""


def memory_extrapolation_table(memory: pd.DataFrame, extrapolate_to: int) -> pd.DataFrame:
    """Judge the paper's extrapolation of every submodule's memory.

    Args:
        memory: `memory.csv`.
        extrapolate_to: side length in px of the extrapolation; the count is taken at the next
            that the method supports.

    Returns:
        Rows of `MEMORY_EXTRAPOLATION`.
    """
    from .tables import make_table

    rows: list[dict[str, Any]] = []
    every = product(QUANTITIES.items(), memory.groupby(["method", "variant"], sort=False))
    for (quantity, column), ((method, variant), of_method) in every:
        counts = whole_counts(of_method)
        last = counts.iloc[-1]
        names = {"quantity": quantity, "method": method, "variant": variant}
        names |= {name: last[name] for name in ("device_type", "incomplete")}
        for submodule, counted in counted_parts(counts, *column):
            squares = {one.width_px: size for one, size in counted.items() if one.is_square}
            judged = _judged(squares, extrapolate_to)
            rows += [{**names, "submodule": submodule, **row} for row in judged]
    return make_table(rows, MEMORY_EXTRAPOLATION.schema)


def paper_sides(counted_px: Collection[int]) -> list[int]:
    """The sides that stand for the paper's: each counted one that is next to one of them."""
    nearest = {paper_px: _next(counted_px, paper_px) for paper_px in PAPER_SIDES_PX}
    return [side for paper_px, side in nearest.items() if side and side < paper_px + STEP_PX]


def _next(counted_px: Collection[int], at_px: int) -> int | None:
    """The smallest of the counted sides that is not below one."""
    return min((side for side in counted_px if side >= at_px), default=None)


def whole_counts(rows: pd.DataFrame) -> pd.DataFrame:
    """Without the sizes at which a network ended early, where it did not at others.

    Args:
        rows: of ``memory.csv``, of one method and variant.
    """
    is_whole = rows["incomplete"].isna()
    return rows[is_whole] if is_whole.any() else rows


def _judged(counted: Mapping[int, int], last_px: int) -> Iterator[dict[str, Any]]:
    """The parabola at the two sides asked for, or the next that are counted."""
    from .fits.quadratic import COEFFICIENTS, MODEL, fit_if_enough

    sides = paper_sides(counted)
    fit = fit_if_enough(sides, [counted[side] for side in sides])
    asked = {_next(counted, at_px) or at_px for at_px in (JUDGED_FROM_PX, last_px)}
    judged = sorted(side for side in asked if side > max(sides, default=0))
    power, ends = None, (sides[-1:] + judged)[-2:]
    if len(ends) == 2 and all(counted.get(side) for side in ends):
        near, far = ends
        power = math.log(counted[far] / counted[near]) / math.log(far / near)
    coefficients = fit.coefficients if fit else (None,) * COEFFICIENTS
    resolutions = f"{len(sides)} resolution{'' if len(sides) == 1 else 's'}"
    too_few = f"not fitted: {resolutions}, the parabola needs {COEFFICIENTS}"
    for at_px in judged:
        predicted, size = float(fit.predict(at_px)) if fit else None, counted.get(at_px)
        yield {
            "model": MODEL,
            **dict(zip(("b0", "b1", "b2"), coefficients, strict=True)),
            "fitted_from_px": min(sides, default=None),
            "fitted_to_px": max(sides, default=None),
            "resolutions": len(sides),
            "fitted_at_px": " ".join(map(str, sides)),
            "r_squared": fit.r_squared if fit else None,
            "max_relative_residual": fit.max_relative_residual if fit else None,
            "at_px": at_px,
            "predicted_bytes": predicted,
            "counted_bytes": size,
            "relative_error": predicted / size - 1 if predicted is not None and size else None,
            "counted_growth_power": power,
            "verdict": _verdict(fit, at_px, size, power) if fit else too_few,
        }


def _verdict(fit: QuadraticFit, at_px: int, counted: int | None, power: float | None) -> str:
    """Whether the parabola held where it was extrapolated to, and if not, what it missed.

    Args:
        fit: through the counts at the paper's resolutions.
        at_px: side length it is judged at.
        counted: the exact count there, in bytes.
        power: of the side, with which the counts grow beyond the fit.
    """
    if counted is None:
        return f"not counted at {at_px} px"
    if set(fit.observed.tolist()) == {counted}:
        return f"constant: {'the same' if counted else '0 bytes'} at every resolution"
    predicted = float(fit.predict(at_px))
    error = predicted / counted - 1 if counted else math.inf
    if abs(error) < SMALL_ERROR:
        return f"quadratic: error below {SMALL_ERROR * 100:g} %"
    grows = "" if power is None else f"grows with the power {power:.1f} of the side"
    if power is not None and abs(power - 2) < SAME_POWER:
        # one parabola for small images, another for large ones
        grows += f", but not yet from {min(fit.side_px):.0f} to {max(fit.side_px):.0f} px"
    percent = f"{abs(error) * 100:.{0 if abs(error) >= 0.1 else 1}f} %"
    miss = f"the quadratic gives {percent} too {'little' if error < 0 else 'much'}"
    if predicted <= 0:
        miss = "the quadratic falls to zero or below"
    elif not counted:
        miss = "nothing is counted where the quadratic gives something"
    r_squared = fit.r_squared or 0.0
    alarm = f"R² of {r_squared:.3f} raised no alarm" if r_squared >= NO_ALARM_FROM else ""
    return f"not quadratic: {'; '.join(filter(None, (grows, miss, alarm)))}"


EXTRAPOLATION = TableJob(
    command="extrapolation",
    rule="extrapolation_table",
    description="Fit the paper's parabola to counts from 256 to 1024 px and compare it with counts "
    "beyond.",
    arguments=(
        table_argument(MEMORY),
        extrapolate_to("side length of the extrapolation; judged at the next that is counted"),
    ),
    outputs=(Output(MEMORY_EXTRAPOLATION, memory_extrapolation_table),),
)
