"""`comparison.csv`: B against A, a row for each submodule, resolution and clock measured on both.

The columns are defined in docs/comparison.md.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from typing import Any

import pandas as pd

from adscale.tables import Columns, flag, integer, join, pick, real, schema_of, text

from ..columns import CLOCK, PART
from ..profiles.times import MAIN_CLOCK
from ..statistics.ratio import Ratio, mean_of_row, ratio_of_means
from ..tables import make_table
from .sides import LABELS, PAIRED, Side, nothing_matches
from .verdict import MARGIN, Evidence, judge

_LABELS = ("device", "device_type", "hardware", "method", "variant", "status")


def _of_side(side: str) -> Columns:
    """Columns that there are of either side."""
    name = side.upper()
    return join(
        text(*(f"{side}_{label}" for label in _LABELS), means=f"of the run of {name}"),
        text(f"{side}_run_verdict", means="`verdict` in `runtime.csv`: `steady`, `drifting`, "
             "`throttled`, `shared`"),
        integer(f"{side}_processes", f"{side}_images", means=f"size of the sample of {name}"),
        real(f"{side}_mean_ms", means=f"mean per image of {name}"),
    )  # fmt: skip


_OF_BOTH = (*_LABELS, "run_verdict", "processes", "images", "mean_ms")

COMPARISON = join(
    pick(PART, "resolution_px", "pixels", "submodule", "role"),
    CLOCK,
    flag("is_main_clock", means="whether it is the one that counts as the runtime on A: `host` on "
         "a CPU, `busy` on a GPU. Those and `latency` are printed and drawn"),
    _of_side("a"),
    _of_side("b"),
    real("ratio", "ratio_ci95_low", "ratio_ci95_high", means="B / A, and the ends of its 95 % "
         "interval; null where a side has no time, or no interval"),
    real("degrees_of_freedom", means="of the interval; null also where no time scatters"),
    real("p_value", "p_adjusted", means="two-sided, of the ratio being 1: by itself, and among "
         "all rows of the table"),
    real("margin", means="of equivalence, as a share"),
    text("verdict", means="`same`, `faster`, `slower` or `unclear`, see above"),
    flag("beyond_margin", means="whether the whole interval lies beyond the margin; null unless "
         "the verdict is `faster` or `slower`"),
    text("reason", means="of the verdict"),
)  # fmt: skip
"""Columns of `comparison.csv`."""

ROLES = ("submodule", "image", "end_to_end")
"""The roles that are compared. Work around an image is in `end_to_end` and depends on its files."""

_KEY = [*(f"{PAIRED}{label}" for label in LABELS), "resolution_px", "submodule", "clock"]


def comparison_table(
    a: Side, b: Side, margin: float = MARGIN, clocks: Collection[str] | None = None
) -> pd.DataFrame:
    """Compares what both sides have measured.

    Args:
        a: of `analysis.comparison.sides.pair_sides`.
        b: the same.
        margin: of equivalence, as a share.
        clocks: to compare; None: all.

    Returns:
        Rows of `COMPARISON`, in the order of A. Between a CPU and a GPU only the clock
        `latency` is compared: no other means the same on both.

    Raises:
        ArgumentError: there is nothing to compare.
    """
    pairs = _side_by_side(a.runtime, b.runtime)
    if clocks is not None:
        pairs = pairs[pairs["clock"].isin(clocks)]
    if pairs.empty:
        raise nothing_matches(a, b)
    rows = [_row(pair) for pair in pairs.to_dict("records")]
    evidence = [_evidence(row, ratio) for row, ratio in rows]
    for (row, _), verdict in zip(rows, judge(evidence, margin), strict=True):
        row |= {
            "p_adjusted": verdict.p_adjusted,
            "margin": margin,
            "verdict": verdict.name,
            "beyond_margin": verdict.beyond_margin,
            "reason": verdict.reason,
        }
    return make_table([row for row, _ in rows], schema_of(COMPARISON))


def _side_by_side(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    shown = [
        table[table["role"].isin(ROLES)].rename(columns={"verdict": "run_verdict"})
        for table in (a, b)
    ]
    pairs = shown[0].merge(shown[1], on=_KEY, suffixes=("_a", "_b"))
    same_type = pairs["device_type_a"] == pairs["device_type_b"]
    return pairs[same_type | (pairs["clock"] == "latency")]


def _row(pair: Mapping[Hashable, Any]) -> tuple[dict[str, Any], Ratio | None]:
    """Return the row of two rows before all are judged together."""
    a, b = (mean_of_row(pair, suffix=suffix) for suffix in ("_a", "_b"))
    ratio = ratio_of_means(a, b) if a and b else None
    clock = pair["clock"]
    row = {
        **{name: pair[name] for name in ("resolution_px", "submodule", "clock")},
        **{name: pair[f"{name}_a"] for name in ("pixels", "role")},
        "is_main_clock": clock == MAIN_CLOCK[pair["device_type_a"]],
        **{f"{side}_{name}": pair[f"{name}_{side}"] for side in "ab" for name in _OF_BOTH},
        "ratio": None if ratio is None else ratio.value,
        "ratio_ci95_low": None if ratio is None else ratio.low,
        "ratio_ci95_high": None if ratio is None else ratio.high,
        "degrees_of_freedom": None if ratio is None else ratio.degrees,
        "p_value": None if ratio is None else ratio.p_value,
    }
    return row, ratio


def _evidence(row: Mapping[str, Any], ratio: Ratio | None) -> Evidence:
    def both(name: str, absent: Any) -> tuple[Any, Any]:
        values = (row[f"{side}_{name}"] for side in "ab")
        first, second = (absent if pd.isna(value) else value for value in values)
        return first, second

    return Evidence(
        ratio,
        statuses=both("status", "not measured"),
        run_verdicts=both("run_verdict", None),
        images=both("images", 0),
        processes=both("processes", 0),
    )
